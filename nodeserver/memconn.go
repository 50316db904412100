package nodeserver

import (
	"context"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// memBuffer is how many bytes one direction of an in-memory connection holds.
const memBuffer = 256 << 10

// gate is a node's partition switch.
type gate struct {
	mu   sync.Mutex
	shut bool
	open chan struct{} // closed when the gate is open; made anew when it shuts
	// watchers are woken when the gate opens.
	watchers map[*memPipe]struct{}
}

func newGate() *gate {
	g := &gate{open: make(chan struct{}), watchers: make(map[*memPipe]struct{})}
	close(g.open)
	return g
}

func (g *gate) set(shut bool) {
	g.mu.Lock()
	if g.shut == shut {
		g.mu.Unlock()
		return
	}
	g.shut = shut
	var wake []*memPipe
	if shut {
		g.open = make(chan struct{})
	} else {
		close(g.open)
		for p := range g.watchers {
			wake = append(wake, p)
		}
	}
	g.mu.Unlock()
	for _, p := range wake {
		p.wake()
	}
}

func (g *gate) isShut() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.shut
}

// wait returns when the gate is open or ctx is done.
func (g *gate) wait(ctx context.Context) error {
	for {
		g.mu.Lock()
		open := g.open
		g.mu.Unlock()
		select {
		case <-open:
			if !g.isShut() {
				return nil
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (g *gate) watch(p *memPipe, on bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if on {
		g.watchers[p] = struct{}{}
	} else {
		delete(g.watchers, p)
	}
}

// memPipe is one direction. mu guards the fields; cond is broadcast on every change.
// mu may be held while taking the gate's lock, never the other way round.
type memPipe struct {
	mu   sync.Mutex
	cond *sync.Cond
	gate *gate
	buf  []byte
	// wclosed: the writer is done; what is in buf can still be read, then EOF.
	// rclosed: the reader is gone; writing is an error.
	// reset: both ends fail at once.
	wclosed, rclosed, reset bool
	rdead, wdead            deadline
}

// deadline is one end's time limit: a timer that broadcasts when it is over.
type deadline struct {
	timer *time.Timer
	gen   int
	over  bool
}

func newMemPipe(g *gate) *memPipe {
	p := &memPipe{gate: g}
	p.cond = sync.NewCond(&p.mu)
	g.watch(p, true)
	return p
}

func (p *memPipe) wake() {
	p.mu.Lock()
	p.cond.Broadcast()
	p.mu.Unlock()
}

func (p *memPipe) set(d *deadline, t time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	d.gen++
	d.over = false
	switch wait := time.Until(t); {
	case t.IsZero():
	case wait <= 0:
		d.over = true
	default:
		gen := d.gen
		d.timer = time.AfterFunc(wait, func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			if d.gen == gen { // not replaced meanwhile
				d.over = true
				p.cond.Broadcast()
			}
		})
	}
	p.cond.Broadcast()
}

func (p *memPipe) read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		switch {
		case p.rclosed:
			return 0, net.ErrClosed
		case p.reset:
			return 0, syscall.ECONNRESET
		case p.rdead.over:
			return 0, os.ErrDeadlineExceeded
		case p.gate.isShut():
			// neither bytes nor their end get through
		case len(p.buf) > 0:
			n := copy(b, p.buf)
			p.buf = p.buf[n:]
			if len(p.buf) == 0 {
				p.buf = nil
			}
			p.cond.Broadcast()
			return n, nil
		case p.wclosed:
			return 0, io.EOF
		}
		if len(b) == 0 {
			return 0, nil
		}
		p.cond.Wait()
	}
}

// write writes all of b, or with wait false as much as fits.
func (p *memPipe) write(b []byte, wait bool) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	done := 0
	for {
		switch {
		case p.wclosed:
			return done, net.ErrClosed
		case p.reset:
			return done, syscall.ECONNRESET
		case p.rclosed:
			return done, syscall.EPIPE
		case p.wdead.over:
			return done, os.ErrDeadlineExceeded
		}
		if n := min(len(b)-done, memBuffer-len(p.buf)); n > 0 {
			p.buf = append(p.buf, b[done:done+n]...)
			done += n
			p.cond.Broadcast()
		}
		if done == len(b) || !wait {
			return done, nil
		}
		p.cond.Wait()
	}
}

