package rival

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"runtime"
	"strconv"
	"sync"
	"time"
)

// bareConn is a Bare's connection to one server.
type bareConn struct {
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
	done, awaiting bool      // guarded by bareConn.mu
	value          []byte
	missing        bool
	many           []bareValue // a classic get's
	err            error
}

// bareValue is one of many.
type bareValue struct{ key, value []byte }

// bareAnswer is one reply, or, with more, a value of one that goes on.
type bareAnswer struct {
	bareValue
	missing, more bool
}

func dialBare(server string) (*bareConn, error) {
	nc, err := net.DialTimeout("tcp", server, 5*time.Second)
	if err != nil {
		return nil, err
	}
	b := &bareConn{nc: nc, r: bufio.NewReaderSize(nc, 64<<10)}
	b.pool.New = func() any { return &bareCall{wake: make(chan bool, 2)} }
	return b, nil
}

// do sends a request and waits for the reply.
func (b *bareConn) do(request func(out []byte) []byte) (value []byte, missing bool, err error) {
	k, err := b.queueUp(request)
	if err == nil {
		err = b.send()
	}
	if err == nil {
		err = b.wait(k)
	}
	if err != nil {
		return nil, false, err
	}
	value, missing = k.value, k.missing
	b.pool.Put(k)
	return value, missing, nil
}

// queueUp queues a request, which somebody must send.
func (b *bareConn) queueUp(request func(out []byte) []byte) (*bareCall, error) {
	k := b.pool.Get().(*bareCall)
	*k = bareCall{wake: k.wake, many: k.many[:0]}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.broken != nil {
		return nil, b.broken
	}
	b.out = request(b.out)
	b.queue = append(b.queue, k)
	return k, nil
}

// send sends what is queued unless somebody else does.
func (b *bareConn) send() error {
	b.mu.Lock()
	if b.flushing || len(b.out) == 0 {
		b.mu.Unlock()
		return nil
	}
	err := b.flush()
	b.mu.Unlock()
	if err != nil {
		return b.fail(err)
	}
	return nil
}

// wait waits for the reply to k.
func (b *bareConn) wait(k *bareCall) error {
	b.mu.Lock()
	switch {
	case k.done:
		b.mu.Unlock()
		<-k.wake
	case b.reading:
		k.awaiting = true
		b.mu.Unlock()
		if !<-k.wake {
			if err := b.read(k); err != nil {
				return b.fail(err)
			}
		}
	default:
		b.reading = true
		b.mu.Unlock()
		if err := b.read(k); err != nil {
			return b.fail(err)
		}
	}
	return k.err
}

// fail fails everybody.
func (b *bareConn) fail(err error) error {
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
func (b *bareConn) flush() error {
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
func (b *bareConn) read(me *bareCall) error {
	for {
		if _, err := b.r.Peek(1); err != nil {
			return err
		}
		var answers []bareAnswer
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
		mine, done, err := b.handOut(answers, me)
		if err != nil {
			return err
		}
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

// handOut puts answers where they belong, and returns the calls that are complete with them, and whether me is.
func (b *bareConn) handOut(answers []bareAnswer, me *bareCall) (mine []*bareCall, done bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for _, a := range answers {
		if n == len(b.queue) {
			return nil, false, fmt.Errorf("more answers than questions")
		}
		k := b.queue[n]
		if a.more {
			k.many = append(k.many, a.bareValue)
			continue
		}
		k.value, k.missing, k.done = a.value, a.missing, true
		n++
	}
	mine = append(mine, b.queue[:n]...)
	b.queue = b.queue[:copy(b.queue, b.queue[n:])]
	if n > 0 {
		b.lastBatch = n
	}
	if !me.done {
		return mine, false, nil
	}
	b.reading = false
	for i := len(b.queue) - 1; i >= 0; i-- {
		if k := b.queue[i]; k.awaiting {
			b.reading, k.awaiting = true, false
			k.wake <- false
			break
		}
	}
	return mine, true, nil
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
	var size []byte
	switch {
	case bytes.HasPrefix(line, []byte("VA ")):
		size = line[3:]
	case bytes.HasPrefix(line, []byte("VALUE ")):
		size = line[bytes.LastIndexByte(line, ' ')+1:]
	default:
		return 0, nil
	}
	n, err := strconv.Atoi(string(size))
	return n + 2, err
}

// answer reads one reply, or one value of many.
func (b *bareConn) answer() (a bareAnswer, err error) {
	line, err := b.r.ReadSlice('\n')
	if err != nil {
		return a, err
	}
	line = bytes.TrimSuffix(line, []byte("\r\n"))
	n, err := blockOf(line)
	switch {
	case err != nil:
		return a, err
	case n > 0:
		var key []byte
		if rest, more := bytes.CutPrefix(line, []byte("VALUE ")); more {
			a.more = true
			key, _, _ = bytes.Cut(rest, []byte(" "))
		}
		both := append(make([]byte, 0, len(key)+n), key...)[:len(key)+n]
		if _, err := io.ReadFull(b.r, both[len(key):]); err != nil {
			return a, err
		}
		a.key, a.value = both[:len(key)], both[len(key):len(both)-2]
	case string(line) == "EN":
		a.missing = true
	case string(line) != "HD" && string(line) != "END":
		return a, fmt.Errorf("the server says %q", line)
	}
	return a, nil
}
