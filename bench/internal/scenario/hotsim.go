package scenario

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/memherd/memherd/hotkey"
	"github.com/memherd/memherd/ring"
)

// simulated is the load of a fleet larger than a machine bears: detectors and placement are real, the near-cache and
// the clients' choices are as package client makes them, the clock and the requests are not.
func simulated() Scenario {
	var figures []Figure
	for _, z := range zipfs {
		figures = append(figures, Figure{Name: fBalance(z), Format: "%.3f", Bound: most(1.05)}, Figure{Name: fPlain(z), Format: "%.3f"})
	}
	return Scenario{Name: "balance-100", Title: "load of 100 nodes under 100 clients, simulated, two copies of each key", Once: true, Figures: figures, play: (*run).simulate}
}

const (
	simRate = 20_000 // reads a second of each simulated client
	simX    = 50 * time.Millisecond
	// As in package client: an entry is asked about when half of its X is over and it has answered so many reads; when it
	// has run out, the owner is asked for another if it has answered so many.
	simReads, simWorth = 16, 2
)

// simEntry is a near entry: when it was validated, and how many reads it has answered since.
type simEntry struct {
	sent  time.Duration
	reads int
}

// simClient is one client.
type simClient struct {
	detector *hotkey.Detector
	near     map[int]*simEntry
	swept    time.Duration
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
	for _, z := range zipfs {
		s, err := newStream(r.Hot.Universe, z)
		if err != nil {
			return err
		}
		load, plain := make([]float64, r.Hot.Crowd), make([]float64, r.Hot.Crowd)
		for c := range r.Hot.Crowd {
			if err := r.ctx.Err(); err != nil {
				return err
			}
			d, err := r.detector(hotkey.Config{Budget: -1}, r.Hot.Crowd, uint64(c))
			if err != nil {
				return err
			}
			cl := simClient{detector: d, near: map[int]*simEntry{}}
			rng := rand.New(rand.NewPCG(r.seed, uint64(c)))
			for i := range r.Hot.Simulated {
				now := time.Duration(i) * time.Second / simRate
				counted := 0.0
				if i >= r.Hot.Simulated/2 {
					counted = 1
				}
				k, level := s.show(d, rng)
				list := rg.LookupHash(s.hashes[k])
				plain[list[0]] += counted
				e, at := cl.near[k], 0
				if e != nil && now < e.sent+simX {
					e.reads++
					at = -1
				} else if level > hotkey.LevelCold && (level < hotkey.LevelHottest || e == nil || e.reads < simWorth) {
					at = rng.IntN(len(list)) // nothing else of a client is under way
				}
				if at == 0 && level == hotkey.LevelHottest {
					cl.near[k] = &simEntry{sent: now}
				}
				if at >= 0 {
					load[list[at]] += counted
				}
				if now-cl.swept >= simX/4 {
					cl.swept = now
					for k, e := range cl.near {
						switch {
						case now >= e.sent+3*simX:
							delete(cl.near, k)
						case now >= e.sent+simX/2 && e.reads >= simReads:
							*e = simEntry{sent: now}
							load[rg.LookupHash(s.hashes[k])[0]] += counted
						}
					}
				}
			}
		}
		r.put(fBalance(z), uneven(load))
		r.put(fPlain(z), uneven(plain))
	}
	return nil
}
