// Package proxy puts faults between clients and one memcached: it passes bytes on and,
// on demand, refuses, resets, swallows, holds, delays, cuts and repeats. What happens to
// a reply is drawn from a seed, the number of its connection and its own number.
package proxy

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
)

// Proxy stands before one node. Its methods may be called from any goroutine.
type Proxy struct {
	target string
	seed   uint64
	now    atomic.Pointer[state]
	wg     sync.WaitGroup

	accepted, replies, late, cut, stray atomic.Int64

	// mu guards what follows and orders changes of now.
	mu     sync.Mutex
	ln     net.Listener // nil while dials are refused
	addr   string
	links  map[*link]struct{}
	number uint64 // of connections so far
	closed bool
}

// state is a plan and what tells that there is another one.
type state struct {
	Plan
	changed chan struct{}
}

// Counts are what a proxy has done so far. Dials that were refused never got to it.
type Counts struct{ Accepted, Replies, Late, Cut, Stray int64 }

// Start listens on a free port of 127.0.0.1 and passes everything on to the node at
// target, which need not be there yet.
func Start(target string, seed uint64) (*Proxy, error) {
	p := &Proxy{target: target, seed: seed, links: map[*link]struct{}{}}
	p.now.Store(&state{changed: make(chan struct{})})
	p.mu.Lock()
	defer p.mu.Unlock()
	return p, p.listen("127.0.0.1:0")
}

// Addr is where clients find it; Move changes it.
func (p *Proxy) Addr() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.addr
}

// Counts reads the counters one by one.
func (p *Proxy) Counts() Counts {
	return Counts{p.accepted.Load(), p.replies.Load(), p.late.Load(), p.cut.Load(), p.stray.Load()}
}

// Open is how many connections pass through it now.
func (p *Proxy) Open() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.links)
}

// errClosed is what is returned after Close.
var errClosed = errors.New("proxy: closed")

// Set changes the plan, also for connections that are open and for bytes that are held.
// It fails only where a port that was given up by a crash has been taken meanwhile.
func (p *Proxy) Set(plan Plan) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return errClosed
	}
	old := p.now.Swap(&state{Plan: plan, changed: make(chan struct{})})
	close(old.changed)
	if plan.Refuse {
		p.refuse()
		return nil
	}
	for l := range p.links {
		if l.lost.Load() && plan.Requests == Pass && plan.Replies == Pass {
			l.kill(true)
		}
	}
	if p.ln != nil {
		return nil
	}
	return p.listen(p.addr)
}

// Move gives the node another address, as a new machine would have: the old one is
// refused from now on and its connections are reset.
func (p *Proxy) Move() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return errClosed
	}
	old := p.ln
	p.ln = nil
	// Before the old port is free, or it might be given out again.
	err := p.listen("127.0.0.1:0")
	if old != nil {
		_ = old.Close()
	}
	for l := range p.links {
		l.kill(true)
	}
	return err
}

// listen takes connections at addr. mu is held.
func (p *Proxy) listen(addr string) error {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("proxy: %w", err)
	}
	p.ln, p.addr = ln, ln.Addr().String()
	p.wg.Go(func() { p.accept(ln) })
	return nil
}

// refuse ends the listener and resets all connections. mu is held.
func (p *Proxy) refuse() {
	if p.ln != nil {
		_ = p.ln.Close()
		p.ln = nil
	}
	for l := range p.links {
		l.kill(true)
	}
}

func (p *Proxy) accept(ln net.Listener) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		p.accepted.Add(1)
		l := p.admit(ln, c.(*net.TCPConn))
		if l == nil {
			continue
		}
		p.wg.Go(func() {
			l.run()
			p.mu.Lock()
			delete(p.links, l)
			p.mu.Unlock()
		})
	}
}

// admit registers a connection, unless ln has been closed since it was made.
func (p *Proxy) admit(ln net.Listener, c *net.TCPConn) *link {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := newLink(p, c, p.number)
	if p.ln != ln {
		l.kill(true)
		return nil
	}
	p.number++
	p.links[l] = struct{}{}
	return l
}

// Close ends all connections and waits for every goroutine of the proxy. Closing twice
// does no harm.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.closed = true
	p.refuse()
	p.mu.Unlock()
	p.wg.Wait()
}
