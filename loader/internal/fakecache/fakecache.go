// Package fakecache is an in-memory model of the memherd client over memcached nodes,
// for the loader's tests: copies that know nothing of each other, CAS tokens, stubs
// with their won flag, debt of unreachable copies. It follows the consistency rules
// step by step and calls Step before each request to a copy, so that a test can
// order, delay or fail every single one.
package fakecache

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/memherd/memherd/client/item"
)

// ErrDown is what requests to a copy that is down fail with.
var ErrDown = errors.New("fakecache: copy is down")

// Entry is what one copy holds under one key.
type Entry struct {
	Value []byte
	CAS   uint64
	Stub  bool // made by a lease, no value
	won   bool // W was given out, of a stub or of a live value's refresh: others get Z
	dies  time.Time
}

type node struct {
	entries map[string]*Entry
	cas     uint64
	down    bool
	owed    map[string]bool
}

// Cache is a client and its nodes. Several loaders on one Cache are several processes
// whose clients see the same nodes up. Copy 0 is the owner.
type Cache struct {
	// Step, when set, is called without locks before each request to a copy; op is
	// "mg", "ms" or "md". An error is the request's outcome, and it is not executed.
	Step func(op string, copy int) error
	// Fail, when set, is every method's first act; an error is its result.
	Fail func(method string) error

	mu    sync.Mutex // guards what follows, never held while Step runs
	nodes []*node
	calls map[string]int
	tier0 bool
}

// New returns a cache with so many copies of each key.
func New(copies int) *Cache {
	c := &Cache{calls: make(map[string]int)}
	for range copies {
		c.nodes = append(c.nodes, &node{entries: make(map[string]*Entry), owed: make(map[string]bool)})
	}
	return c
}

// Calls returns how often a method was called.
func (c *Cache) Calls(method string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.calls[method]
}

// Peek returns the live entry of key on a copy; ok is false when there is none.
func (c *Cache) Peek(copy int, key string) (Entry, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.nodes[copy].live(key)
	if e == nil {
		return Entry{}, false
	}
	return *e, true
}

// Plant stores raw bytes on every copy, as a program that knows nothing of memherd.
func (c *Cache) Plant(key string, value []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.nodes {
		n.store(key, value, 0)
	}
}

// Evict takes key from one copy, as a node does that needs room.
func (c *Cache) Evict(copy int, key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.nodes[copy].entries, key)
}

// SetTier0 makes the copies tell neither marks nor remaining lives, as nodes without meta
// commands do.
func (c *Cache) SetTier0() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tier0 = true
}

// SetDown makes a copy unreachable or brings it back; debt is replayed first.
func (c *Cache) SetDown(copy int, down bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.nodes[copy]
	if n.down && !down {
		for k := range n.owed {
			delete(n.entries, k)
			delete(n.owed, k)
		}
	}
	n.down = down
}

func (c *Cache) enter(ctx context.Context, method string) error {
	c.mu.Lock()
	c.calls[method]++
	c.mu.Unlock()
	if c.Fail != nil {
		if err := c.Fail(method); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// at runs fn on a copy as one atomic request.
func (c *Cache) at(op string, copy int, fn func(n *node)) error {
	if c.Step != nil {
		if err := c.Step(op, copy); err != nil {
			return err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.nodes[copy].down {
		return ErrDown
	}
	fn(c.nodes[copy])
	return nil
}

func (n *node) live(key string) *Entry {
	e := n.entries[key]
	if e != nil && !e.dies.IsZero() && !time.Now().Before(e.dies) {
		delete(n.entries, key)
		return nil
	}
	return e
}

func (n *node) store(key string, value []byte, ttl time.Duration) {
	n.cas++
	e := &Entry{Value: append([]byte(nil), value...), CAS: n.cas}
	if ttl > 0 {
		// Whole seconds, rounded up, as a node counts.
		e.dies = time.Now().Add((ttl + time.Second - 1).Truncate(time.Second))
	}
	n.entries[key] = e
}

// mgN is `mg k v c N<lease>`: the entry, and whether this request won (W).
func (n *node) mgN(key string, lease time.Duration) (e Entry, won bool) {
	if n.owed[key] { // replayed before this client reads the key there again
		n.md(key)
		delete(n.owed, key)
	}
	if p := n.live(key); p != nil {
		return *p, false
	}
	n.cas++
	p := &Entry{CAS: n.cas, Stub: true, won: true, dies: time.Now().Add(lease)}
	n.entries[key] = p
	return *p, true
}

// mgR is R<n> of an mg: whether this request won the right to refresh a live value.
func (n *node) mgR(e *Entry, below time.Duration) bool {
	if e.Stub || e.won || e.dies.IsZero() || e.left() >= below {
		return false
	}
	e.won = true
	return true
}

// left is t: what is left of the entry's life in whole seconds, 0 if it has no end.
func (e *Entry) left() time.Duration {
	if e.dies.IsZero() {
		return 0
	}
	return time.Until(e.dies).Truncate(time.Second)
}

// unmark is ms of the same value under its CAS, for the same life.
func (n *node) unmark(key string, cas uint64) {
	if e := n.live(key); e != nil && e.CAS == cas {
		n.cas++
		fresh := *e
		fresh.CAS, fresh.won = n.cas, false
		n.entries[key] = &fresh
	}
}

// msC is `ms k C<cas>`: false for NF and EX.
func (n *node) msC(key string, cas uint64, it item.Item) bool {
	e := n.live(key)
	if e == nil || e.CAS != cas {
		return false
	}
	n.store(key, it.Value, it.TTL)
	return true
}

// mdC is `md k C<cas>`.
func (n *node) mdC(key string, cas uint64) {
	if e := n.live(key); e != nil && e.CAS == cas {
		delete(n.entries, key)
	}
}

func (n *node) md(key string) (found bool) {
	found = n.live(key) != nil
	delete(n.entries, key)
	return found
}
