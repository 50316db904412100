package scenario

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/memherd/memherd/bench/internal/rival"
	"github.com/memherd/memherd/bench/internal/workload"
	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/hotkey"
	"github.com/memherd/memherd/nodeserver/stock"
)

const (
	fCoherence = "requests to keep entries fresh ÷ reads from memory"
	fTrafficAt = "served from memory, % of the reads"
	fReadsSec  = "reads a second"
	fSingle    = "throughput ÷ that of uniform traffic"
	fUniform   = "reads a second, uniform"

	fScattered     = fSingle + ", scattered"
	fUnscattered   = fSingle + ", not scattered"
	fBySuffix      = "served by suffix copies, % of the reads"
	fScatterLoad   = "load of the nodes, max ÷ mean, scattered"
	fUnscatterLoad = "load of the nodes, max ÷ mean, not scattered"
)

// zipfs are the laws that the load of the nodes is measured with.
var zipfs = []float64{0.99, 1.1, 1.2, 1.4}

func fBalance(s float64) string { return fmt.Sprintf("load of the nodes, max ÷ mean, Zipf %g", s) }
func fPlain(s float64) string   { return fBalance(s) + ", plain placement" }

// bearing are the scenarios of what nodes have to bear.
func bearing() []Scenario {
	var balance []Figure
	for _, s := range zipfs {
		balance = append(balance, Figure{Name: fBalance(s), Format: "%.3f", Bound: most(1.08), Aim: most(1.05)}, Figure{Name: fPlain(s), Format: "%.3f"})
	}
	balance = append(balance, Figure{Name: fCostRate, Format: "%.0f"})
	return []Scenario{
		{Name: "coherence", Title: "what it costs to keep the near-cache fresh, Zipf 0.99, three nodes, X = 50 ms",
			Figures: []Figure{{Name: fCoherence, Format: "%.5f", Bound: most(1.0 / 16), Aim: most(1.0 / 64)}, {Name: fTrafficAt, Format: "%.1f"}, {Name: fReadsSec, Format: "%.0f"}, {Name: fCostRate, Format: "%.0f"}},
			play:    (*run).coherence},
		{Name: "balance", Title: "load of ten memcached processes, by their own count of gets, two copies of each key",
			Figures: balance, play: (*run).balance},
		{Name: "single", Title: "half of the reads are of one key, five memcached processes", Once: true,
			Figures: []Figure{{Name: fSingle, Format: "%.2f", Bound: least(1), Aim: least(3)}, {Name: fReadsSec, Format: "%.0f"}, {Name: fUniform, Format: "%.0f"}, {Name: fCostRate, Format: "%.0f"}},
			play:    (*run).single},
		{Name: "scatter", Title: "half of the reads are of one key, five memcached processes, two copies, no near-cache", Once: true,
			Figures: []Figure{{Name: fScattered, Format: "%.2f"}, {Name: fUnscattered, Format: "%.2f"},
				{Name: fBySuffix, Format: "%.1f"}, {Name: fScatterLoad, Format: "%.3f"}, {Name: fUnscatterLoad, Format: "%.3f"}, {Name: fCostRate, Format: "%.0f"}},
			play: (*run).scatter},
	}
}

// hotly makes clients that take their time: the processes have to share a machine, and a node that counts as down has its load
// borne by others.
func hotly(hot *hotkey.Config) func(*client.Config) {
	return func(cfg *client.Config) {
		cfg.HotKeys, cfg.Timeout, cfg.DialTimeout = hot, HerdTimeout, HerdTimeout
	}
}

// hotFleet is memcached processes with every key of a universe stored on them.
func (r *run) hotFleet(nodes, universe int) (s *stage, err error) {
	s = &stage{}
	for range nodes {
		// One thread each: there are more processes than processors.
		m, err := stock.Start(stock.Config{Threads: 1, MemoryMB: 256})
		if err != nil {
			return s, errors.Join(err, s.close())
		}
		s.servers = append(s.servers, m)
	}
	c, err := r.client(s.straight(), nil, hotly(nil))
	if err != nil {
		return s, errors.Join(err, s.close())
	}
	defer c.Close()
	names := keys(universe)
	for part := range slices.Chunk(names, 1000) {
		items := make([]client.Item, len(part))
		for i, k := range part {
			items[i] = client.Item{Key: k, Value: make([]byte, valueSize)}
		}
		if err := r.insist(func() error { _, err := c.SetMulti(r.ctx, items); return err }); err != nil {
			return s, errors.Join(err, s.close())
		}
	}
	return s, nil
}