// memConn is one end of a connection.
type memConn struct {
	in, out       *memPipe
	local, remote memAddr
	peer          *memConn
	onClose       func()
	once          sync.Once
}

func newMemPair(client, server memAddr, g *gate) (*memConn, *memConn) {
	up, down := newMemPipe(g), newMemPipe(g)
	a := &memConn{in: down, out: up, local: client, remote: server}
	b := &memConn{in: up, out: down, local: server, remote: client}
	a.peer, b.peer = b, a
	return a, b
}

func (c *memConn) Read(b []byte) (int, error) {
	n, err := c.in.read(b)
	return n, c.wrap("read", err)
}

func (c *memConn) Write(b []byte) (int, error) {
	n, err := c.out.write(b, true)
	return n, c.wrap("write", err)
}

// TryWrite writes what fits without waiting.
func (c *memConn) TryWrite(b []byte) (int, error) {
	n, err := c.out.write(b, false)
	return n, c.wrap("write", err)
}

func (c *memConn) wrap(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return &net.OpError{Op: op, Net: "mem", Source: c.local, Addr: c.remote, Err: err}
}

// CloseWrite ends the writing direction: the peer reads what is left, then EOF.
func (c *memConn) CloseWrite() error {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	if c.out.wclosed {
		return c.wrap("close", net.ErrClosed)
	}
	c.out.wclosed = true
	c.out.cond.Broadcast()
	return nil
}

// Close closes both directions. As with TCP, closing while received bytes are unread
// resets the connection: the peer loses what was under way to it.
func (c *memConn) Close() error {
	err := c.wrap("close", net.ErrClosed)
	c.once.Do(func() {
		err = nil
		c.in.mu.Lock()
		unread := len(c.in.buf) > 0
		c.in.rclosed = true
		c.in.cond.Broadcast()
		c.in.mu.Unlock()
		c.out.mu.Lock()
		c.out.wclosed = true
		c.out.reset = c.out.reset || unread
		c.out.cond.Broadcast()
		c.out.mu.Unlock()
		c.forget()
	})
	return err
}

// Reset breaks the connection for both ends at once.
func (c *memConn) Reset() {
	for _, p := range []*memPipe{c.in, c.out} {
		p.mu.Lock()
		p.reset = true
		p.buf = nil
		p.cond.Broadcast()
		p.mu.Unlock()
	}
}

// forget stops timers and unregisters the end's pipes where this end was the last.
func (c *memConn) forget() {
	c.in.set(&c.in.rdead, time.Time{})
	c.out.set(&c.out.wdead, time.Time{})
	for _, p := range []*memPipe{c.in, c.out} {
		p.mu.Lock()
		both := p.rclosed && p.wclosed
		p.mu.Unlock()
		if both {
			p.gate.watch(p, false)
		}
	}
	if c.onClose != nil {
		c.onClose()
	}
}

func (c *memConn) LocalAddr() net.Addr  { return c.local }
func (c *memConn) RemoteAddr() net.Addr { return c.remote }

func (c *memConn) SetDeadline(t time.Time) error {
	c.in.set(&c.in.rdead, t)
	c.out.set(&c.out.wdead, t)
	return nil
}

func (c *memConn) SetReadDeadline(t time.Time) error {
	c.in.set(&c.in.rdead, t)
	return nil
}

func (c *memConn) SetWriteDeadline(t time.Time) error {
	c.out.set(&c.out.wdead, t)
	return nil
}
