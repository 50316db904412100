package client_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/memproto"
	"github.com/memherd/memherd/nodeserver"
)

// witness knows which writes the nodes saw, and whether a value is what was asked for.
// Every write has a number of its own: in the value, as the delta of a counter, or as
// the seconds of a TTL. A value is made of units "key#number;", so that what append and
// prepend make of it can be told as well, and a counter keeps its key's number in its
// last two digits.
type witness struct {
	t testing.TB

	mu     sync.Mutex // guards what follows
	last   int
	seen   map[int]int    // how often, on whatever node
	safe   map[int]string // what a caller was told had not been sent
	done   map[int]string // what a caller was told had been done
	told   map[int]string // the operations whose end is known
	counts map[string]int // of outcomes, by name
}

// firstNumber leaves room for TTLs that outlive a test.
const firstNumber = 100_000

// hugeCount is what counters start near: decrements don't take them to 0.
const hugeCount = 1_000_000_000_000_000

func newWitness(t testing.TB) *witness {
	return &witness{t: t, last: firstNumber, seen: map[int]int{}, safe: map[int]string{}, done: map[int]string{}, told: map[int]string{}, counts: map[string]int{}}
}

// number returns the number of a new write.
func (w *witness) number() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last++
	return w.last
}

func unit(key string, n int) []byte { return fmt.Appendf(nil, "%s#%d;", key, n) }

// saw is a node's Intercept.
func (w *witness) saw(r *memproto.Request) {
	n := 0
	switch {
	case r.Cmd == memproto.CmdMetaSet:
		_, tail, _ := strings.Cut(string(r.Value), "#")
		// A compare-and-swap's new number comes last; the other writes have one only.
		if i := strings.LastIndexByte(tail, '#'); i >= 0 {
			tail = tail[i+1:]
		}
		n, _ = strconv.Atoi(strings.TrimSuffix(tail, ";"))
	case r.Cmd == memproto.CmdMetaArith:
		n = int(r.Delta / 100)
	case r.Cmd == memproto.CmdMetaGet && r.Flags.Has(memproto.FlagT):
		n = int(r.Exptime)
	case r.Cmd == memproto.CmdMetaDelete && strings.HasPrefix(string(r.Key), "d"):
		n, _ = strconv.Atoi(string(r.Key[1:]))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen[n]++
}

// intercept gives the Intercept of a node that tells w what it sees.
func (w *witness) intercept(then func(r *memproto.Request) nodeserver.Verdict) func(net.Addr, *memproto.Request) nodeserver.Verdict {
	return func(_ net.Addr, r *memproto.Request) nodeserver.Verdict {
		w.saw(r)
		return then(r)
	}
}

// value checks what was read at key.
func (w *witness) value(key, value string) {
	w.count("hit")
	if strings.HasPrefix(key, "n") {
		n, err := strconv.Atoi(strings.TrimRight(value, " "))
		if want, _ := strconv.Atoi(key[1:]); err != nil || n%100 != want || n < hugeCount/2 {
			w.t.Errorf("the counter %s holds %q", key, value)
		}
		return
	}
	for rest := value; rest != ""; {
		u, more, ok := strings.Cut(rest, ";")
		_, err := strconv.Atoi(strings.TrimPrefix(u, key+"#"))
		if !ok || err != nil {
			w.t.Errorf("%s holds %q", key, value)
			return
		}
		rest = more
	}
}

func (w *witness) count(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.counts[what]++
}

// wrote notes what the caller of write n was told.
func (w *witness) wrote(op string, n int, err error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.told[n] = op
	switch {
	case err == nil:
		w.done[n] = op
	case client.SafeToRetry(err):
		w.safe[n] = op
	default:
		w.counts["unknown or refused"]++
	}
	return err
}

// verdict compares what callers were told with what the nodes saw, once all is quiet.
func (w *witness) verdict() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for n, op := range w.done {
		assert.Positive(w.t, w.seen[n], "%s %d is said to be done, and no node has seen it", op, n)
	}
	for n, op := range w.safe {
		assert.Zero(w.t, w.seen[n], "%s %d is said to be safe to retry, and a node has seen it", op, n)
	}
	w.counts["done"] += len(w.done)
	w.counts["safe to retry"] += len(w.safe)
}

