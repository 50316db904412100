// Package replay sends the requests of a trace through the client and the loader.
//
// A trace's reads, sets and deletes go through the Loader, since that is how an
// application would use them, and what misses is loaded from a synthetic origin.
// What only means something on a bare cache (gets and cas, add, replace, append,
// prepend, incr, decr) goes straight to the client, under keys of its own: the
// Loader's values stand in an envelope that such operations would break.
package replay

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/memherd/memherd/bench/internal/measure"
	"github.com/memherd/memherd/bench/internal/subject"
	"github.com/memherd/memherd/bench/internal/trace"
	"github.com/memherd/memherd/bench/internal/value"
	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/item"
)

// Player replays one trace on one subject, whose keys are the trace's.
type Player struct {
	trace *trace.Trace
	s     *subject.Subject
	raw   string            // prefix of the keys that bypass the Loader
	size  func(key int) int // where the trace does not say one
}

// New makes a player. raw must differ from the subject's own prefix; size is the
// size in bytes, by key, of values whose size the trace does not know.
func New(t *trace.Trace, s *subject.Subject, raw string, size func(key int) int) *Player {
	return &Player{trace: t, s: s, raw: raw, size: size}
}

// Do runs request n of the trace. It is a drive.Do but for the worker.
func (p *Player) Do(ctx context.Context, n int64) measure.Kind {
	r := p.trace.Reqs[n]
	key := p.trace.Keys[r.Key]
	switch r.Op {
	case trace.Get:
		p.s.Read(ctx, int(r.Key))
		return measure.Read
	case trace.Set:
		p.s.Write(ctx, int(r.Key))
		return measure.Write
	case trace.Delete:
		p.check(ctx, r.Op, p.s.Delete(ctx, int(r.Key)))
		return measure.Write
	case trace.Gets:
		p.gets(ctx, p.raw+key, r)
		return measure.Read
	}
	p.check(ctx, r.Op, p.write(ctx, p.raw+key, r))
	return measure.Write
}

// check counts what is a failure. Outcomes (a miss, a condition that did not hold,
// a lost race) are answers.
func (p *Player) check(ctx context.Context, op trace.Op, err error) {
	switch {
	case err == nil, errors.Is(err, client.ErrCacheMiss), errors.Is(err, item.ErrNotStored), errors.Is(err, item.ErrCASConflict), errors.Is(err, item.ErrNotNumber):
	default:
		p.s.Fail(ctx, op.String(), err)
	}
}

// gets reads a bare key for a later cas, and puts it there if it is missing, as the
// traced application did after its misses.
func (p *Player) gets(ctx context.Context, key string, r trace.Request) {
	it, err := p.s.Client.Gets(ctx, key)
	switch {
	case err == nil:
		p.verify(key, it.Value)
	case errors.Is(err, client.ErrCacheMiss):
		_, err = p.s.Client.Add(ctx, p.item(key, r))
		p.check(ctx, r.Op, err)
	default:
		p.s.Fail(ctx, r.Op.String(), err)
	}
}

func (p *Player) write(ctx context.Context, key string, r trace.Request) error {
	c, it := p.s.Client, p.item(key, r)
	var err error
	switch r.Op {
	case trace.Add:
		_, err = c.Add(ctx, it)
	case trace.Replace:
		_, err = c.Replace(ctx, it)
	case trace.CAS, trace.Append, trace.Prepend:
		// An append on one copy of several could not be repeated safely, so it is what
		// a careful application does: read, change, compare and swap.
		var old item.Item
		if old, err = c.Gets(ctx, key); err != nil {
			return err
		}
		p.verify(key, old.Value)
		it.CAS, it.Version = old.CAS, old.Version
		_, err = c.CompareAndSwap(ctx, it)
	case trace.Incr, trace.Decr:
		err = p.count(ctx, key, r)
	}
	return err
}

// count adds to or subtracts from a counter, which it makes if there is none.
func (p *Player) count(ctx context.Context, key string, r trace.Request) error {
	key += ":n"
	step := p.s.Client.Increment
	if r.Op == trace.Decr {
		step = p.s.Client.Decrement
	}
	_, err := step(ctx, key, 1)
	if errors.Is(err, client.ErrCacheMiss) {
		_, err = p.s.Client.Add(ctx, item.Item{Key: key, Value: strconv.AppendInt(nil, 1000, 10), TTL: ttl(r)})
	}
	return err
}

func (p *Player) verify(key string, b []byte) {
	if _, err := value.Check(key, b); err != nil {
		p.s.Wrong(err)
	}
}

func (p *Player) item(key string, r trace.Request) item.Item {
	size := int(r.ValueSize)
	if size == 0 {
		size = p.size(int(r.Key))
	}
	return item.Item{Key: key, Value: value.Make(key, 1, size), TTL: ttl(r)}
}

func ttl(r trace.Request) time.Duration { return time.Duration(r.TTL) * time.Second }

// Sizes returns the value size of each key, what size says where the trace knows none.
func Sizes(t *trace.Trace, size func(key int) int) []int {
	out := make([]int, len(t.Size))
	for i, s := range t.Size {
		out[i] = int(s)
		if s == 0 {
			out[i] = size(i)
		}
	}
	return out
}
