package rival

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"runtime"
	"strconv"
	"sync"
	"time"
)

// Bare is about the least that a client on one pipelined connection can be, its callers doing the work: a
// yardstick, which says what a machine allows. It checks nothing, survives nothing, has no deadlines and no
// contexts, and talks to one server, which must answer all it is asked.
type Bare struct {
	nc   net.Conn
	pool sync.Pool // of *bareCall

	mu        sync.Mutex // guards what follows
	out, idle []byte     // requests that nobody sends yet, and memory for more
	queue     []*bareCall
	lastBatch int // calls answered by the last read
	flushing  bool
	reading   bool
	broken    error

	r *bufio.Reader // the reader's
}

// bareCall is a request under way.
type bareCall struct {
	wake           chan bool // true: answered; false: read for all now
	done, awaiting bool      // guarded by Bare.mu
	value          []byte
	missing        bool
	err            error
}

// NewBare connects to a server.
func NewBare(server string) (*Bare, error) {
	nc, err := net.DialTimeout("tcp", server, 5*time.Second)
	if err != nil {
		return nil, err
	}
	b := &Bare{nc: nc, r: bufio.NewReaderSize(nc, 64<<10)}
	b.pool.New = func() any { return &bareCall{wake: make(chan bool, 2)} }
	return b, nil
}

// Get returns the value at key.
func (b *Bare) Get(_ context.Context, key string) ([]byte, error) {
	value, missing, err := b.do(func(out []byte) []byte { return append(append(append(out, "mg "...), key...), " v\r\n"...) })
	if missing {
		err = ErrMiss
	}
	return value, err
}

// GetMulti gets one key after the other.
func (b *Bare) GetMulti(ctx context.Context, keys []string, each func(i int, value []byte)) error {
	for i, key := range keys {
		value, err := b.Get(ctx, key)
		if err == nil {
			each(i, value)
		} else if err != ErrMiss {
			return err
		}
	}
	return nil
}

// Set stores value at key.
func (b *Bare) Set(_ context.Context, key string, value []byte) error {
	_, _, err := b.do(func(out []byte) []byte {
		out = strconv.AppendInt(append(append(append(out, "ms "...), key...), ' '), int64(len(value)), 10)
		return append(append(append(out, "\r\n"...), value...), "\r\n"...)
	})
	return err
}

// Close closes the connection; calls under way fail.
func (b *Bare) Close() error { return b.nc.Close() }

func (b *Bare) do(request func(out []byte) []byte) (value []byte, missing bool, err error) {
	k := b.pool.Get().(*bareCall)
	*k = bareCall{wake: k.wake}
	b.mu.Lock()
	if err := b.broken; err != nil {
		b.mu.Unlock()
		return nil, false, err
	}
	b.out = request(b.out)
	b.queue = append(b.queue, k)
	if !b.flushing {
		if err := b.flush(); err != nil {
			b.mu.Unlock()
			return nil, false, b.fail(err)
		}
	}
	switch {
	case k.done:
		b.mu.Unlock()
		<-k.wake
	case b.reading:
		k.awaiting = true
		b.mu.Unlock()
		if !<-k.wake {
			if err := b.read(k); err != nil {
				return nil, false, b.fail(err)
			}
		}
	default:
		b.reading = true
		b.mu.Unlock()
		if err := b.read(k); err != nil {
			return nil, false, b.fail(err)
		}
	}
	value, missing, err = k.value, k.missing, k.err
	b.pool.Put(k)
	return value, missing, err
}

// fail fails everybody.
func (b *Bare) fail(err error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.broken = err
	for _, k := range b.queue {
		k.err, k.done = err, true
		k.wake <- true
	}
	b.queue = nil
	return err
}

// flush sends for all until nothing is queued. Those whom the last read answered are let in first. mu is held.
func (b *Bare) flush() error {
	b.flushing = true
	for last, idle := 1, 0; last < b.lastBatch && idle < 16; {
		b.mu.Unlock()
		runtime.Gosched()
		b.mu.Lock()
		if n := len(b.queue); n != last {
			last, idle = n, 0
		} else {
			idle++
		}
	}
	for len(b.out) > 0 {
		out := b.out
		b.out, b.idle = b.idle[:0], nil
		b.mu.Unlock()
		_, err := b.nc.Write(out)
		b.mu.Lock()
		if err != nil {
			return err
		}
		b.idle = out
	}
	b.flushing = false
	return nil
}

// read reads replies for all until me is answered, and has somebody else go on.
func (b *Bare) read(me *bareCall) error {
	for {
		if _, err := b.r.Peek(1); err != nil {
			return err
		}
		var answers []bareCall
		for whole(b.r) {
			a, err := b.answer()
			if err != nil {
				return err
			}
			answers = append(answers, a)
		}
		if len(answers) == 0 { // half a reply: wait for the rest
			a, err := b.answer()
			if err != nil {
				return err
			}
			answers = append(answers, a)
		}
		b.mu.Lock()
		if len(answers) > len(b.queue) {
			b.mu.Unlock()
			return fmt.Errorf("more answers than questions")
		}
		mine := append([]*bareCall(nil), b.queue[:len(answers)]...)
		b.queue = b.queue[:copy(b.queue, b.queue[len(answers):])]
		b.lastBatch = len(answers)
		for i, k := range mine {
			k.value, k.missing, k.done = answers[i].value, answers[i].missing, true
		}
		if me.done {
			b.reading = false
			for i := len(b.queue) - 1; i >= 0; i-- {
				if k := b.queue[i]; k.awaiting {
					b.reading, k.awaiting = true, false
					k.wake <- false
					break
				}
			}
		}
		done := me.done
		b.mu.Unlock()
		for _, k := range mine {
			if k != me {
				k.wake <- true
			}
		}
		if done {
			return nil
		}
	}
}

// whole reports whether a reply has come whole.
func whole(r *bufio.Reader) bool {
	buf, _ := r.Peek(r.Buffered())
	line, _, ok := bytes.Cut(buf, []byte("\n"))
	if !ok {
		return false
	}
	n, err := blockOf(line)
	return err != nil || len(buf) >= len(line)+1+n
}

// blockOf is how many bytes follow a reply's line.
func blockOf(line []byte) (int, error) {
	line = bytes.TrimSuffix(line, []byte("\r"))
	if !bytes.HasPrefix(line, []byte("VA ")) {
		return 0, nil
	}
	n, err := strconv.Atoi(string(line[3:]))
	return n + 2, err
}

// answer reads one reply.
func (b *Bare) answer() (a bareCall, err error) {
	line, err := b.r.ReadSlice('\n')
	if err != nil {
		return a, err
	}
	line = bytes.TrimSuffix(line, []byte("\r\n"))
	switch n, err := blockOf(line); {
	case err != nil:
		return a, err
	case n > 0:
		a.value = make([]byte, n)
		if _, err := io.ReadFull(b.r, a.value); err != nil {
			return a, err
		}
		a.value = a.value[:n-2]
	case string(line) == "EN":
		a.missing = true
	case string(line) != "HD":
		return a, fmt.Errorf("the server says %q", line)
	}
	return a, nil
}