// readAll has workers read by a law for a time, and returns how many reads there were.
func (r *run) readAll(c *client.Client, names []string, law workload.Chooser, lasts time.Duration, turn uint64) (int64, error) {
	var reads atomic.Int64
	var wg sync.WaitGroup
	ctx, cancel := context.WithTimeout(r.ctx, lasts)
	defer cancel()
	for w := range r.Workers {
		wg.Go(func() {
			rng, n := rand.New(rand.NewPCG(r.seed<<8+turn, uint64(w))), int64(0)
			for ; n&15 != 0 || ctx.Err() == nil; n++ {
				// Without the end of ctx: what is under way then is no failure.
				if _, err := c.Get(context.Background(), names[law.Next(rng)]); err != nil && !errors.Is(err, rival.ErrMiss) {
					r.failed("get", err)
				}
			}
			reads.Add(n)
		})
	}
	wg.Wait()
	return reads.Load(), r.ctx.Err()
}

func (r *run) coherence() (err error) {
	s, err := r.hotFleet(herdNodes, r.Hot.Stored)
	if err != nil {
		return err
	}
	defer closing(&err, s.close)
	c, err := r.client(s.straight(), nil, hotly(&hotkey.Config{}))
	if err != nil {
		return err
	}
	defer closing(&err, c.Close)
	law, err := workload.NewZipf(r.Hot.Stored, hotZipf)
	if err != nil {
		return err
	}
	names := keys(r.Hot.Stored)
	if _, err := r.readAll(c, names, law, r.Hot.Slot, 1); err != nil {
		return err
	}
	before := c.Counters()
	n, err := r.readAll(c, names, law, r.Hot.Slot, 2)
	if err != nil {
		return err
	}
	after := c.Counters()
	near := float64(after.NearHits - before.NearHits)
	r.put(fCoherence, ratio(float64(after.Revalidated-before.Revalidated), near))
	r.put(fTrafficAt, 100*ratio(near, float64(n)))
	r.put(fReadsSec, perSecond(n, r.Hot.Slot))
	r.put(fCostRate, float64(c.HotKeyStats().SampleOneIn))
	return nil
}

