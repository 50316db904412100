package nodeserver

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// maxQueued is how many bytes of replies may wait for a slow reader before no
	// more commands of its are executed.
	maxQueued = 16 << 20
	// writeChunk is how much a slow reader has to take within the write timeout.
	writeChunk = 64 << 10
)

// output gathers a connection's replies and writes a batch with one system call.
//
// Reading must go on while a peer does not take its replies: a client that writes a
// big pipeline before it reads would wait for the node to read, and the node for the
// client, forever. So the connection's goroutine only ever tries to write; what the
// socket does not take goes to a queue, and a goroutine that lives as long as the
// queue holds something does the waiting. When the queue is full the connection
// stops, and when nothing of it moves for the write timeout it is closed.
type output struct {
	buf     []byte // replies of the present batch; the connection's goroutine's
	nc      net.Conn
	try     func([]byte) (int, error)
	queued  bool           // something has been queued once: look whether it still is
	leave   func() bool    // not nil: has to come before anybody may wait, see conn.leave
	written *atomic.Uint64 // bytes handed on, for stats
	timeout time.Duration

	// mu guards the fields below; cond is signalled when one of them changes.
	mu     sync.Mutex
	cond   *sync.Cond
	queue  []byte
	spare  []byte
	active bool // the writing goroutine lives
	err    error
}

// tryWriter is a connection that can write without waiting.
type tryWriter interface {
	TryWrite(p []byte) (int, error)
}

func (o *output) init(nc net.Conn, timeout time.Duration, written *atomic.Uint64) {
	o.nc, o.timeout, o.written = nc, timeout, written
	o.try, o.leave = nil, nil
	if o.cond == nil {
		o.cond = sync.NewCond(&o.mu)
	}
	switch nc := nc.(type) {
	case tryWriter:
		o.try = nc.TryWrite
	case syscall.Conn:
		if raw, err := nc.SyscallConn(); err == nil {
			o.try = rawTry(raw)
		}
	}
}

// initIn is init for a connection that a loop serves: try never waits, and leave comes
// before whatever may.
func (o *output) initIn(try func([]byte) (int, error), leave func() bool) {
	o.nc, o.try, o.leave = nil, try, leave
}

// flush sends what was gathered; false means that the connection is broken.
func (o *output) flush() bool {
	if len(o.buf) == 0 {
		return true
	}
	p := o.buf
	o.written.Add(uint64(len(p)))
	active := false
	if o.queued {
		o.mu.Lock()
		active = o.active
		o.mu.Unlock()
	}
	// active only turns on in this goroutine, so "off" stays true until below. (A
	// watcher's goroutine, for which that does not hold, has nothing to flush.)
	if !active && o.try != nil {
		n, err := o.try(p)
		if err != nil {
			o.fail(err)
			return false
		}
		p = p[n:]
	}
	ok := true
	if len(p) > 0 {
		// What is left of p stands in a buffer that leaving does not touch.
		if o.leave != nil && !o.leave() {
			o.fail(errFinished)
			return false
		}
		o.queued = true
		ok = o.enqueue(p)
	}
	if cap(o.buf) > 2*flushAt {
		o.buf = nil
	}
	o.buf = o.buf[:0]
	return ok
}

func (o *output) fail(err error) {
	o.mu.Lock()
	if o.err == nil {
		o.err = err
	}
	o.mu.Unlock()
}

func (o *output) enqueue(p []byte) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.queue = append(o.queue, p...)
	if !o.active && o.err == nil {
		o.active = true
		go o.drain()
	}
	for len(o.queue) > maxQueued && o.err == nil {
		o.cond.Wait()
	}
	return o.err == nil
}

// offer queues p for the writing goroutine unless more than limit waits; it may be
// called by any goroutine and never waits.
func (o *output) offer(p []byte, limit int) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil || len(o.queue)+len(p) > limit {
		return false
	}
	o.queue = append(o.queue, p...)
	if !o.active {
		o.active = true
		go o.drain()
	}
	return true
}

// drain writes the queue until it is empty.
func (o *output) drain() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.queue) > 0 && o.err == nil {
		p := o.queue
		o.queue = o.spare[:0]
		o.mu.Unlock()
		err := o.writeAll(p)
		o.mu.Lock()
		o.spare = p[:0]
		if err != nil && o.err == nil {
			o.err = err
			o.mu.Unlock() // TLS says goodbye for up to 5 s, and who has an event for a watcher waits for mu
			o.nc.Close()  // ends the connection's read
			o.mu.Lock()
		}
		o.cond.Broadcast()
	}
	if o.err == nil {
		// It was for what has been written: past, it would fail what is next, tried or not.
		o.nc.SetWriteDeadline(time.Time{})
	}
	o.active, o.queue, o.spare = false, nil, nil
	o.cond.Broadcast()
}

func (o *output) writeAll(p []byte) error {
	for len(p) > 0 {
		chunk := p[:min(len(p), writeChunk)]
		if err := o.nc.SetWriteDeadline(time.Now().Add(o.timeout)); err != nil {
			return err
		}
		n, err := o.nc.Write(chunk)
		if err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

var errFinished = errors.New("nodeserver: connection finished")

// finish sends what is left, waits until the writing goroutine has ended, and lets no
// other start.
func (o *output) finish() {
	o.flush()
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.active {
		o.cond.Wait()
	}
	if o.err == nil {
		o.err = errFinished
	}
}
