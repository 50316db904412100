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
// connection's buffers may run until then (consistency rule 13). It can't tell an orphan
// from the stub of somebody who won in the meantime: that one's fill is refused then, and
// the next reader loads again.

// orphans are the keys of one node at which a stub may be left. Its methods may be called
// concurrently.
type orphans struct {
	mu   sync.Mutex // guards keys, due; a leaf in the lock order
	keys map[string]struct{}
	due  time.Time // not to be looked for before
}

// maxOrphans bounds the keys remembered for one node. Those beyond it are freed by the end
// of their leases.
const maxOrphans = 1 << 16

func (o *orphans) add(key string, due time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.keys) >= maxOrphans {
		return
	}
	if o.keys == nil {
		o.keys = map[string]struct{}{}
	}
	o.keys[key] = struct{}{}
	o.due = due
}

// postpone has them looked for at due.
func (o *orphans) postpone(due time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.due = due
}

// take returns the keys if they are due, else how long until they are, 0 if there are
// none.
func (o *orphans) take(now time.Time) (keys []string, wait time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.keys) == 0 {
		return nil, 0
	}
	if wait = o.due.Sub(now); wait > 0 {
		return nil, wait
	}
	for key := range o.keys {
		keys = append(keys, key)
	}
	o.keys = nil
	return keys, 0
}

func (o *orphans) none() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.keys) == 0
}

// orphan notes that a stub of key may be left on n.
func (n *node) orphan(key string) {
	n.orphans.add(key, time.Now().Add(n.c.replayPause()))
	n.mend()
}

// orphanLease notes it for a request that may have made one and failed with err; left
// says that its Settler will learn the outcome.
func (n *node) orphanLease(key string, flags memproto.Flags, left bool, err error) {
	if flags.Has(memproto.FlagN) && !left && !item.SafeToRetry(err) {
		n.orphan(key)
	}
}

// orphanWin notes it for a win that can't be used or given back.
func (n *node) orphanWin(key string, tok item.Token) {
	if tok.Won && tok.Kind == item.TokenStub {
		n.orphan(key)
	}
}

// sweepOrphans removes the stubs that are due, and returns how long until others are; 0
// if there are none. Keys that could not be asked about are due again later.
func (n *node) sweepOrphans() time.Duration {
	keys, wait := n.orphans.take(time.Now())
	if len(keys) == 0 {
		return wait
	}
	ctx, cancel := context.WithTimeout(n.c.ctx, 4*n.c.cfg.Timeout)
	defer cancel()
	var stubs []target
	tokens := make([]uint64, len(keys))
	send := func(ts []target, request func(i int, k *pipe.Call), answer func(i int, k *pipe.Call)) {
		b := batch{c: n.c, op: "sweep", request: request,
			allowed: func(n *node) bool { return n.breaker.Writable() },
			each: func(t target, f *flight, _ bool, err error) {
				switch {
				case err == nil:
					answer(t.i, f.call)
				case !answered(err):
					n.orphan(keys[t.i])
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
		if k.Resp.Status == memproto.StatusHD && k.Resp.HasCAS && tokenKind(&k.Answer) == item.TokenStub {
			tokens[i] = k.Resp.CAS
			stubs = append(stubs, target{n, i})
		}
	})
	send(stubs, func(i int, k *pipe.Call) { k.Req = handBackRequest(keys[i], tokens[i], true) }, func(int, *pipe.Call) {
		n.c.counters.orphans.Add(1)
	})
	_, wait = n.orphans.take(time.Now())
	return wait
}
