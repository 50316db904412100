package nodeserver

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/memherd/memherd/client/memproto"
	"github.com/memherd/memherd/nodeserver/store"
)

// ErrServerClosed is what Serve returns after Shutdown or Close.
var ErrServerClosed = errors.New("nodeserver: server closed")

// Server is a node. All methods may be called from any goroutine.
type Server struct {
	cfg       Config
	clock     clock
	store     *store.Store
	limits    memproto.Limits
	casSeq    atomic.Uint64
	stats     serverStats
	watch     watchers
	prefixes  prefixStats
	door      atomic.Pointer[doorkeeper]  // nil: everybody may come in
	cluster   atomic.Pointer[clusterList] // what config get cluster answers
	verbosity atomic.Uint32
	turn      int           // one more than Config.TurnCommands, or never reached
	pid       uint64        // what stats shows, see pidOf
	sizesFrom atomic.Uint64 // stats sizes counts items of this version and newer; 0: off

	// pending is how many bytes of buffers hold half-arrived data blocks.
	pending atomic.Int64

	loops loops

	// done is closed when the server stops: waits inside connections end then.
	done chan struct{}
	// wg counts the goroutines of Start's accept loop and of all connections.
	wg sync.WaitGroup

	// mu guards the fields below.
	mu        sync.Mutex
	addr      net.Addr
	listeners map[*net.Listener]struct{} // by address: a listener need not be comparable
	conns     map[*conn]struct{}
	nextConn  uint64
	closing   bool      // no new listeners or connections
	droppedAt time.Time // when slow senders were last looked for
}

// servers counts those made in this process.
var servers atomic.Uint64

// pidOf is what stats shows as pid: the process's, and for every server of the process
// after the first as much more as no process id reaches. Clients tell by it that a server
// was replaced by another, which has none of its memory.
func pidOf(before uint64) uint64 { return uint64(os.Getpid()) + before<<22 }

// turnOf is what ends a turn of so many commands; 0: nothing does.
func turnOf(commands int) int {
	if commands == 0 {
		return 0 // counting begins with 1
	}
	return commands + 1
}

// New validates cfg and returns a server that does not listen yet: see Serve.
func New(cfg Config) (*Server, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Server{
		cfg:       cfg,
		limits:    memproto.Limits{MaxValue: int(cfg.MaxItemBytes)},
		turn:      turnOf(cfg.TurnCommands),
		pid:       pidOf(servers.Add(1) - 1),
		done:      make(chan struct{}),
		listeners: make(map[*net.Listener]struct{}),
		conns:     make(map[*conn]struct{}),
	}
	s.clock.init(cfg.Now)
	s.loops.init(s)
	s.door.Store(newDoorkeeper(cfg.Users))
	s.prefixes.init(cfg.Admin.PrefixEnd)
	if cfg.Admin.TrackSizes {
		s.enableSizes()
	}
	if len(cfg.Admin.Cluster) > 0 {
		s.SetCluster(cfg.Admin.Cluster)
	}
	cfg.Profile.apply(&s.limits)
	s.store, err = store.New(store.Config{MaxBytes: cfg.MaxBytes, MaxItemBytes: cfg.MaxItemBytes,
		Policy: cfg.Eviction, NoEvict: cfg.NoEvict, OnEvict: s.evicted})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Start returns a running node. The caller has to call Close or Shutdown.
func Start(cfg Config) (*Server, error) {
	s, err := New(cfg)
	if err != nil {
		return nil, err
	}
	ln, err := s.listen()
	if err != nil {
		return nil, err
	}
	s.setBacklog(ln)
	ln = s.secure(ln)
	if !s.track(&ln) {
		ln.Close()
		return nil, ErrServerClosed
	}
	s.wg.Go(func() {
		if err := s.accept(&ln); !errors.Is(err, ErrServerClosed) {
			s.cfg.Logger.Error("node stopped listening", "addr", ln.Addr().String(), "err", err)
		}
	})
	return s, nil
}

func (s *Server) listen() (net.Listener, error) {
	if s.cfg.Network != nil {
		return s.cfg.Network.Listen(s.cfg.Addr)
	}
	path, ok := strings.CutPrefix(s.cfg.Addr, "unix:")
	if !ok {
		return net.Listen("tcp", s.cfg.Addr)
	}
	// A socket file that a killed process left behind would be in the way; anything
	// else at that place is not ours to remove.
	if fi, err := os.Lstat(path); err == nil && fi.Mode()&os.ModeSocket != 0 {
		if c, err := net.Dial("unix", path); err == nil {
			c.Close() // somebody lives there: let Listen fail
		} else {
			os.Remove(path)
		}
	}
	return net.Listen("unix", path)
}

// secure has TLS spoken on ln if it is configured.
func (s *Server) secure(ln net.Listener) net.Listener {
	if s.cfg.TLS == nil || s.cfg.Network != nil {
		return ln
	}
	return tls.NewListener(ln, s.cfg.TLS)
}

// Addr is where the node listens: the first listener's address; nil before Serve.
func (s *Server) Addr() net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addr
}

