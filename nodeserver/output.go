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
	o.cond = sync.NewCond(&o.mu)
	switch nc := nc.(type) {
	case tryWriter:
		o.try = nc.TryWrite
	case syscall.Conn:
		if raw, err := nc.SyscallConn(); err == nil {
			o.try = newRawWriter(raw).write
		}
	}
}

// rawWriter writes to a non-blocking socket once, without waiting for it. It is a
// struct so that the function handed to RawConn is made once per connection.
type rawWriter struct {
	raw syscall.RawConn
	f   func(uintptr) bool
	p   []byte
	n   int
	err error
}

func newRawWriter(raw syscall.RawConn) *rawWriter {
	w := &rawWriter{raw: raw}
	w.f = func(fd uintptr) bool {
		for {
			w.n, w.err = syscall.Write(int(fd), w.p)
			if w.err != syscall.EINTR {
				return true // also on EAGAIN: whoever wants to wait does it elsewhere
			}
		}
	}
	return w
}

func (w *rawWriter) write(p []byte) (int, error) {
	w.p = p
	err := w.raw.Write(w.f)
	w.p = nil
	if err != nil {
		return 0, err
	}
	if w.err == syscall.EAGAIN {
		return 0, nil
	}
	return max(w.n, 0), w.err
}

// flush sends what was gathered; false means that the connection is broken.
func (o *output) flush() bool {
	if len(o.buf) == 0 {
		return true
	}
	p := o.buf
	o.written.Add(uint64(len(p)))
	o.mu.Lock()
	active := o.active
	o.mu.Unlock()
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
			o.nc.Close() // ends the connection's read
		}
		o.cond.Broadcast()
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
