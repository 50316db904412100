package scenario

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/memherd/memherd/bench/internal/trace"
	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/hotkey"
)

// recorded are the traces on which the near-cache is held against an oracle, and how often each is read.
var recorded = []struct {
	file  string
	times int
}{{"orm-busy.keys.gz", 1}, {"web12.keys.gz", 20}}

func fShare(file string) string    { return "near-cache ÷ oracle, " + file }
func fFromNear(file string) string { return "served from memory, %, " + file }
func fOracle(file string) string   { return "share of the 128 keys most read to come, %, " + file }

// onTraces reads real traces, after whose first fifth is counted what memory serves.
func onTraces() Scenario {
	var figures []Figure
	for _, t := range recorded {
		figures = append(figures, Figure{Name: fShare(t.file), Format: "%.3f", Bound: least(0.9)}, Figure{Name: fFromNear(t.file), Format: "%.2f"}, Figure{Name: fOracle(t.file), Format: "%.2f"})
	}
	return Scenario{Name: "traces", Title: "share of the near-cache on recorded reads, beside an oracle that knows the keys to come", Once: true,
		Figures: append(figures, Figure{Name: fCostRate, Format: "%.0f"}), play: (*run).traces}
}

func (r *run) traces() (err error) {
	rate := 0
	for _, t := range recorded {
		path := filepath.Join(r.Hot.Traces, t.file)
		if _, missing := os.Stat(path); r.Hot.Traces == "" || errors.Is(missing, os.ErrNotExist) {
			continue // its floor is shown as not measured
		}
		tr, err := trace.Load(path, r.Hot.Recorded, nil)
		if err != nil {
			return err
		}
		reads := make([]uint32, 0, len(tr.Reqs)*t.times)
		for range t.times {
			for _, q := range tr.Reqs {
				reads = append(reads, q.Key)
			}
		}
		if err := r.traceShare(t.file, tr.Keys, reads, &rate); err != nil {
			return err
		}
	}
	r.put(fCostRate, float64(rate))
	return nil
}

// traceShare plays reads to three memcached processes as fast as they go, by all workers in turns.
func (r *run) traceShare(file string, names []string, reads []uint32, rate *int) (err error) {
	s, err := raise(herdNodes, r.seed)
	if err != nil {
		return err
	}
	defer closing(&err, s.close)
	c, err := r.client(s.straight(), nil, hotly(&hotkey.Config{}))
	if err != nil {
		return err
	}
	defer closing(&err, c.Close)
	for part := range slices.Chunk(names, 1000) {
		items := make([]client.Item, len(part))
		for i, k := range part {
			items[i] = client.Item{Key: k, Value: make([]byte, valueSize)}
		}
		if err := r.insist(func() error { _, err := c.SetMulti(r.ctx, items); return err }); err != nil {
			return err
		}
	}
	play := func(reads []uint32) error {
		var next atomic.Int64
		var wg sync.WaitGroup
		for range r.Workers {
			wg.Go(func() {
				for i := next.Add(1) - 1; i < int64(len(reads)) && r.ctx.Err() == nil; i = next.Add(1) - 1 {
					if _, err := c.Get(context.Background(), names[reads[i]]); err != nil {
						r.failed("get", err)
					}
				}
			})
		}
		wg.Wait()
		return r.ctx.Err()
	}
	fifth := len(reads) / 5
	if err := play(reads[:fifth]); err != nil {
		return err
	}
	before := c.Counters().NearHits
	if err := play(reads[fifth:]); err != nil {
		return err
	}
	served := percent(int64(c.Counters().NearHits-before), int64(len(reads)-fifth))
	counts := map[uint32]int64{}
	for _, k := range reads[fifth:] {
		counts[k]++
	}
	best := slices.SortedFunc(maps.Values(counts), func(a, b int64) int { return cmp.Compare(b, a) })
	sum := int64(0)
	for _, n := range best[:min(hottestOf(herdNodes), len(best))] {
		sum += n
	}
	oracle := percent(sum, int64(len(reads)-fifth))
	r.put(fFromNear(file), served)
	r.put(fOracle(file), oracle)
	r.put(fShare(file), ratio(served, oracle))
	*rate = max(*rate, c.HotKeyStats().SampleOneIn)
	return nil
}
