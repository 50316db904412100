package proxy

import (
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// link is one connection of a client, with the connection to the node behind it.
type link struct {
	p      *Proxy
	client *net.TCPConn
	rng    *rand.Rand // of the replies; for the goroutine that passes them on
	lost   atomic.Bool
	done   chan struct{} // closed by kill

	mu   sync.Mutex // guards node and dead
	node *net.TCPConn
	dead bool
}

func newLink(p *Proxy, client *net.TCPConn, number uint64) *link {
	return &link{p: p, client: client, rng: rand.New(rand.NewPCG(p.seed, number)), done: make(chan struct{})}
}

// kill ends both connections; the client's by a reset if that is asked for.
func (l *link) kill(reset bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead {
		return
	}
	l.dead = true
	close(l.done)
	if reset {
		_ = l.client.SetLinger(0)
	}
	_ = l.client.Close()
	if l.node != nil {
		_ = l.node.Close()
	}
}

// dialTimeout bounds the way to the node, which is on this machine.
const dialTimeout = time.Second

// run dials the node and passes bytes until either end has gone.
func (l *link) run() {
	c, err := net.DialTimeout("tcp", l.p.target, dialTimeout)
	if err != nil {
		l.kill(true)
		return
	}
	l.mu.Lock()
	if l.dead {
		l.mu.Unlock()
		_ = c.Close()
		return
	}
	l.node = c.(*net.TCPConn)
	l.mu.Unlock()
	chunks, free := make(chan chunk, 256), make(chan []byte, 16)
	var wg sync.WaitGroup
	wg.Go(l.requests)
	wg.Go(func() { l.read(chunks, free) })
	l.replies(chunks, free)
	wg.Wait()
}

// way waits until a direction is not on hold, and tells what is done in it.
func (l *link) way(direction func(*state) Way) (s *state, ok bool) {
	for {
		s = l.p.now.Load()
		if direction(s) != Hold {
			return s, true
		}
		select {
		case <-s.changed:
		case <-l.done:
			return s, false
		}
	}
}

func requests(s *state) Way { return s.Requests }
func replies(s *state) Way  { return s.Replies }

// requests passes bytes on to the node.
func (l *link) requests() {
	buf := make([]byte, 32<<10)
	for {
		n, err := l.client.Read(buf)
		s, ok := l.way(requests)
		if !ok {
			return
		}
		switch {
		case n == 0:
		case s.Requests == Swallow:
			l.lost.Store(true)
		case l.lost.Load():
			l.kill(true)
			return
		default:
			if _, err := l.node.Write(buf[:n]); err != nil {
				l.kill(true)
				return
			}
		}
		if err != nil {
			// The client has hung up. What it sent before is executed, and the node's
			// hanging up ends the rest.
			_ = l.node.CloseWrite()
			return
		}
	}
}

// chunk is bytes the node sent, and when.
type chunk struct {
	b  []byte
	at time.Time
}

// read takes bytes from the node as they come, so that delayed ones wait side by side.
func (l *link) read(chunks chan<- chunk, free <-chan []byte) {
	defer close(chunks)
	for {
		var b []byte
		select {
		case b = <-free:
		default:
			b = make([]byte, 16<<10)
		}
		n, err := l.node.Read(b)
		if n > 0 {
			select {
			case chunks <- chunk{b[:n], time.Now()}:
			case <-l.done:
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// replies passes them on, one by one where something is to happen to them.
func (l *link) replies(chunks <-chan chunk, free chan<- []byte) {
	o := &outgoing{l: l}
	defer func() { l.kill(false) }()
	var in []byte
	for c := range chunks {
		in = append(in, c.b...)
		select {
		case free <- c.b[:cap(c.b)]:
		default:
		}
		rest := in
		for {
			n := replyLen(rest)
			if n == 0 {
				break
			}
			if !o.reply(rest[:n], c.at) {
				return
			}
			rest = rest[n:]
		}
		in = append(in[:0], rest...)
		if len(chunks) == 0 && !o.flush() {
			return
		}
	}
	o.flush()
}
