package rival

import (
	"context"
	"errors"
	"hash/maphash"
	"strconv"
	"sync"
)

// Bare is about the least that a client on one pipelined connection a server can be, its callers doing the work: a
// yardstick, which says what a machine allows. It checks nothing, survives nothing, has no deadlines and no
// contexts, and its servers must answer all they are asked.
type Bare struct {
	conns []*bareConn
	pages sync.Pool // of *barePage
}

// barePage is a GetMulti under way.
type barePage struct {
	parts []barePart // by server
}

// barePart is what one server is asked.
type barePart struct {
	line []byte
	at   []int // the positions of its keys
	call *bareCall
}

// NewBare connects to servers.
func NewBare(servers ...string) (*Bare, error) {
	b := &Bare{}
	for _, s := range servers {
		c, err := dialBare(s)
		if err != nil {
			return nil, errors.Join(err, b.Close())
		}
		b.conns = append(b.conns, c)
	}
	b.pages.New = func() any { return &barePage{parts: make([]barePart, len(b.conns))} }
	return b, nil
}

var seed = maphash.MakeSeed() // one for all: a server that one Bare has filled is read by another

// place is where the server of key is among b's.
func (b *Bare) place(key string) int {
	if len(b.conns) == 1 {
		return 0
	}
	return int(maphash.String(seed, key) % uint64(len(b.conns)))
}

// Get returns the value at key.
func (b *Bare) Get(_ context.Context, key string) ([]byte, error) {
	value, missing, err := b.conns[b.place(key)].do(func(out []byte) []byte {
		return append(append(append(out, "mg "...), key...), " v\r\n"...)
	})
	if missing {
		err = ErrMiss
	}
	return value, err
}

// Set stores value at key.
func (b *Bare) Set(_ context.Context, key string, value []byte) error {
	_, _, err := b.conns[b.place(key)].do(func(out []byte) []byte {
		out = strconv.AppendInt(append(append(append(out, "ms "...), key...), ' '), int64(len(value)), 10)
		return append(append(append(out, "\r\n"...), value...), "\r\n"...)
	})
	return err
}

// GetMulti sends a classic get to each server at once. No key may be asked for twice.
func (b *Bare) GetMulti(_ context.Context, keys []string, each func(i int, value []byte)) error {
	p := b.pages.Get().(*barePage)
	for i := range p.parts {
		p.parts[i].line, p.parts[i].at = append(p.parts[i].line[:0], "get"...), p.parts[i].at[:0]
	}
	for i, key := range keys {
		part := &p.parts[b.place(key)]
		part.line, part.at = append(append(part.line, ' '), key...), append(part.at, i)
	}
	err := b.turn(p)
	if err != nil {
		return err // and p is given up
	}
	for i := range p.parts {
		part := &p.parts[i]
		if len(part.at) == 0 {
			continue
		}
		next := 0
		for _, v := range part.call.many { // they come in the order of the keys
			for keys[part.at[next]] != string(v.key) {
				next++
			}
			each(part.at[next], v.value)
		}
		clear(part.call.many)
		b.conns[i].pool.Put(part.call)
	}
	b.pages.Put(p)
	return nil
}

// turn queues p's requests on all connections, sends them, and waits for all.
func (b *Bare) turn(p *barePage) (err error) {
	each := func(do func(c *bareConn, part *barePart) error) {
		for i, c := range b.conns {
			if err == nil && len(p.parts[i].at) > 0 {
				err = do(c, &p.parts[i])
			}
		}
	}
	each(func(c *bareConn, part *barePart) (err error) {
		part.call, err = c.queueUp(func(out []byte) []byte { return append(append(out, part.line...), "\r\n"...) })
		return err
	})
	each(func(c *bareConn, _ *barePart) error { return c.send() })
	each(func(c *bareConn, part *barePart) error { return c.wait(part.call) })
	return err
}

// Close closes the connections; calls under way fail.
func (b *Bare) Close() error {
	var errs []error
	for _, c := range b.conns {
		errs = append(errs, c.nc.Close())
	}
	return errors.Join(errs...)
}
