package nodeserver

import (
	"math"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/memherd/memherd/client/memproto"
	"github.com/memherd/memherd/nodeserver/store"
)

// watchKind is a set of event kinds a watcher asked for.
type watchKind uint32

const (
	watchFetchers watchKind = 1 << iota
	watchMutations
	watchEvictions
	watchDeletions
)

var watchWords = map[string]watchKind{
	"fetchers": watchFetchers, "mutations": watchMutations,
	"evictions": watchEvictions, "deletions": watchDeletions,
}

const (
	maxWatchers = 20
	// watchQueue is how many bytes of events wait for one watcher; more are lost, and
	// counted, because commands never wait for who watches them.
	watchQueue = 256 << 10
)

// watchers are the connections that asked for events.
type watchers struct {
	kinds   atomic.Uint32 // union of what they want: the one thing looked at when nobody watches
	gid     atomic.Uint64
	dropped atomic.Uint64
	sent    atomic.Uint64
	taken   int // connections that watch or are about to; guarded by the server's mu
}

func (s *Server) watched(k watchKind) bool { return watchKind(s.watch.kinds.Load())&k != 0 }

// startWatch turns the connection into a watcher: from now on it is only written to.
func (c *conn) startWatch(words [][]byte) {
	kinds := watchKind(0)
	for _, w := range words {
		k, ok := watchWords[string(w)]
		if !ok || k == watchDeletions && c.srv.cfg.Profile.before(Profile1622) {
			c.line("ERROR")
			return
		}
		kinds |= k
	}
	if kinds == 0 {
		kinds = watchFetchers
	}
	s := c.srv
	if !s.mayWatch(c) {
		c.line("WATCHER_TOO_MANY log watcher limit reached")
		return
	}
	if !c.leave() {
		return
	}
	c.ignore = true
	if !c.out.flush() {
		c.quit = true
		return
	}
	// Whoever has read OK is told of what happens from then on, so the connection watches
	// before OK is on its way: an event needs s.mu, and stands behind OK in the queue.
	const ok = "OK" + crlf
	s.mu.Lock()
	defer s.mu.Unlock()
	c.watching = kinds
	s.unionWatch()
	c.written.Add(uint64(len(ok)))
	c.quit = !c.out.offer([]byte(ok), math.MaxInt)
}

// mayWatch takes a watcher's place for c, if one is free: it is c's until it is closed.
func (s *Server) mayWatch(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !c.mayWatch {
		if s.watch.taken >= maxWatchers {
			return false
		}
		s.watch.taken++
		c.mayWatch = true
	}
	return true
}

func (s *Server) watcherCount() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.watch.taken
}

// unionWatch is called with s.mu held whenever a watcher comes or goes.
func (s *Server) unionWatch() {
	var all watchKind
	for c := range s.conns {
		all |= c.watching
	}
	s.watch.kinds.Store(uint32(all))
}

// event hands one line of kind k to who wants it.
func (s *Server) event(k watchKind, line []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		if c.watching&k == 0 {
			continue
		}
		if c.out.offer(line, watchQueue) {
			s.watch.sent.Add(1)
		} else {
			s.watch.dropped.Add(1)
		}
	}
}

// eventHead starts a line: time, number, type, key.
func (s *Server) eventHead(typ string, key []byte) []byte {
	now := s.clock.now()
	b := make([]byte, 0, 160+len(key))
	b = strconv.AppendInt(append(b, "ts="...), now.Unix(), 10)
	micros := strconv.Itoa(now.Nanosecond() / 1000)
	b = append(append(append(b, '.'), strings.Repeat("0", 6-len(micros))...), micros...)
	b = strconv.AppendUint(append(b, " gid="...), s.watch.gid.Add(1), 10)
	b = append(append(b, " type="...), typ...)
	return appendURI(append(b, " key="...), key)
}

// appendURI appends a key as memcached shows it in lines that are cut at spaces. A space in
// it, which only a binary key may have, is %20: a plus would be one to who decodes a URI.
func appendURI(b, key []byte) []byte {
	return append(b, strings.ReplaceAll(url.QueryEscape(string(key)), "+", "%20")...)
}

// begin looks an item up for a command, in sight of those who watch fetchers.
func (c *conn) begin(key []byte) store.Tx {
	tx := c.srv.store.Begin(key, c.now)
	if c.srv.watched(watchFetchers) {
		status, class, size := "not_found", 0, 0
		if tx.Found() {
			size = tx.Len()
			status, class = "found", sizeClass(store.Size(len(key), tx.Meta().ClientFlags, size))
		}
		b := append(c.srv.eventHead("item_get", key), " status="...)
		b = append(b, status...)
		b = strconv.AppendInt(append(b, " clsid="...), int64(class), 10)
		b = strconv.AppendUint(append(b, " cfd="...), c.id, 10)
		b = strconv.AppendInt(append(b, " size="...), int64(size), 10)
		c.srv.event(watchFetchers, append(b, '\n'))
	}
	return tx
}

var storeStatusWords = map[memproto.Status]string{
	memproto.StatusHD: "stored", memproto.StatusNS: "not_stored",
	memproto.StatusEX: "exists", memproto.StatusNF: "not_found",
	memproto.StatusServerError: "no_memory",
}

var storeModeWords = [...]string{"set", "add", "replace", "append", "prepend", "cas"}

// stored tells those who watch mutations about a storage command.
func (c *conn) stored(key []byte, a *storeArgs, status memproto.Status, size int) {
	if !c.srv.watched(watchMutations) {
		return
	}
	b := append(c.srv.eventHead("item_store", key), " status="...)
	b = append(b, storeStatusWords[status]...)
	b = append(append(b, " cmd="...), storeModeWords[a.mode]...)
	b = strconv.AppendInt(append(b, " ttl="...), max(ttl(a.meta.Expiry, c.now), 0), 10)
	b = strconv.AppendInt(append(b, " clsid="...), int64(sizeClass(store.Size(len(key), a.meta.ClientFlags, size))), 10)
	b = strconv.AppendUint(append(b, " cfd="...), c.id, 10)
	b = strconv.AppendInt(append(b, " size="...), int64(size), 10)
	c.srv.event(watchMutations, append(b, '\n'))
}

// deleted tells those who watch deletions.
func (c *conn) deleted(key []byte, cmd string, valueLen int) {
	if !c.srv.watched(watchDeletions) {
		return
	}
	b := append(c.srv.eventHead("deleted", key), " cmd="...)
	b = append(b, cmd...)
	b = strconv.AppendInt(append(b, " clsid="...), int64(sizeClass(store.Size(len(key), 0, valueLen))), 10)
	b = strconv.AppendInt(append(b, " size="...), int64(valueLen), 10)
	c.srv.event(watchDeletions, append(b, '\n'))
}

// evicted is the store's hook. It runs under a shard's lock.
func (s *Server) evicted(key []byte, m store.Meta, valueLen int) {
	if !s.watched(watchEvictions) {
		return
	}
	b := append(s.eventHead("eviction", key), " fetch="...)
	b = append(b, yesNo(m.Bits&store.Fetched != 0)...)
	now := s.clock.sec()
	b = strconv.AppendInt(append(b, " ttl="...), ttl(m.Expiry, now), 10)
	b = strconv.AppendUint(append(b, " la="...), uint64(since(m.Access, now)), 10)
	b = strconv.AppendInt(append(b, " clsid="...), int64(sizeClass(store.Size(len(key), m.ClientFlags, valueLen))), 10)
	b = strconv.AppendInt(append(b, " size="...), int64(valueLen), 10)
	s.event(watchEvictions, append(b, '\n'))
}
