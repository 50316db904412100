package nodeserver

import (
	"bytes"
	"net"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/memherd/memherd/client/memproto"
	"github.com/memherd/memherd/nodeserver/store"
)

// serverStats counts what belongs to no item.
type serverStats struct {
	total     atomic.Uint64 // connections ever served
	rejected  atomic.Uint64 // turned away at MaxConns
	slow      atomic.Uint64 // dropped for sending slowly when room was scarce
	bytesRead atomic.Uint64 // by connections that have ended, as written
	written   atomic.Uint64
	cmdFlush  atomic.Uint64
	authCmds  atomic.Uint64 // log-ins with name and password
	// authErrors are those that failed.
	authErrors atomic.Uint64
	yields     atomic.Uint64 // turns that ended before their connection was done
	// deaf is how often nothing could be accepted, and deafFor for how many microseconds.
	deaf, deafFor atomic.Uint64
}

// resetStats sets all back to 0.
func (s *Server) resetStats() {
	s.store.ResetCounters()
	s.stats.reset()
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.read.Store(0)
		c.written.Store(0)
	}
}

func (s *serverStats) reset() {
	s.total.Store(0)
	s.rejected.Store(0)
	s.slow.Store(0)
	s.bytesRead.Store(0)
	s.written.Store(0)
	s.cmdFlush.Store(0)
	s.authCmds.Store(0)
	s.authErrors.Store(0)
	s.yields.Store(0)
	s.deaf.Store(0)
	s.deafFor.Store(0)
}

// traffic is the bytes of all connections there have been.
func (s *Server) traffic() (read, written uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	read, written = s.stats.bytesRead.Load(), s.stats.written.Load()
	for c := range s.conns {
		read, written = read+c.read.Load(), written+c.written.Load()
	}
	return read, written
}

// statsCommand answers stats [what].
func (c *conn) statsCommand(args []byte) {
	word, rest, _ := bytes.Cut(args, []byte(" "))
	switch string(word) {
	case "":
		c.statsGeneral()
	case "settings":
		c.statsSettings()
	case "items":
		c.statsItems()
	case "slabs":
		c.statsSlabs()
	case "sizes":
		c.statsSizes()
	case "sizes_enable", "sizes_disable":
		c.switchSizes(string(word) == "sizes_enable")
		return
	case "conns":
		c.statsConns()
	case "reset":
		c.srv.resetStats()
		c.line("RESET")
		return
	case "detail":
		c.statsDetail(bytes.TrimLeft(rest, " "))
		return
	case "cachedump":
		c.statsCachedump(rest)
		return
	default:
		c.line("ERROR")
		return
	}
	c.line("END")
}

func (c *conn) stat(name, value string) {
	resp := memproto.Response{Status: memproto.StatusStat, Key: []byte(name), Message: []byte(value)}
	c.out.buf = resp.AppendLine(c.out.buf, nil)
}

func (c *conn) statNum(name string, n uint64) { c.stat(name, strconv.FormatUint(n, 10)) }

// threads is how many processors serve at most.
func (s *Server) threads() uint64 {
	if s.cfg.Loops > 0 {
		return uint64(s.cfg.Loops)
	}
	return uint64(runtime.GOMAXPROCS(0))
}

func (c *conn) statsGeneral() {
	s := c.srv
	s.store.Sweep(c.now)
	st := s.store.Stats()
	s.mu.Lock()
	conns := len(s.conns)
	s.mu.Unlock()
	read, written := s.traffic()
	now := s.clock.now()
	user, system := cpuTimes()
	c.statNum("pid", s.pid)
	c.statNum("uptime", uint64(now.Sub(s.clock.start)/time.Second))
	c.statNum("time", uint64(now.Unix()))
	c.stat("version", c.srv.cfg.Profile.Version())
	c.statNum("pointer_size", strconv.IntSize)
	c.stat("rusage_user", seconds(user))
	c.stat("rusage_system", seconds(system))
	c.statNum("max_connections", uint64(s.cfg.MaxConns))
	c.statNum("curr_connections", uint64(conns))
	c.statNum("total_connections", s.stats.total.Load())
	c.statNum("rejected_connections", s.stats.rejected.Load())
	c.statNum("connection_structures", uint64(conns))
	c.statNum("slow_connections_dropped", s.stats.slow.Load())
	c.statNum("pending_bytes", uint64(max(s.pending.Load(), 0)))
	c.statNum("cmd_flush", s.stats.cmdFlush.Load())
	for _, n := range countedStats {
		c.statNum(n.name, st.Counters[n.counter])
	}
	c.statNum("auth_cmds", s.stats.authCmds.Load())
	c.statNum("auth_errors", s.stats.authErrors.Load())
	c.statNum("bytes_read", read)
	c.statNum("bytes_written", written)
	c.statNum("limit_maxbytes", uint64(s.store.MaxBytes()))
	c.statNum("accepting_conns", 1)
	c.statNum("listen_disabled_num", s.stats.deaf.Load())
	c.statNum("time_in_listen_disabled_us", s.stats.deafFor.Load())
	c.statNum("threads", c.srv.threads())
	c.statNum("conn_yields", s.stats.yields.Load())
	c.statNum("hash_bytes", st.Index)
	c.stat("hash_is_expanding", "0") // always, a bucket at a time
	sent, lost := s.watch.sent.Load(), s.watch.dropped.Load()
	c.statNum("log_worker_dropped", 0)
	c.statNum("log_worker_written", sent+lost)
	c.statNum("log_watcher_skipped", lost)
	c.statNum("log_watcher_sent", sent)
	c.statNum("log_watchers", uint64(s.watcherCount()))
	c.statNum("bytes", st.Bytes)
	c.statNum("curr_items", st.Items)
}

