package client

import (
	"context"
	"sync"
	"time"

	"github.com/memherd/memherd/client/internal/pipe"
	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/client/memproto"
)

// An orphan is a stub that may lie on a node with nobody left to fill it: the request
// that asked for the lease, the fill, or the win itself went down with a connection,
// while the node kept its memory. Everybody else would wait until the lease runs out. So
// the node's mender looks for it when the node answers again, and removes it.
//
// It looks once, replayPause after the node is back, since what was left in the dead
// connection's buffers may run until then (consistency rule 13). Of a win it knows the token, and leaves other stubs alone. Where
// nobody has seen the token it can't tell an orphan from the stub of somebody who won in the meantime: that one's fill is refused
// then, and the next reader loads again.

// orphans are the keys of one node at which a stub may be left. Its methods may be called
// concurrently.
type orphans struct {
	mu   sync.Mutex // guards keys; a leaf in the lock order
	keys map[string]orphaned
}

// orphaned is what is known of one.
type orphaned struct {
	cas uint64    // the stub's token; 0 if nobody has seen it: any stub is taken for it then
	due time.Time // not to be looked for before
}

// maxOrphans bounds the keys remembered for one node. Those beyond it are freed by the end
// of their leases.
const maxOrphans = 1 << 16

func (o *orphans) add(key string, cas uint64, due time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	old, known := o.keys[key]
	switch {
	case known && old.cas != cas:
		cas = 0 // one of the two
	case !known && len(o.keys) >= maxOrphans:
		return
	}
	if o.keys == nil {
		o.keys = map[string]orphaned{}
	}
	o.keys[key] = orphaned{cas, due}
}

// postpone has them looked for at due.
func (o *orphans) postpone(due time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for key, at := range o.keys {
		o.keys[key] = orphaned{at.cas, due}
	}
}

// take returns up to most keys that are due, and their tokens.
func (o *orphans) take(now time.Time, most int) (keys []string, tokens []uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for key, at := range o.keys {
		if len(keys) == most {
			break
		}
		if !at.due.After(now) {
			keys, tokens = append(keys, key), append(tokens, at.cas)
			delete(o.keys, key)
		}
	}
	return keys, tokens
}

// wait is how long until one is due, a nanosecond if one is, and 0 if there are none.
func (o *orphans) wait(now time.Time) (wait time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, at := range o.keys {
		left := max(at.due.Sub(now), 1)
		if wait == 0 || left < wait {
			wait = left
		}
		if left == 1 {
			break
		}
	}
	return wait
}

func (o *orphans) none() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.keys) == 0
}

// orphan notes that a stub of key may be left on n: the one with the token cas, or, if that is 0, whichever is there.
func (n *node) orphan(key string, cas uint64) {
	n.orphans.add(key, cas, time.Now().Add(n.c.replayPause()))
	n.mend()
}

// orphanLease notes it for a request that may have made one and failed with err; left
// says that its Settler will learn the outcome.
func (n *node) orphanLease(key string, flags memproto.Flags, left bool, err error) {
	if flags.Has(memproto.FlagN) && !left && !item.SafeToRetry(err) {
		n.orphan(key, 0)
	}
}

// orphanWin notes it for a win that can't be used or given back.
func (n *node) orphanWin(key string, tok item.Token) {
	if tok.Won {
		n.orphanStub(key, tok)
	}
}

// orphanStub notes it for what tok is the token of, if that is a stub.
func (n *node) orphanStub(key string, tok item.Token) {
	if tok.Kind == item.TokenStub {
		n.orphan(key, tok.CAS)
	}
}

// sweepBatch is how many orphans are looked for before the mender turns to what else there is: two round trips each way.
const sweepBatch = 256

// sweepOrphans removes stubs that are due, and returns how long until others are; 0
// if there are none. Keys that could not be asked about are due again later.
func (n *node) sweepOrphans() time.Duration {
	keys, known := n.orphans.take(time.Now(), sweepBatch)
	if len(keys) == 0 {
		return n.orphans.wait(time.Now())
	}
	ctx, cancel := context.WithTimeout(n.c.ctx, 4*n.c.cfg.Timeout)
	defer cancel()
	var stubs []target
	tokens := make([]uint64, len(keys))
	send := func(ts []target, request func(i int, k *pipe.Call), answer func(i int, k *pipe.Call)) {
		b := batch{c: n.c, op: "sweep", request: request, apart: true,
			allowed: func(n *node) bool { return n.breaker.Writable() },
			each: func(t target, f *flight, _ bool, err error) {
				switch {
				case err == nil:
					answer(t.i, f.call)
				case !answered(err):
					n.orphan(keys[t.i], known[t.i])
				}
			},
		}
		b.run(ctx, ts)
	}
	all := make([]target, len(keys))
	for i := range keys {
		all[i] = target{n, i}
	}
	send(all, func(i int, k *pipe.Call) { k.Req = tokenRequest(keys[i]) }, func(i int, k *pipe.Call) {
		r := &k.Resp
		if r.Status == memproto.StatusHD && r.HasCAS && tokenKind(&k.Answer) == item.TokenStub && (known[i] == 0 || known[i] == r.CAS) {
			tokens[i] = r.CAS
			stubs = append(stubs, target{n, i})
		}
	})
	send(stubs, func(i int, k *pipe.Call) { k.Req = handBackRequest(keys[i], tokens[i], true) }, func(int, *pipe.Call) {
		n.c.counters.orphans.Add(1)
	})
	return n.orphans.wait(time.Now())
}
