package client_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/nodeserver/stock"
	"github.com/memherd/memherd/ring"
)

// request is one operation on a register that holds a number; seen is what the Gets
// before a "cas" returned. Every number is written once, so "the CAS token of seen" and
// "seen" mean the same.
type request struct {
	op      string
	n, seen int
}

// absent is the register's state without an item.
const absent = -1

// reply is what the operation returned: its number, absent for a miss, or refused.
type reply struct {
	n       int
	refused bool
}

// operation is a request, its reply, and when it was under way.
type operation struct {
	request
	reply
	from, to time.Duration
}

// step is the sequential register: the state after an operation on state s, and whether
// the operation could have had its reply.
func step(s int, o operation) (int, bool) {
	q, r := o.request, o.reply
	switch q.op {
	case "get":
		return s, r.n == s
	case "set":
		return q.n, true
	case "add":
		return pick(r.refused, s, q.n), r.refused == (s != absent)
	case "delete":
		return absent, (r.n == absent) == (s == absent)
	case "increment":
		if s == absent {
			return s, r.n == absent
		}
		return s + 1, r.n == s+1
	case "cas":
		if s == absent {
			return s, r.n == absent
		}
		return pick(r.refused, s, q.n), r.n != absent && r.refused == (s != q.seen)
	}
	return s, false
}

// linearizable reports whether the operations, at most 64, can be put into an order that
// keeps to their times and gives each the reply it had. It tries, depth first, each
// operation that began before all that are left have ended, and remembers which sets
// of finished operations led nowhere from which state (Wing and Gong's search with
// Lowe's memory).
func linearizable(ops []operation) bool {
	type node struct {
		done  uint64
		state int
	}
	dead := map[node]bool{}
	var walk func(at node) bool
	walk = func(at node) bool {
		if at.done == 1<<len(ops)-1 {
			return true
		}
		if dead[at] {
			return false
		}
		first := time.Duration(math.MaxInt64) // when the first of the rest ended
		for i, o := range ops {
			if at.done>>i&1 == 0 {
				first = min(first, o.to)
			}
		}
		for i, o := range ops {
			if at.done>>i&1 == 1 || o.from > first {
				continue
			}
			if next, ok := step(at.state, o); ok && walk(node{at.done | 1<<i, next}) {
				return true
			}
		}
		dead[at] = true
		return false
	}
	return walk(node{0, absent})
}

func pick(first bool, a, b int) int {
	if first {
		return a
	}
	return b
}

// perform runs q and translates what came of it.
func perform(c *client.Client, key string, q request, seen *client.Item) (reply, error) {
	ctx := context.Background()
	it := client.Item{Key: key, Value: strconv.AppendInt(nil, int64(q.n), 10)}
	var err error
	r := reply{n: q.n}
	switch q.op {
	case "get":
		*seen, err = c.Gets(ctx, key)
		if err == nil {
			r.n, err = strconv.Atoi(string(seen.Value))
		}
	case "set":
		_, err = c.Set(ctx, it)
	case "add":
		_, err = c.Add(ctx, it)
	case "delete":
		var out client.Outcome
		if out, err = c.Delete(ctx, key); !out.Found {
			r.n = absent
		}
	case "increment":
		var n uint64
		n, err = c.Increment(ctx, key, 1)
		r.n = int(n)
	case "cas":
		it.CAS, it.Version = seen.CAS, seen.Version
		_, err = c.CompareAndSwap(ctx, it)
	}
	switch {
	case errors.Is(err, client.ErrCacheMiss):
		return reply{n: absent}, nil
	case errors.Is(err, client.ErrNotStored), errors.Is(err, client.ErrCASConflict):
		return reply{n: q.n, refused: true}, nil
	}
	return r, err
}

// history lets goroutines work on one key and notes what they saw and when.
func history(t *testing.T, cs []*client.Client, key string, goroutines, each int) []operation {
	began := time.Now()
	var numbers atomic.Int64
	ops := make([][]operation, goroutines)
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			var seen client.Item
			for range each {
				q := request{op: []string{"get", "get", "set", "add", "delete", "increment", "cas", "cas"}[rand.N(8)]}
				q.n = int(numbers.Add(1000)) // far enough apart for the increments
				if q.op == "cas" {
					if seen.CAS == 0 {
						q.op = "get"
					} else {
						q.seen, _ = strconv.Atoi(string(seen.Value))
					}
				}
				call := time.Since(began)
				r, err := perform(cs[g%len(cs)], key, q, &seen)
				if err != nil {
					t.Error(q.op, err)
					return
				}
				ops[g] = append(ops[g], operation{q, r, call, time.Since(began)})
			}
		})
	}
	wg.Wait()
	var all []operation
	for _, o := range ops {
		all = append(all, o...)
	}
	return all
}

// On one node with one copy everything about a key is linearizable, whoever does it.
func TestOneCopyIsLinearizable(t *testing.T) {
	check := func(t *testing.T, cs []*client.Client) {
		for i := range scaled(t, 150) {
			h := history(t, cs, fmt.Sprint("k", i), 5, 8)
			require.True(t, linearizable(h), "%+v", h)
		}
	}
	t.Run("memnode", func(t *testing.T) {
		f := newMemFleet(t, 1, nodeserver.Config{})
		check(t, []*client.Client{f.client(client.Config{}), f.client(client.Config{})})
	})
	t.Run("memnode 1.5.22", func(t *testing.T) {
		f := newMemFleet(t, 1, nodeserver.Config{Profile: nodeserver.Profile15})
		check(t, []*client.Client{f.client(client.Config{}), f.client(client.Config{})})
	})
	t.Run("memcached", func(t *testing.T) {
		cfg := client.Config{Nodes: ring.Addrs(stock.ForTest(t).Addr()), Timeout: 5 * time.Second, DialTimeout: 5 * time.Second}
		classic := cfg
		classic.DialContext = dialClassic
		check(t, []*client.Client{newClient(t, cfg), newClient(t, classic)})
	})
}

// The check can tell right from wrong: a stale read, a lock granted twice.
func TestTheLinearizabilityCheckRefuses(t *testing.T) {
	op := func(from, to time.Duration, q request, r reply) operation { return operation{q, r, from, to} }
	for what, h := range map[string][]operation{
		"stale read":     {op(0, 1, request{op: "set", n: 1}, reply{n: 1}), op(2, 3, request{op: "get"}, reply{n: absent})},
		"granted twice":  {op(0, 3, request{op: "add", n: 1}, reply{n: 1}), op(1, 2, request{op: "add", n: 2}, reply{n: 2})},
		"counted double": {op(0, 1, request{op: "set", n: 5}, reply{n: 5}), op(2, 3, request{op: "increment"}, reply{n: 7})},
		"blind cas": {op(0, 1, request{op: "set", n: 1}, reply{n: 1}), op(2, 3, request{op: "set", n: 2}, reply{n: 2}),
			op(4, 5, request{op: "cas", n: 3, seen: 1}, reply{n: 3})},
	} {
		require.False(t, linearizable(h), what)
	}
}
