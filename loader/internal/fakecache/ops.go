package fakecache

import (
	"bytes"
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/memherd/memherd/client/item"
)

func nodeName(copy int) string { return strconv.Itoa(copy) }

func copyOf(t item.Token) int {
	i, err := strconv.Atoi(t.Node)
	if err != nil {
		panic("fakecache: a token of another cache")
	}
	return i
}

func leaseTTL(o item.LeaseOptions) time.Duration {
	if o.TTL == 0 {
		return 10 * time.Second
	}
	return min(max(o.TTL, 2*time.Second), time.Minute)
}

// Lease reads the first copy that answers (rule 1); who wins there takes a token on
// every other live copy, all at once (rule 3).
func (c *Cache) Lease(ctx context.Context, key string, o item.LeaseOptions) (item.Lease, error) {
	l := item.Lease{Key: key, State: item.LeaseNone, Copies: len(c.nodes)}
	if err := c.enter(ctx, "Lease"); err != nil {
		return l, err
	}
	for home := range c.nodes {
		var e Entry
		var won bool
		tier0 := false
		err := c.at("mg", home, func(n *node) {
			tier0 = c.tier0
			e, won = n.mgN(key, leaseTTL(o))
			if o.Refresh != 0 && !e.Stub && !tier0 {
				// As the client sends it: one more than what was seen, in whole seconds.
				below := (o.Refresh + time.Second - 1).Truncate(time.Second) + time.Second
				won = n.mgR(n.live(key), below)
			}
		})
		if err != nil {
			continue
		}
		l.Asked = time.Now()
		if !e.Stub {
			l.Level = item.FromNode
			l.Item = item.Item{Key: key, Value: bytes.Clone(e.Value), CAS: e.CAS}
			if !tier0 {
				l.Item.TTL = e.left()
			}
		}
		switch {
		case won || o.Refresh != 0 && !e.Stub && (o.Force || tier0):
			l.State = item.LeaseWon
			kind := item.TokenStub
			if !e.Stub {
				l.State, kind = item.LeaseRefresh, item.TokenValue
			}
			l.Tokens = append(l.Tokens, item.Token{Version: item.Version{Node: nodeName(home)}, CAS: e.CAS, Kind: kind, Won: won})
			l.Tokens = append(l.Tokens, c.tokens(key, leaseTTL(o), home)...)
			if ctx.Err() != nil {
				// The caller left: a late win is handed back (rule 6).
				return item.Lease{Key: key, State: item.LeaseNone}, c.settle(ctx, l)
			}
		case e.Stub:
			l.State = item.LeaseWait
		default:
			l.State, l.Refreshing = item.LeaseHit, e.won && !tier0
		}
		return l, nil
	}
	return l, nil
}

func (c *Cache) settle(ctx context.Context, l item.Lease) error {
	c.drop(l)
	return ctx.Err()
}

func (c *Cache) drop(l item.Lease) {
	for _, t := range l.Tokens {
		switch {
		case t.Kind == item.TokenStub:
			_ = c.at("md", copyOf(t), func(n *node) { n.mdC(l.Key, t.CAS) })
		case t.Won:
			_ = c.at("ms", copyOf(t), func(n *node) { n.unmark(l.Key, t.CAS) })
		}
	}
}

// tokens asks every copy but one for a token, in parallel.
func (c *Cache) tokens(key string, ttl time.Duration, but int) []item.Token {
	got := make([]*item.Token, len(c.nodes))
	c.each(but, func(i int) {
		var e Entry
		if c.at("mg", i, func(n *node) { e, _ = n.mgN(key, ttl) }) == nil {
			got[i] = &item.Token{Version: item.Version{Node: nodeName(i)}, CAS: e.CAS}
			if e.Stub {
				got[i].Kind = item.TokenStub
			}
		}
	})
	var ts []item.Token
	for _, t := range got {
		if t != nil {
			ts = append(ts, *t)
		}
	}
	return ts
}

// each runs fn for every copy but one and waits.
func (c *Cache) each(but int, fn func(copy int)) {
	var wg sync.WaitGroup
	for i := range c.nodes {
		if i != but {
			wg.Go(func() { fn(i) })
		}
	}
	wg.Wait()
}

// Get reads the first copy that answers; a stub is a miss.
func (c *Cache) Get(ctx context.Context, key string) (item.Item, error) {
	if err := c.enter(ctx, "Get"); err != nil {
		return item.Item{}, err
	}
	for home := range c.nodes {
		var e Entry
		found := false
		err := c.at("get", home, func(n *node) {
			if p := n.live(key); p != nil && !p.Stub {
				e, found = *p, true
			}
		})
		if err != nil {
			continue
		}
		if !found {
			return item.Item{}, item.ErrCacheMiss
		}
		it := item.Item{Key: key, Value: e.Value}
		if !c.tier0 {
			it.TTL = e.left()
		}
		return it, nil
	}
	return item.Item{}, ErrDown
}

// Multi is a Cache that leases many keys at once, too.
type Multi struct{ *Cache }

// LeaseMulti leases each key, as one call.
func (c Multi) LeaseMulti(ctx context.Context, keys []string, o item.LeaseOptions) ([]item.Lease, []error) {
	leases, errs := make([]item.Lease, len(keys)), make([]error, len(keys))
	if err := c.enter(ctx, "LeaseMulti"); err != nil {
		for i := range errs {
			errs[i] = err
		}
		return leases, errs
	}
	for i, key := range keys {
		leases[i], errs[i] = c.Lease(ctx, key, o)
	}
	return leases, errs
}

