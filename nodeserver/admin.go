package nodeserver

import (
	"bytes"
	"math"
	"strconv"
	"strings"
)

// Admin says which of memcached's administrative commands a node obeys. The zero value
// is memcached's default: flush_all only.
type Admin struct {
	// NoFlush refuses flush_all (-F).
	NoFlush bool
	// NoDump refuses stats cachedump and lru_crawler metadump (-X).
	NoDump bool
	// NoWatch refuses watch (-W).
	NoWatch bool
	// PrefixEnd ends the part of a key that stats detail counts by, and has it count from
	// the start (-D). Default ':', and not before stats detail on.
	PrefixEnd byte
	// Shutdown, when set, allows the command shutdown (-A), and is called by it, once for
	// each time it is given, from the goroutine of the connection: it must not wait for
	// the server to end.
	Shutdown func()
	// DebugTime allows the command debugtime, which moves the clock that TTLs are counted
	// on. For tests of other programs.
	DebugTime bool
	// TrackSizes has stats sizes count all items (-o track_sizes). Default: those stored
	// after the command stats sizes_enable.
	TrackSizes bool
	// Cluster is what "config get cluster" answers, one "host|ip|port" a node; ip may be
	// empty. Default nothing: the command is unknown. See Server.SetCluster.
	Cluster []string
}

// ownCommand executes commands that are memcached's administration rather than its
// protocol; false means that the line is none of them, or not one of them as it should
// be.
func (c *conn) ownCommand(line []byte) bool {
	f := bytes.Fields(line)
	if len(f) == 0 {
		return false
	}
	switch string(f[0]) {
	case "watch":
		if c.srv.cfg.Admin.NoWatch {
			c.reply("CLIENT_ERROR watch commands not allowed")
			return true
		}
		c.startWatch(f[1:])
	case "shutdown":
		c.shutdown(f[1:])
	case "lru_crawler":
		return len(f) > 1 && c.crawler(string(f[1]), f[2:])
	case "cache_memlimit":
		return (len(f) == 2 || len(f) == 3) && c.memlimit(f[1])
	case "debugtime":
		return c.srv.cfg.Admin.DebugTime && len(f) == 2 && c.debugTime(string(f[1]))
	case "config":
		return len(f) == 3 && string(f[1]) == "get" && string(f[2]) == "cluster" && c.configCluster()
	case "lru":
		return len(f) >= 3 && c.lru(string(f[1]), f[2:])
	case "slabs":
		return len(f) >= 3 && c.slabs(string(f[1]), f[2:])
	default:
		return false
	}
	return true
}

func (c *conn) shutdown(args [][]byte) {
	f := c.srv.cfg.Admin.Shutdown
	switch {
	case f == nil:
		c.reply("SERVER_ERROR: shutdown not enabled")
	case len(args) > 0 && string(args[0]) != "graceful":
		c.reply("CLIENT_ERROR invalid shutdown mode")
	default:
		c.quit = true
		f()
	}
}

// crawler answers lru_crawler: the dump, and what is needed to be told how to crawl,
// which a node never has to.
func (c *conn) crawler(what string, args [][]byte) bool {
	switch {
	case what == "enable" || what == "disable":
		c.reply("OK")
	case len(args) == 0:
		return false
	case what == "crawl":
		if _, ok := classes(args[0]); !ok {
			c.reply(badClass)
			return true
		}
		c.srv.store.Sweep(c.now)
		c.reply("OK")
	case what == "sleep" || what == "tocrawl":
		switch n, err := strconv.ParseUint(string(args[0]), 10, 32); {
		case err != nil:
			c.reply(badFormat)
		case what == "sleep" && n > 1_000_000:
			c.reply("CLIENT_ERROR sleep must be one second or less")
		default:
			c.reply("OK")
		}
	case what == "metadump":
		of, ok := classes(args[0])
		switch {
		case c.srv.cfg.Admin.NoDump:
			c.reply("ERROR metadump not allowed")
		case !ok && string(args[0]) != "hash":
			c.reply(badClass)
		default:
			c.metadump(of)
		}
	default:
		return false
	}
	return true
}

// leastMemlimit is memcached's bound.
const leastMemlimit = 8

func (c *conn) memlimit(arg []byte) bool {
	mb, err := strconv.ParseUint(string(arg), 10, 32)
	switch {
	case err != nil:
		return false
	case mb < leastMemlimit:
		c.reply("MEMLIMIT_TOO_SMALL cannot set maxbytes to less than 8m")
	case mb > math.MaxInt64>>20 || !c.srv.store.SetMaxBytes(int64(mb)<<20, c.now):
		c.reply("MEMLIMIT_ADJUST_FAILED out of bounds or unable to adjust")
	default:
		c.reply("OK")
	}
	return true
}

// debugTime answers debugtime p|r|<seconds>: pause, resume, move.
func (c *conn) debugTime(what string) bool {
	k := &c.srv.clock
	switch what {
	case "p":
		k.pause()
	case "r":
		k.resume()
	default:
		n, err := strconv.ParseInt(what, 10, 32)
		if err != nil {
			return false
		}
		k.shift.Add(n)
	}
	c.now = k.sec()
	c.reply("OK")
	return true
}

// clusterList is the nodes of a cluster and the number of the list.
type clusterList struct {
	version uint64
	nodes   []string
}

// SetCluster replaces what "config get cluster" answers, under the next version number.
// An empty list makes the command unknown.
func (s *Server) SetCluster(nodes []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := clusterList{version: 1, nodes: append([]string(nil), nodes...)}
	if old := s.cluster.Load(); old != nil {
		next.version = old.version + 1
	}
	s.cluster.Store(&next)
}

func (c *conn) configCluster() bool {
	list := c.srv.cluster.Load()
	if list == nil || len(list.nodes) == 0 {
		return false
	}
	body := strconv.FormatUint(list.version, 10) + "\n" + strings.Join(list.nodes, " ") + "\n"
	c.line("CONFIG cluster 0 " + strconv.Itoa(len(body)))
	c.line(body)
	c.line("END")
	return true
}