// Serve accepts connections on ln until Shutdown or Close, then returns
// ErrServerClosed. It closes ln.
func (s *Server) Serve(ln net.Listener) error {
	s.setBacklog(ln)
	ln = s.secure(ln)
	if !s.track(&ln) {
		ln.Close()
		return ErrServerClosed
	}
	s.wg.Add(1)
	defer s.wg.Done()
	return s.accept(&ln)
}

// track registers ln; false means that the server is closing.
func (s *Server) track(ln *net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	s.listeners[ln] = struct{}{}
	if s.addr == nil {
		s.addr = (*ln).Addr()
	}
	return true
}

// Back-off after accept errors (out of file descriptors, most likely).
const (
	minAcceptBackoff = 5 * time.Millisecond
	maxAcceptBackoff = time.Second
)

func (s *Server) accept(ln *net.Listener) error {
	defer func() {
		(*ln).Close()
		s.mu.Lock()
		delete(s.listeners, ln)
		s.mu.Unlock()
	}()
	var backoff time.Duration
	for {
		nc, err := (*ln).Accept()
		if err != nil {
			select {
			case <-s.done:
				return ErrServerClosed
			default:
			}
			if errors.Is(err, net.ErrClosed) {
				return err
			}
			backoff = min(max(2*backoff, minAcceptBackoff), maxAcceptBackoff)
			s.stats.deaf.Add(1)
			s.stats.deafFor.Add(uint64(backoff / time.Microsecond))
			s.cfg.Logger.Warn("accept failed", "err", err, "retry_in", backoff)
			if !s.sleep(backoff) {
				return ErrServerClosed
			}
			continue
		}
		backoff = 0
		s.startConn(nc)
	}
}

// sleep waits for d; false means that the server stopped meanwhile.
func (s *Server) sleep(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-s.done:
		return false
	}
}

// startConn serves nc in a goroutine of its own, or turns it away.
func (s *Server) startConn(nc net.Conn) {
	s.mu.Lock()
	switch {
	case s.closing:
		s.mu.Unlock()
		nc.Close()
		return
	case len(s.conns) >= s.cfg.MaxConns:
		s.dropSlow(time.Now()) // there will be room for the next
		s.mu.Unlock()
		s.stats.rejected.Add(1)
		s.cfg.Logger.Warn("too many connections", "max", s.cfg.MaxConns)
		if s.cfg.TLS == nil { // no handshake for whom there is no room
			nc.SetWriteDeadline(time.Now().Add(time.Second))
			nc.Write([]byte("ERROR Too many open connections\r\n"))
		}
		nc.Close()
		return
	}
	if s.crowded() {
		s.dropSlow(time.Now())
	}
	s.nextConn++
	c := newConn(s, nc, s.nextConn)
	s.conns[c] = struct{}{}
	// Under the lock, so that a Close that found this connection also waits for it.
	s.wg.Add(1)
	s.mu.Unlock()
	s.stats.total.Add(1)
	if s.loops.adopt(c, nc) {
		s.wg.Done()
		return
	}
	go func() {
		defer s.wg.Done()
		c.serve()
	}()
}

// forget is the last thing done for a connection.
func (s *Server) forget(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	s.stats.bytesRead.Add(c.read.Swap(0))
	s.stats.written.Add(c.written.Swap(0))
	if c.mayWatch {
		s.watch.taken--
		s.unionWatch()
	}
}

// stop closes the listeners and marks the server as closing. f is called for every
// connection.
func (s *Server) stop(f func(*conn)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closing {
		s.closing = true
		close(s.done)
	}
	for ln := range s.listeners {
		(*ln).Close()
	}
	for c := range s.conns {
		f(c)
	}
	s.loops.wake()
}

// Shutdown stops listening, lets each connection answer what it has read, closes the
// connections, and waits until all are gone or ctx is done; in the latter case it
// returns ctx's error and Close ends what is left.
func (s *Server) Shutdown(ctx context.Context) error {
	s.stop((*conn).drain)
	gone := make(chan struct{})
	go func() {
		s.wg.Wait()
		close(gone)
	}()
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close closes the listeners and all connections and waits for their goroutines.
// Items are dropped with the Server. Closing twice does no harm.
func (s *Server) Close() error {
	s.stop((*conn).abort)
	s.wg.Wait()
	return nil
}