// ops are all operations on a key with a value, and on one with a number. They check
// what they read and note what they write.
func (w *witness) ops(c *client.Client, ctx context.Context, key, num string) map[string]func() error {
	read := func(it client.Item, err error) error {
		if err == nil {
			w.value(it.Key, string(it.Value))
		}
		return err
	}
	write := func(op string, f func(context.Context, client.Item) (client.Outcome, error)) func() error {
		return func() error {
			n := w.number()
			_, err := f(ctx, client.Item{Key: key, Value: unit(key, n)})
			return w.wrote(op, n, err)
		}
	}
	number := func(op string, f func(n int) (uint64, error)) func() error {
		return func() error {
			n := w.number()
			got, err := f(n)
			if err == nil {
				w.value(num, strconv.FormatUint(got, 10))
			}
			return w.wrote(op, n, err)
		}
	}
	index, _ := strconv.Atoi(num[1:])
	fill := func(op string, l client.Lease) error {
		n := w.number()
		_, err := c.Fill(ctx, l, client.Item{Value: unit(key, n)})
		return w.wrote(op, n, err)
	}
	all := map[string]func() error{
		"Get":     func() error { return read(c.Get(ctx, key)) },
		"GetInto": func() error { return read(c.GetInto(ctx, num, make([]byte, 0, 64))) },
		"Gets":    func() error { return read(c.Gets(ctx, num)) },
		"GetMulti": func() error {
			found, err := c.GetMulti(ctx, []string{key, num, "k77", "n77"})
			for k, it := range found {
				if it.Key != k {
					w.t.Errorf("GetMulti gave the item of %s for %s", it.Key, k)
				}
				_ = read(it, nil)
			}
			return err
		},
		"GetWith": func() error {
			n := w.number()
			it, _, err := c.GetWith(ctx, key, client.GetOptions{Touch: true, TTL: time.Duration(n) * time.Second})
			if errors.Is(err, client.ErrCacheMiss) {
				return err
			}
			return w.wrote("GetWith", n, read(it, err))
		},
		"Inspect": func() error { _, err := c.Inspect(ctx, key); return err },
		"GetAndTouch": func() error {
			n := w.number()
			it, err := c.GetAndTouch(ctx, key, time.Duration(n)*time.Second)
			if errors.Is(err, client.ErrCacheMiss) {
				return err // it was asked for, and there is nothing to retry
			}
			return w.wrote("GetAndTouch", n, read(it, err))
		},
		"Touch": func() error {
			n := w.number()
			err := c.Touch(ctx, num, time.Duration(n)*time.Second)
			if errors.Is(err, client.ErrCacheMiss) {
				return err
			}
			return w.wrote("Touch", n, err)
		},
		"Set":     write("Set", c.Set),
		"Add":     write("Add", c.Add),
		"Replace": write("Replace", c.Replace),
		"Append":  write("Append", c.Append),
		"Prepend": write("Prepend", c.Prepend),
		"CompareAndSwap": func() error {
			it, err := c.Gets(ctx, key)
			if read(it, err) != nil {
				return err
			}
			n := w.number()
			it.Value = append(it.Value[:len(it.Value):len(it.Value)], unit(key, n)...)
			if len(it.Value) > 500 {
				it.Value = unit(key, n)
			}
			_, err = c.CompareAndSwap(ctx, it)
			return w.wrote("CompareAndSwap", n, err)
		},
		"SetMulti": func() error {
			n, m := w.number(), w.number()
			_, err := c.SetMulti(ctx, []client.Item{{Key: key, Value: unit(key, n)}, {Key: "k77", Value: unit("k77", m)}})
			if err == nil {
				_ = w.wrote("SetMulti", m, nil)
				return w.wrote("SetMulti", n, nil)
			}
			return err // of one of them
		},
		"Increment": number("Increment", func(n int) (uint64, error) { return c.Increment(ctx, num, uint64(n)*100) }),
		"Decrement": number("Decrement", func(n int) (uint64, error) { return c.Decrement(ctx, num, uint64(n)*100) }),
		"Count": number("Count", func(n int) (uint64, error) {
			return c.Count(ctx, client.Counter{Key: num, Delta: uint64(n) * 100, Create: true, Initial: hugeCount + uint64(index)})
		}),
		"Delete": func() error {
			n := w.number()
			_, err := c.Delete(ctx, fmt.Sprint("d", n))
			if err == nil {
				_ = w.wrote("Delete", n, nil)
			}
			return err // a delete may be repeated whatever became of it, and the client does
		},
		"DeleteMulti": func() error { _, err := c.DeleteMulti(ctx, []string{key, num}); return err },
		"Lease and Fill": func() error {
			l, err := c.Lease(ctx, key, client.LeaseOptions{})
			if err != nil {
				return err
			}
			if l.State.String() == "won" {
				return fill("Fill", l)
			}
			if len(l.Item.Value) > 0 {
				w.value(key, string(l.Item.Value))
			}
			return nil
		},
		"Lease and Release": func() error {
			l, err := c.Lease(ctx, key, client.LeaseOptions{})
			if err != nil {
				return err
			}
			return c.Release(ctx, l)
		},
		"SetKeep and FillKeepMulti": func() error {
			n := w.number()
			l, _, err := c.SetKeep(ctx, client.Item{Key: key, Value: unit(key, n)})
			if w.wrote("SetKeep", n, err) != nil {
				return err
			}
			n = w.number()
			_, _, errs := c.FillKeepMulti(ctx, []client.Lease{l}, []client.Item{{Value: unit(key, n)}})
			return w.wrote("FillKeepMulti", n, errs[0])
		},
		"LeaseWrite and Fill": func() error {
			l, err := c.LeaseWrite(ctx, key)
			if err != nil {
				return err
			}
			return fill("Fill after LeaseWrite", l)
		},
		"Ping":     func() error { return c.Ping(ctx) },
		"Stats":    func() error { _, err := c.Stats(ctx); return err },
		"FlushAll": func() error { return c.FlushAll(ctx) },
	}
	// What other tests know of and this one does not is at least called.
	for name, call := range calls(c, ctx, "x"+key) {
		if _, ok := all[name]; !ok && name != "Lease" && name != "LeaseWrite" && name != "Fill" {
			all[name] = call
		}
	}
	return all
}
