package scenario

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/memherd/memherd/bench/internal/proxy"
	"github.com/memherd/memherd/bench/internal/value"
	"github.com/memherd/memherd/client"
)

const (
	fOwed    = "deletes owed to the node"
	fDeleter = "stale, by the process that deleted"
	fSaw     = "stale, by one that saw the outage"
	fSawNot  = "stale, by one that saw nothing"
	fDrained = "debt drained, s per 100,000"
	fChecked = "reads of deleted keys"
)

// readerPause is how long a witness rests after each read.
const readerPause = 500 * time.Microsecond

// rejoin is a node that returns without having heard of deletes.
func rejoin() Scenario {
	return Scenario{
		Name: "rejoin", Title: "one process deletes while a node is out of its and another one's reach, but not of a third one's",
		Figures: []Figure{
			{Name: fOwed, Format: "%.0f"}, {Name: fChecked, Format: "%.0f"}, {Name: fErrors, Format: "%.3f"}, {Name: fRecovered, Format: "%.0f"},
			{Name: fDrained, Format: "%.2f", Bound: most(1)},
			{Name: fDeleter, Format: "%.0f", Bound: most(0), Safety: true},
			{Name: fSaw, Format: "%.0f", Bound: most(0), Safety: true},
			{Name: fSawNot, Format: "%.0f"},
			{Name: fWrong, Format: "%.0f", Bound: most(0), Safety: true},
		},
		play: (*run).rejoin,
	}
}

// witness is a process of its own that reads keys that are being deleted.
type witness struct {
	*client.Client
	ways                        []*proxy.Proxy
	ops, checked, errors, wrong atomic.Int64
	stale                       atomic.Int64
	keys                        []string
	gone                        []atomic.Bool // by key: its delete was acknowledged
}

// read reads keys at random until ctx ends, with a pause after each: the debt is to be
// paid beside a load, not against one that takes all it can.
func (w *witness) read(ctx context.Context, r *run, rng *rand.Rand) {
	for ctx.Err() == nil {
		i := rng.IntN(len(w.keys))
		deleted := w.gone[i].Load()
		it, err := w.Get(context.Background(), w.keys[i])
		w.ops.Add(1)
		if deleted {
			w.checked.Add(1)
		}
		switch {
		case errors.Is(err, client.ErrCacheMiss):
		case err != nil:
			w.errors.Add(1)
			r.failed("get", err)
		default:
			if _, err := value.Check(w.keys[i], it.Value); err != nil {
				w.wrong.Add(1)
				r.bad.Add(err.Error())
			}
			if deleted {
				w.stale.Add(1)
			}
		}
		if r.pause(readerPause) != nil {
			return
		}
	}
}

// rejoin plays it. Whether a value may still come back is clear from the moment its
// delete was acknowledged: nobody writes the key again.
func (r *run) rejoin() (err error) {
	s, err := raise(3, r.seed)
	if err != nil {
		return err
	}
	defer closing(&err, s.close)
	all, gone := keys(r.Deletes), make([]atomic.Bool, r.Deletes)
	var ws [3]*witness // the one that deletes, the one that sees the outage, the one that does not
	for i := range ws {
		w := &witness{keys: all, gone: gone}
		if w.ways, err = s.paths(r.seed + uint64(i)); err != nil {
			return err
		}
		defer closeAll(w.ways)
		if w.Client, err = r.client(through(w.ways), nil); err != nil {
			return err
		}
		defer closing(&err, w.Close)
		ws[i] = w
	}
	a, b := ws[0], ws[1]
	if err := r.until(all, func(key string) error {
		return memherd{a.Client}.Set(r.ctx, key, value.Make(key, 1, valueSize))
	}); err != nil {
		return fmt.Errorf("filling: %w", err)
	}
	ctx, cancel := context.WithCancel(r.ctx)
	var readers sync.WaitGroup
	for i, w := range ws {
		for j := range max(1, r.Workers/4) {
			readers.Go(func() { w.read(ctx, r, rand.New(rand.NewPCG(r.seed, uint64(i<<16+j)))) })
		}
	}
	defer readers.Wait()
	defer cancel()
	if err := r.partition(a, b); err != nil {
		return err
	}
	cancel()
	readers.Wait()
	var errs, wrong, checked, ops int64
	for _, w := range ws {
		errs, wrong, checked, ops = errs+w.errors.Load(), wrong+w.wrong.Load(), checked+w.checked.Load(), ops+w.ops.Load()
	}
	r.put(fErrors, percent(errs, ops))
	r.put(fWrong, float64(wrong))
	r.put(fChecked, float64(checked))
	r.put(fDeleter, float64(a.stale.Load()))
	r.put(fSaw, float64(b.stale.Load()))
	r.put(fSawNot, float64(ws[2].stale.Load()))
	return nil
}

// partition takes the first node away from a and b, lets a delete everything, and gives
// the node back.
func (r *run) partition(a, b *witness) error {
	node := name(0)
	for _, w := range []*witness{a, b} {
		if err := w.ways[0].Set(proxy.Partitioned); err != nil {
			return err
		}
	}
	for _, w := range []*witness{a, b} {
		if err := r.await("the outage is noticed", func() bool { return status(w.Client, node).State == "down" }); err != nil {
			return err
		}
	}
	if err := r.parallel(len(a.keys), func(i int) error {
		err := r.insist(func() error {
			_, err := a.Delete(r.ctx, a.keys[i])
			return err
		})
		a.gone[i].Store(err == nil)
		return err
	}); err != nil {
		return fmt.Errorf("deleting: %w", err)
	}
	owed := status(a.Client, node).Debt
	healed := time.Now()
	for _, w := range []*witness{b, a} {
		if err := w.ways[0].Set(proxy.Healthy); err != nil {
			return err
		}
	}
	if err := r.await("the node answers", func() bool { return status(a.Client, node).State != "down" }); err != nil {
		return err
	}
	answers := time.Now()
	if err := r.await("the debt is paid", func() bool { return status(a.Client, node).Debt == 0 }); err != nil {
		return err
	}
	drained := time.Since(answers)
	for _, w := range []*witness{a, b} {
		if _, err := r.awaitUp(w.Client, node); err != nil {
			return err
		}
	}
	r.put(fRecovered, float64(time.Since(healed).Milliseconds()))
	r.put(fOwed, float64(owed))
	r.put(fDrained, ratio(drained.Seconds()*100_000, float64(owed)))
	return r.pause(r.Phase)
}