// gets are the keys that each process has been asked for, by its own count.
func (s *stage) gets(ctx context.Context) ([]float64, error) {
	out := make([]float64, len(s.servers))
	for i, n := range s.straight() {
		c, err := client.New(client.Config{Nodes: s.straight()[i : i+1], Timeout: HerdTimeout, DialTimeout: HerdTimeout})
		if err != nil {
			return nil, err
		}
		stats, err := c.Stats(ctx)
		_ = c.Close()
		if err != nil {
			return nil, err
		}
		if out[i], err = strconv.ParseFloat(stats[n.Name]["cmd_get"], 64); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// uneven is the largest over the mean.
func uneven(load []float64) float64 {
	sum := 0.0
	for _, l := range load {
		sum += l
	}
	return ratio(slices.Max(load)*float64(len(load)), sum)
}

func (r *run) balance() (err error) {
	s, err := r.hotFleet(10, r.Hot.Stored)
	if err != nil {
		return err
	}
	defer closing(&err, s.close)
	names := keys(r.Hot.Stored)
	rate := 0
	for i, z := range zipfs {
		law, err := workload.NewZipf(r.Hot.Stored, z)
		if err != nil {
			return err
		}
		for j, cfg := range []*hotkey.Config{{}, nil} {
			c, err := r.client(s.straight(), nil, hotly(cfg))
			if err != nil {
				return err
			}
			load, err := r.loadOf(s, c, names, law, uint64(10*i+j))
			rate = max(rate, c.HotKeyStats().SampleOneIn)
			if err := errors.Join(err, c.Close()); err != nil {
				return err
			}
			r.put([]string{fBalance(z), fPlain(z)}[j], uneven(load))
		}
	}
	r.put(fCostRate, float64(rate))
	return nil
}

// loadOf is what each node had to answer while a client read, once it knew the hot keys.
func (r *run) loadOf(s *stage, c *client.Client, names []string, law workload.Chooser, turn uint64) ([]float64, error) {
	if _, err := r.readAll(c, names, law, r.Hot.Slot, turn<<1); err != nil {
		return nil, err
	}
	before, err := s.gets(r.ctx)
	if err != nil {
		return nil, err
	}
	if _, err := r.readAll(c, names, law, 2*r.Hot.Slot, turn<<1+1); err != nil {
		return nil, err
	}
	after, err := s.gets(r.ctx)
	for i := range after {
		after[i] -= before[i]
	}
	return after, err
}

// half is one key in half of the cases, and any otherwise.
type half struct{ rest workload.Chooser }

func (h half) Next(rng *rand.Rand) int {
	if rng.Uint32()&1 == 0 {
		return 0
	}
	return h.rest.Next(rng)
}

// fiveNodes is a fleet of five, its keys, and a chooser to which they are all alike.
func (r *run) fiveNodes() (s *stage, names []string, uniform workload.Chooser, err error) {
	if uniform, err = workload.NewUniform(r.Hot.Stored); err != nil {
		return nil, nil, nil, err
	}
	s, err = r.hotFleet(5, r.Hot.Stored)
	return s, keys(r.Hot.Stored), uniform, err
}

func (r *run) single() (err error) {
	s, names, uniform, err := r.fiveNodes()
	if err != nil {
		return err
	}
	defer closing(&err, s.close)
	c, err := r.client(s.straight(), nil, hotly(&hotkey.Config{}))
	if err != nil {
		return err
	}
	defer closing(&err, c.Close)
	var ratios, hot, plain []float64
	for round := range uint64(5) { // in turns
		n, err := r.readAll(c, names, uniform, r.Hot.Slot, 100+2*round)
		if err != nil {
			return err
		}
		m, err := r.readAll(c, names, half{uniform}, r.Hot.Slot, 101+2*round)
		if err != nil {
			return err
		}
		ratios = append(ratios, ratio(float64(m), float64(n)))
		hot, plain = append(hot, perSecond(m, r.Hot.Slot)), append(plain, perSecond(n, r.Hot.Slot))
	}
	r.put(fSingle, medianOf(ratios))
	r.put(fReadsSec, medianOf(hot))
	r.put(fUniform, medianOf(plain))
	r.put(fCostRate, float64(c.HotKeyStats().SampleOneIn))
	return nil
}

// scatter is single without a near-cache: what a key costs that memory can't take off the nodes.
func (r *run) scatter() (err error) {
	s, names, uniform, err := r.fiveNodes()
	if err != nil {
		return err
	}
	defer closing(&err, s.close)
	rate := 0
	for i, cfg := range []*hotkey.Scatter{{}, nil} {
		c, err := r.client(s.straight(), nil, hotly(&hotkey.Config{Staleness: -1, Scatter: cfg}))
		if err != nil {
			return err
		}
		err = r.scatterOf(s, c, names, uniform, uint64(i))
		rate = max(rate, c.HotKeyStats().SampleOneIn)
		if err := errors.Join(err, c.Close()); err != nil {
			return err
		}
	}
	r.put(fCostRate, float64(rate))
	return nil
}

// scatterOf measures one client: a scattered key is read from suffix copies from four seconds on after it became hot.
func (r *run) scatterOf(s *stage, c *client.Client, names []string, uniform workload.Chooser, turn uint64) error {
	n, err := r.readAll(c, names, uniform, 2*r.Hot.Slot, 200+4*turn)
	if err != nil {
		return err
	}
	if _, err := r.readAll(c, names, half{uniform}, 3*r.Hot.Slot, 201+4*turn); err != nil {
		return err
	}
	loads, err := s.gets(r.ctx)
	if err != nil {
		return err
	}
	before := c.Counters()
	m, err := r.readAll(c, names, half{uniform}, 2*r.Hot.Slot, 202+4*turn)
	if err != nil {
		return err
	}
	served := c.Counters().Scattered - before.Scattered
	after, err := s.gets(r.ctx)
	if err != nil {
		return err
	}
	for i := range after {
		after[i] -= loads[i]
	}
	r.put([]string{fScattered, fUnscattered}[turn], ratio(float64(m), float64(n)))
	r.put([]string{fScatterLoad, fUnscatterLoad}[turn], uneven(after))
	if turn == 0 {
		r.put(fBySuffix, 100*ratio(float64(served), float64(m)))
	}
	return nil
}