// countedStats are the counters kept with the items, in memcached's order.
var countedStats = []struct {
	name    string
	counter store.Counter
}{
	{"cmd_get", store.CmdGet}, {"cmd_set", store.CmdSet}, {"cmd_touch", store.CmdTouch},
	{"cmd_meta", store.CmdMeta}, {"get_hits", store.GetHits}, {"get_misses", store.GetMisses},
	{"get_expired", store.GetExpired}, {"get_flushed", store.GetFlushed},
	{"delete_misses", store.DeleteMisses}, {"delete_hits", store.DeleteHits},
	{"incr_misses", store.IncrMisses}, {"incr_hits", store.IncrHits},
	{"decr_misses", store.DecrMisses}, {"decr_hits", store.DecrHits},
	{"cas_misses", store.CasMisses}, {"cas_hits", store.CasHits}, {"cas_badval", store.CasBadval},
	{"touch_hits", store.TouchHits}, {"touch_misses", store.TouchMisses},
	{"store_too_large", store.StoreTooLarge}, {"store_no_memory", store.StoreNoMemory},
	{"total_items", store.TotalItems}, {"expired_unfetched", store.ExpiredUnfetched},
	{"evicted_unfetched", store.EvictedUnfetched}, {"evictions", store.Evictions},
	{"reclaimed", store.Reclaimed},
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', 6, 64) }

func (c *conn) statsSettings() {
	cfg := &c.srv.cfg
	host, port, socket := "NULL", "0", "NULL"
	switch a := c.srv.Addr().(type) {
	case *net.TCPAddr:
		host, port = a.IP.String(), strconv.Itoa(a.Port)
	case *net.UnixAddr:
		socket = a.Name
	case nil:
	default:
		host = a.String()
	}
	c.statNum("maxbytes", uint64(c.srv.store.MaxBytes()))
	c.statNum("maxconns", uint64(cfg.MaxConns))
	c.stat("tcpport", port)
	c.stat("udpport", "0")
	c.stat("inter", host)
	c.statNum("verbosity", uint64(c.srv.verbosity.Load()))
	c.stat("evictions", onOff(!cfg.NoEvict))
	c.stat("domain_socket", socket)
	c.stat("shutdown_command", yesNo(cfg.Admin.Shutdown != nil))
	c.statNum("num_threads", c.srv.threads())
	c.stat("stat_key_prefix", string(rune(c.srv.prefixes.end)))
	c.stat("detail_enabled", yesNo(c.srv.prefixes.on.Load()))
	c.statNum("reqs_per_event", uint64(cfg.TurnCommands))
	c.stat("cas_enabled", "yes")
	c.statNum("tcp_backlog", uint64(cfg.Backlog))
	c.stat("binding_protocol", "ascii")
	c.stat("auth_enabled_sasl", "no")
	c.stat("auth_enabled_ascii", yesNo(c.srv.door.Load() != nil))
	c.statNum("item_size_max", uint64(cfg.MaxItemBytes))
	c.stat("maxconns_fast", "yes")
	c.stat("flush_enabled", yesNo(!cfg.Admin.NoFlush))
	c.stat("dump_enabled", yesNo(!cfg.Admin.NoDump))
	c.statNum("idle_timeout", uint64(cfg.IdleTimeout/time.Second))
	c.statNum("watcher_logbuf_size", watchQueue)
	c.stat("track_sizes", yesNo(c.srv.sizesFrom.Load() != 0))
	c.stat("ssl_enabled", yesNo(cfg.TLS != nil))
	c.stat("eviction", cfg.Eviction.String())
}

// statsItems shows the one LRU a node has as class 1; no items, no class.
func (c *conn) statsItems() {
	st := c.srv.store.Stats()
	if st.Items == 0 {
		return
	}
	c.statNum("items:1:number", st.Items)
	c.statNum("items:1:mem_requested", st.Bytes)
	c.statNum("items:1:evicted", st.Counters[store.Evictions])
	c.statNum("items:1:evicted_unfetched", st.Counters[store.EvictedUnfetched])
	c.statNum("items:1:expired_unfetched", st.Counters[store.ExpiredUnfetched])
	c.statNum("items:1:outofmemory", st.Counters[store.StoreNoMemory])
	c.statNum("items:1:reclaimed", st.Counters[store.Reclaimed])
}

// statsSlabs says that there are no slabs, with the two lines that always stand.
func (c *conn) statsSlabs() {
	c.statNum("active_slabs", 0)
	c.statNum("total_malloced", c.srv.store.Stats().Held)
}

// statsConns lists listeners and connections as memcached does, under numbers that
// are never used twice.
func (c *conn) statsConns() {
	s := c.srv
	now := s.clock.sec()
	s.mu.Lock()
	defer s.mu.Unlock()
	for ln := range s.listeners {
		c.statConn(0, "addr", addrText((*ln).Addr()))
		c.statConn(0, "state", "conn_listening")
		c.statConn(0, "secs_since_last_cmd", strconv.FormatInt(int64(s.sinceStart()/time.Second), 10))
	}
	for o := range s.conns {
		c.statConn(o.id, "addr", addrText(o.peer))
		c.statConn(o.id, "listen_addr", addrText(o.local))
		c.statConn(o.id, "state", stateNames[o.state.Load()])
		c.statConn(o.id, "secs_since_last_cmd", strconv.FormatInt(max(int64(now)-int64(o.lastCmd.Load()), 0), 10))
	}
}

func (c *conn) statConn(id uint64, name, value string) {
	c.stat(strconv.FormatUint(id, 10)+":"+name, value)
}

func addrText(a net.Addr) string { return a.Network() + ":" + a.String() }
