package client

import (
	"context"
	"sync"
	"time"

	"github.com/memherd/memherd/client/internal/pipe"
	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/client/memproto"
)

// singlesAtOnce is how many keys that a batch can't serve are seen to one by one at a time.
const singlesAtOnce = 64

// LeaseMulti is Lease for many keys, each of them once: one pipelined batch of requests
// to each home copy, and one to every other copy for the tokens of the keys that were won. The
// leases and errors are in the order of the keys; a lease counts if its error is nil, and
// each that was won must be filled or released. If ctx ends, what had been won is given back and its
// error is that of ctx. Keys whose home copy fails, is slow or lacks its memory are leased one
// by one, as Lease does.
func (c *Client) LeaseMulti(ctx context.Context, keys []string, o item.LeaseOptions) ([]item.Lease, []error) {
	m := multiLease{c: c, ctx: ctx, o: o, keys: keys, t: c.top.Load(),
		leases: make([]item.Lease, len(keys)), errs: make([]error, len(keys)), hashes: make([]uint64, len(keys))}
	m.ask()
	m.collect()
	m.askSingly()
	return m.leases, m.errs
}

// multiLease is a LeaseMulti under way.
type multiLease struct {
	c       *Client
	ctx     context.Context
	o       item.LeaseOptions
	keys    []string
	t       *topology
	hashes  []uint64
	leases  []item.Lease
	errs    []error
	singles []int         // positions of the keys that go by Lease
	unsure  map[int]error // by position: why a request may have run whose answer is not known
	won     []target
}

const opLeases = "lease"

// ask reads every key from its home copy, all at once.
func (m *multiLease) ask() {
	c := m.c
	read := c.leaseRead(m.o.TTL, getFlags|memproto.FlagLc)
	var asked time.Time // zero, unless the value may be given back: see postUnmark
	if m.o.Refresh != 0 {
		read.forRefresh(&m.o)
		asked = time.Now()
	}
	var asks []target
	for i, key := range m.keys {
		l := &m.leases[i]
		l.Key = key
		if m.errs[i] = c.check(m.ctx, opLeases, key); m.errs[i] != nil {
			continue
		}
		hash := m.t.ring.Hash(key)
		m.hashes[i] = hash
		if !m.o.NoNear && !m.o.Home && m.o.Refresh == 0 {
			if v, ok := c.near.Value(hash, key); ok {
				c.detector.Observe(hash, key, len(v.Bytes))
				l.Level = item.FromNear
				l.Item = item.Item{Key: key, Value: v.Bytes, Flags: v.Flags}
				continue
			}
		}
		home := c.home(m.t, hash, key)
		if home == nil || c.cold.nodes.Load() > 0 || c.steers() && c.detour(m.t, hash, key) >= 0 || c.scattered(key) != nil {
			m.singles = append(m.singles, i)
			continue
		}
		l.Placement, l.Copies = m.t.number, m.t.ring.Copies()
		l.Generation = c.near.Generation(hash)
		l.Asked = asked
		asks = append(asks, target{home, i})
	}
	m.run(asks, read, func(t target, f *flight) {
		l := &m.leases[t.i]
		if c.distrusts(m.t, m.hashes[t.i], m.keys[t.i], &read, f) {
			m.singles = append(m.singles, t.i)
			return
		}
		c.readLease(l, f, m.hashes[t.i], &m.o)
		if l.State == item.LeaseWon || l.State == item.LeaseRefresh {
			m.won = append(m.won, t)
		}
		if l.State != item.LeaseHit && l.State != item.LeaseRefresh {
			c.counters.misses.Add(1)
		}
	}, func(t target, err error) {
		m.singles = append(m.singles, t.i)
		if !item.SafeToRetry(err) {
			if m.unsure == nil {
				m.unsure = map[int]error{}
			}
			m.unsure[t.i] = err
		}
	})
}

// collect takes a token on every other copy of the keys that were won (rule 3).
func (m *multiLease) collect() {
	if len(m.won) == 0 {
		return
	}
	c := m.c
	var asks []target
	for _, t := range m.won {
		c.counters.leasesWon.Add(1)
		for _, at := range m.t.ring.LookupHash(m.hashes[t.i]) {
			n := m.t.nodes[at]
			if n == t.n || !n.breaker.Readable() || n.debt.Blocks(m.keys[t.i]) {
				continue
			}
			asks = append(asks, target{n, t.i})
		}
	}
	read := c.leaseRead(m.o.TTL, memproto.FlagLc|memproto.FlagLf|memproto.FlagLs)
	m.run(asks, read, func(t target, f *flight) {
		if k := f.call; k.Resp.Status == memproto.StatusHD && k.Resp.CAS != 0 {
			l := &m.leases[t.i]
			l.Tokens = append(l.Tokens, tokenOf(f))
		}
	}, func(target, error) {}) // a copy without a token is not filled
	if m.ctx.Err() == nil {
		return
	}
	for _, t := range m.won {
		c.giveBack(&m.leases[t.i])
		m.leases[t.i] = item.Lease{Key: m.keys[t.i]}
		m.errs[t.i] = &item.Error{Op: opLeases, Node: t.n.Name, Err: m.ctx.Err()}
	}
}

// run sends read to all targets; what fails is seen to and told to failed.
func (m *multiLease) run(ts []target, read readOptions, each func(t target, f *flight), failed func(t target, err error)) {
	if len(ts) == 0 {
		return
	}
	b := batch{c: m.c, op: opLeases, settler: lateLease{}, key: func(i int) string { return m.keys[i] },
		allowed: func(n *node) bool { return n.breaker.Readable() },
		request: func(i int, k *pipe.Call) { read.request(&k.Req, m.keys[i]) },
		each: func(t target, f *flight, left bool, err error) {
			if err != nil {
				t.n.orphanLease(m.keys[t.i], read.flags, left, err)
				failed(t, err)
				return
			}
			each(t, f)
		},
	}
	b.run(m.ctx, ts)
}

// askSingly leases what the batch could not.
func (m *multiLease) askSingly() {
	someAtOnce(m.singles, func(i int) {
		l, err := m.c.Lease(m.ctx, m.keys[i], m.o)
		if err != nil {
			err = bothOf(m.unsure[i], err)
		}
		m.leases[i], m.errs[i] = l, err
	})
}

// someAtOnce calls fn for each position, singlesAtOnce at a time.
func someAtOnce(positions []int, fn func(i int)) {
	if len(positions) == 0 {
		return
	}
	next := make(chan int, len(positions))
	for _, i := range positions {
		next <- i
	}
	close(next)
	var wg sync.WaitGroup
	for range min(len(positions), singlesAtOnce) {
		wg.Go(func() {
			for i := range next {
				fn(i)
			}
		})
	}
	wg.Wait()
}