// LeaseWrite takes a token on every live copy; having none is an error.
func (c *Cache) LeaseWrite(ctx context.Context, key string) (item.Lease, error) {
	if err := c.enter(ctx, "LeaseWrite"); err != nil {
		return item.Lease{}, err
	}
	l := item.Lease{Key: key, State: item.LeaseWrite, Copies: len(c.nodes)}
	l.Tokens = c.tokens(key, leaseTTL(item.LeaseOptions{}), -1)
	if len(l.Tokens) == 0 {
		return l, item.ErrNodeDown
	}
	return l, nil
}

// Fill follows rule 3 for a won lease and rule 8 for a write's.
func (c *Cache) Fill(ctx context.Context, l item.Lease, it item.Item) (item.Outcome, error) {
	_, o, err := c.fill(ctx, l, it)
	return o, err
}

// FillKeep is Fill of a write's lease that returns the tokens of what was stored.
func (c *Cache) FillKeep(ctx context.Context, l item.Lease, it item.Item) (item.Lease, item.Outcome, error) {
	if l.State != item.LeaseWrite {
		return item.Lease{}, item.Outcome{}, item.ErrLeaseLost
	}
	tokens, o, err := c.fill(ctx, l, it)
	if err != nil {
		return item.Lease{}, o, err
	}
	l.Tokens = tokens
	return l, o, nil
}

// SetKeep stores it on every copy at once and returns the tokens of what was stored.
func (c *Cache) SetKeep(ctx context.Context, it item.Item) (item.Lease, item.Outcome, error) {
	if err := c.enter(ctx, "SetKeep"); err != nil {
		return item.Lease{}, item.Outcome{}, err
	}
	l := item.Lease{Key: it.Key, State: item.LeaseWrite, Tokens: make([]item.Token, len(c.nodes))}
	errs := make([]error, len(c.nodes))
	c.each(-1, func(copy int) {
		errs[copy] = c.at("ms", copy, func(n *node) {
			n.store(it.Key, it.Value, it.TTL)
			l.Tokens[copy] = item.Token{Version: item.Version{Node: nodeName(copy)}, CAS: n.cas}
		})
	})
	if err := errors.Join(errs...); err != nil {
		o, err := c.delete(it.Key)
		if err == nil {
			err = item.ErrLeaseLost
		}
		return item.Lease{}, o, err
	}
	return l, item.Outcome{Copies: len(c.nodes), Confirmed: len(c.nodes)}, nil
}

// FillKeepMulti is FillKeep for each lease.
func (c Multi) FillKeepMulti(ctx context.Context, leases []item.Lease, items []item.Item) ([]item.Lease, []item.Outcome, []error) {
	kept, outs, errs := make([]item.Lease, len(leases)), make([]item.Outcome, len(leases)), make([]error, len(leases))
	for i, l := range leases {
		kept[i], outs[i], errs[i] = c.FillKeep(ctx, l, items[i])
	}
	return kept, outs, errs
}

func (c *Cache) fill(ctx context.Context, l item.Lease, it item.Item) (kept []item.Token, o item.Outcome, err error) {
	if err := c.enter(ctx, "Fill"); err != nil {
		return nil, item.Outcome{}, err
	}
	o = item.Outcome{Copies: len(c.nodes)}
	var mu sync.Mutex
	put := func(t item.Token) (ok bool) {
		var cas uint64
		err := c.at("ms", copyOf(t), func(n *node) {
			if ok = n.msC(l.Key, t.CAS, it); ok {
				cas = n.cas
			}
		})
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err != nil: // a fill creates no debt
		case ok:
			o.Confirmed++
			kept = append(kept, item.Token{Version: t.Version, CAS: cas})
		default:
			o.Refused++
		}
		return err == nil && ok
	}
	if l.State == item.LeaseWrite {
		good := len(l.Tokens) == len(c.nodes)
		if good {
			for _, t := range l.Tokens[1:] {
				good = put(t) && good
			}
			good = put(l.Tokens[0]) && good
		}
		if good {
			last := len(kept) - 1 // the home copy's, which comes first in a lease
			return append([]item.Token{kept[last]}, kept[:last]...), o, nil
		}
		d, err := c.delete(l.Key)
		d.Refused = o.Refused
		if err == nil && o.Refused > 0 {
			err = item.ErrLeaseLost
		}
		return nil, d, err
	}
	ok := make([]bool, len(l.Tokens))
	var wg sync.WaitGroup
	for i, t := range l.Tokens {
		wg.Go(func() { ok[i] = put(t) })
	}
	wg.Wait()
	switch {
	case ok[0]:
		return kept, o, nil
	case o.Refused > 0:
		return nil, o, item.ErrLeaseLost
	}
	return nil, o, ErrDown
}

// Release hands every token back.
func (c *Cache) Release(ctx context.Context, l item.Lease) error {
	if err := c.enter(ctx, "Release"); err != nil {
		return err
	}
	c.drop(l)
	return nil
}

// Delete reaches the other copies first and the owner last (rule 2); what cannot be
// reached is owed.
func (c *Cache) Delete(ctx context.Context, key string) (item.Outcome, error) {
	if err := c.enter(ctx, "Delete"); err != nil {
		return item.Outcome{}, err
	}
	return c.delete(key)
}

func (c *Cache) delete(key string) (item.Outcome, error) {
	o := item.Outcome{Copies: len(c.nodes)}
	var mu sync.Mutex
	del := func(i int) {
		found := false
		err := c.at("md", i, func(n *node) { found = n.md(key) })
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			o.Owed++
			c.mu.Lock()
			c.nodes[i].owed[key] = true
			c.mu.Unlock()
			return
		}
		o.Confirmed++
		o.Found = o.Found || found
	}
	c.each(0, del)
	del(0)
	if o.Confirmed == 0 {
		return o, item.ErrTooFewAcks
	}
	return o, nil
}
