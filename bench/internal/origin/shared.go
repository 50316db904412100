package origin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/rpc"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/memherd/memherd/bench/internal/value"
)

// SharedConfig sets up a Shared.
type SharedConfig struct {
	// Takes is how long a load takes once its turn has come.
	Takes time.Duration
	// Slots is how many loads are served at once; others wait, in order of arrival.
	// 0 is any number.
	Slots int
	// Size of a value in bytes; it is larger if the key does not fit.
	Size int
	// Cycle is for the Ledger.
	Cycle time.Duration
	// Patience is how long whoever asks waits for a load. 0 is for ever.
	Patience time.Duration
	// Asked, if not nil, hears of each load before anything else. A channel that it
	// returns holds the load until it is closed.
	Asked func(who int, key string) <-chan struct{}
}

// Shared is an origin that several processes ask through a socket. It knows every key,
// and keeps a ledger of what it is asked for, so that loads of processes that are killed
// are counted, too.
type Shared struct {
	*Ledger
	cfg    SharedConfig
	dir    string
	ln     net.Listener
	slots  chan struct{} // nil for any number
	slower atomic.Int64  // times Takes
	wg     sync.WaitGroup
	closed chan struct{}

	mu    sync.Mutex // guards conns
	conns map[net.Conn]bool
}

// Share starts the origin. Remote asks it.
func Share(cfg SharedConfig) (*Shared, error) {
	s := &Shared{Ledger: NewLedger(cfg.Cycle), cfg: cfg, closed: make(chan struct{}), conns: map[net.Conn]bool{}}
	s.slower.Store(1)
	if cfg.Slots > 0 {
		s.slots = make(chan struct{}, cfg.Slots)
	}
	var err error
	if s.dir, err = os.MkdirTemp("", "memherd-shared-"); err != nil {
		return nil, fmt.Errorf("cannot make a folder for the origin's socket: %w", err)
	}
	if s.ln, err = net.Listen("unix", s.Addr()); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot listen on the origin's socket: %w", err), os.RemoveAll(s.dir))
	}
	server := rpc.NewServer()
	if err := server.RegisterName("Origin", &desk{s}); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.wg.Go(func() { s.accept(server) })
	return s, nil
}

// Addr is the path of the socket.
func (s *Shared) Addr() string { return filepath.Join(s.dir, "origin") }

// Slow makes every load that begins from now on take so many times as long.
func (s *Shared) Slow(times int) { s.slower.Store(int64(times)) }

func (s *Shared) accept(server *rpc.Server) {
	for {
		conn, err := s.ln.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.conns[conn] = true
		s.mu.Unlock()
		s.wg.Go(func() {
			server.ServeConn(conn) // returns when its loads have ended, too
			s.mu.Lock()
			delete(s.conns, conn)
			s.mu.Unlock()
		})
	}
}

// Close ends the origin, and fails the loads under way.
func (s *Shared) Close() error {
	close(s.closed)
	err := s.ln.Close()
	s.mu.Lock()
	for conn := range s.conns {
		conn.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
	return errors.Join(err, os.RemoveAll(s.dir))
}

// Ask is what a Remote asks for.
type Ask struct {
	Who int
	Key string
}

// desk is what of a Shared can be asked from outside.
type desk struct{ s *Shared }

// Load is one load.
func (d *desk) Load(q Ask, body *[]byte) error {
	s, began := d.s, time.Now()
	end := s.Begin(q.Key, began)
	err := s.serve(q)
	took := time.Since(began)
	end(err == nil && (s.cfg.Patience == 0 || took <= s.cfg.Patience))
	*body = value.Make(q.Key, 1, s.cfg.Size)
	return err
}

var errShut = errors.New("the origin has been shut")

func (s *Shared) serve(q Ask) error {
	if s.cfg.Asked != nil {
		if held := s.cfg.Asked(q.Who, q.Key); held != nil {
			select {
			case <-held:
			case <-s.closed:
				return errShut
			}
		}
	}
	if s.slots != nil {
		select {
		case s.slots <- struct{}{}:
			defer func() { <-s.slots }()
		case <-s.closed:
			return errShut
		}
	}
	t := time.NewTimer(s.cfg.Takes * time.Duration(s.slower.Load()))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-s.closed:
		return errShut
	}
}

// Remote asks a Shared from another process. It is safe for concurrent use.
type Remote struct {
	who int
	c   *rpc.Client
}

// Dial connects to the Shared at addr, as the process number who.
func Dial(addr string, who int) (*Remote, error) {
	c, err := rpc.Dial("unix", addr)
	if err != nil {
		return nil, fmt.Errorf("cannot reach the origin: %w", err)
	}
	return &Remote{who, c}, nil
}

// Load asks for the value of key. The origin goes on with it if ctx ends.
func (r *Remote) Load(ctx context.Context, key string) ([]byte, error) {
	var body []byte
	call := r.c.Go("Origin.Load", Ask{r.who, key}, &body, make(chan *rpc.Call, 1))
	select {
	case <-call.Done:
		return body, call.Error
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Close ends the connection.
func (r *Remote) Close() error { return r.c.Close() }
