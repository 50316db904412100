package scenario

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/memherd/memherd/bench/internal/report"
	"github.com/memherd/memherd/hotkey"
	"github.com/memherd/memherd/ring"
)

func fSim(s float64, rate int) string {
	return fBalance(s) + ", " + report.Count(int64(rate)) + " reads a second each"
}
func fIdeal(s float64, rate int) string    { return fSim(s, rate) + ", at best" }
func fSimPlain(s float64, rate int) string { return fSim(s, rate) + ", plain placement" }

const fEven = "keys of the nodes, max ÷ mean: what uniform traffic gives"

// simulated is the load of a fleet larger than a machine bears: detectors and placement are real, the near-cache and
// the clients' choices are as package client makes them, the clock and the requests are not.
func simulated() Scenario {
	var figures []Figure
	for _, rate := range simRates {
		for _, z := range zipfs {
			f := Figure{Name: fSim(z, rate), Format: "%.3f"}
			if rate == promoteRate {
				f.Bound, f.Aim = most(1.05), most(1.01)
			}
			figures = append(figures, f, Figure{Name: fIdeal(z, rate), Format: "%.3f"}, Figure{Name: fSimPlain(z, rate), Format: "%.3f"})
		}
	}
	figures = append(figures, Figure{Name: fEven, Format: "%.3f"}, Figure{Name: fCostRate, Format: "%.0f"})
	return Scenario{Name: "balance-100", Title: "load of 100 nodes under 100 clients, simulated, two copies of each key", Once: true, Figures: figures, play: (*run).simulate}
}

// simRates are how many reads a second the simulated clients make: as many as where the time to promotion is measured, which is held against
// the floor, and a fifth. The fewer, the more weighs what the owners of held keys are asked for to validate them, which is the same for each client however much it reads.
var simRates = []int{promoteRate, promoteRate / 5}

const (
	simX = 50 * time.Millisecond
	// As in package client: an entry is asked about when half of its X is over and it has answered so many reads; when it
	// has run out, the owner is asked for another if it has answered so many, or as many as would be renewed if the owner is over-asked.
	simReads, simWorth = 16, 2
)

// simEntry is a near entry: when it was validated, and how many reads it has answered since.
type simEntry struct {
	sent  time.Duration
	reads int
}

// simFleet is the nodes, with the reads that are counted of each by their position.
type simFleet struct {
	ring        *ring.Ring
	rate        int // reads a second of each client
	load, plain []float64
}

// simClient is one client.
type simClient struct {
	fleet    *simFleet
	detector *hotkey.Detector
	near     map[int]*simEntry
	swept    time.Duration
	halved   time.Duration
	asked    []float64 // what each node was asked of late
	rng      *rand.Rand
	load     []float64 // what is counted
	plain    []float64
}

func (r *run) simulate() error {
	var nodes []ring.Node
	for i := range r.Hot.Crowd {
		nodes = append(nodes, ring.Node{Name: name(i), Addr: fmt.Sprintf("node%d:1", i)})
	}
	rg, err := ring.New(ring.Config{Nodes: nodes, Copies: Copies})
	if err != nil {
		return err
	}
	for i, z := range zipfs {
		s, err := newStream(r.Hot.Universe, z)
		if err != nil {
			return err
		}
		if i == 0 {
			r.put(fEven, evenness(rg, s))
		}
		for _, rate := range simRates {
			f := &simFleet{ring: rg, rate: rate, load: make([]float64, len(nodes)), plain: make([]float64, len(nodes))}
			if err := r.crowd(f, s); err != nil {
				return err
			}
			r.put(fSim(z, rate), uneven(f.load))
			r.put(fSimPlain(z, rate), uneven(f.plain))
			r.put(fIdeal(z, rate), bestBalance(rg, s, r.Hot.Crowd, float64(rate)))
		}
	}
	r.put(fCostRate, 1) // Budget is negative
	return nil
}

// crowd plays all clients, as many at a time as there are processors: none knows of another.
func (r *run) crowd(f *simFleet, s *stream) error {
	var next atomic.Int64
	var wg sync.WaitGroup
	var mu sync.Mutex // guards f's sums and failed
	var failed error
	n := f.ring.Len()
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for c := next.Add(1) - 1; c < int64(cmp.Or(r.Hot.Clients, r.Hot.Crowd)) && r.ctx.Err() == nil; c = next.Add(1) - 1 {
				d, err := r.detector(hotkey.Config{Budget: -1}, n, uint64(c))
				cl := &simClient{fleet: f, detector: d, near: map[int]*simEntry{}, rng: rand.New(rand.NewPCG(r.seed, uint64(c))),
					asked: make([]float64, n), load: make([]float64, n), plain: make([]float64, n)}
				if err == nil {
					// Slow clients for twice as long: it is seconds that they take to know the hot keys and how the nodes are loaded.
					cl.play(s, r.Hot.Simulated*min(promoteRate, 2*f.rate)/promoteRate)
				}
				mu.Lock()
				failed = firstOf(failed, err)
				for i := range f.load {
					f.load[i] += cl.load[i]
					f.plain[i] += cl.plain[i]
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return firstOf(failed, r.ctx.Err())
}

// play has the client make so many reads, of which the second half counts.
func (c *simClient) play(s *stream, reads int) {
	for i := range reads {
		now := time.Duration(i) * time.Second / time.Duration(c.fleet.rate)
		counted := 0.0
		if i >= reads/2 {
			counted = 1
		}
		k, level := s.show(c.detector, c.rng)
		list := c.fleet.ring.LookupHash(s.hashes[k])
		c.plain[list[0]] += counted
		c.read(k, level, list, now, counted)
		if now-c.swept >= simX/4 {
			c.swept = now
			c.sweep(s, now, counted)
		}
		if now-c.halved >= time.Second {
			c.halved = now
			for j := range c.asked {
				c.asked[j] /= 2
			}
		}
	}
}

// read is a read of key k, from memory or a node.
func (c *simClient) read(k int, level hotkey.Level, list []uint16, now time.Duration, counted float64) {
	e, at := c.near[k], 0
	if e != nil && now < e.sent+simX {
		e.reads++
		return
	}
	if level > hotkey.LevelCold && (level < hotkey.LevelHottest || e == nil || e.reads < simWorth || e.reads < simReads && c.overAsked(list)) {
		// Nothing else of a client is under way: of two copies that which it has asked less counts.
		at = c.rng.IntN(len(list))
		for j := range list {
			if c.asked[list[j]] < c.asked[list[at]] {
				at = j
			}
		}
	}
	if at == 0 && level == hotkey.LevelHottest {
		c.near[k] = &simEntry{sent: now}
	}
	c.ask(int(list[at]), counted)
}

// overAsked is as the client's: only in fleets that are large enough for it.
func (c *simClient) overAsked(list []uint16) bool {
	return len(c.asked) >= 40 && slices.ContainsFunc(list[1:], func(at uint16) bool { return c.asked[list[0]] > 1.02*c.asked[at] })
}

func (c *simClient) ask(node int, counted float64) {
	c.asked[node]++
	c.load[node] += counted
}

// sweep has the client look at its entries.
func (c *simClient) sweep(s *stream, now time.Duration, counted float64) {
	for k, e := range c.near {
		switch {
		case now >= e.sent+3*simX:
			delete(c.near, k)
		case now >= e.sent+simX/2 && now < e.sent+simX && e.reads >= simReads:
			*e = simEntry{sent: now + 1} // a request is sent a moment after the look that found it due
			c.ask(int(c.fleet.ring.LookupHash(s.hashes[k])[0]), counted)
		}
	}
}
