package scenario

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/ring"
)

const (
	fChanges  = "changes of the list"
	fSwitches = "that came into force, by process"
	fLearned  = "learned of one at the latest, ms"
	fHits     = "worst hit ratio of half a second, % of before"
)

const (
	// announce is how long changes are announced: processes learn of them up to half of it late. To
	// learn includes to compile the list, which takes a busy machine its time.
	announce = 300 * time.Millisecond
	// late is how long after the first the second process learns of a replacement.
	late = 50 * time.Millisecond
)

// changes are fleets whose list of nodes changes.
func changes() []Scenario {
	replaced := []Figure{{Name: fErrors, Format: "%.3f", Bound: most(0)}, {Name: fHits, Format: "%.0f", Bound: least(90)},
		{Name: fAgain, Format: "%.0f"}, safety[0], safety[1]}
	bare := slices.Clone(replaced)
	bare[1].Bound = most(90)
	return []Scenario{
		{
			Name: "replace", Title: "every one of five nodes is replaced by a new one; the two processes learn of it 50 ms apart",
			Figures: replaced,
			play:    (*run).replace,
		},
		{
			Name: "replace-off", Title: "the same with one copy of each key and no migration window, which must be seen",
			Figures: bare,
			play: func(r *run) error {
				r.change = append(r.change, func(cfg *client.Config) {
					cfg.ReplicationFactor, cfg.ColdWindow, cfg.MigrationWindow = 1, client.NoColdWindow, client.NoMigrationWindow
				})
				return r.replace()
			},
		},
		{
			Name: "replace-single", Title: "the same with one copy of each key and the window",
			Figures: replaced,
			play: func(r *run) error {
				r.change = append(r.change, func(cfg *client.Config) { cfg.ReplicationFactor = 1 })
				return r.replace()
			},
		},
		{
			Name: "rapid", Title: "a node is replaced every 600 ms, twice as long as changes are announced, then every 100 ms; three processes learn of it at different times; timeout 5 s",
			Figures: []Figure{{Name: fChanges, Format: "%.0f"}, {Name: fSwitches, Format: "%.0f"}, {Name: fLearned, Format: "%.0f"}, {Name: fSlowest, Format: "%.0f"}, {Name: fErrors, Format: "%.3f"},
				{Name: fAgain, Format: "%.0f"}, safety[0], safety[1]},
			play: (*run).rapid,
		},
	}
}

// hitRatio follows operations and loads in slices of time.
type hitRatio struct {
	mu   sync.Mutex // guards what follows
	ops  []int64
	miss []int64
}

// window is how many slices of 100 ms are looked at together.
const window = 5

func (h *hitRatio) note(ops, loads int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops, h.miss = append(h.ops, ops), append(h.miss, loads)
}

func (h *hitRatio) slices() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.ops)
}

// worst is the least share of reads, in percent, that needed no load, over any window
// that begins in slice from or later and ends before slice to.
func (h *hitRatio) worst(from, to int) float64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	least := 100.0
	for i := from; i+window < min(to, len(h.ops)); i++ {
		if read := reads * float64(h.ops[i+window]-h.ops[i]); read > 0 {
			least = min(least, 100*(1-float64(h.miss[i+window]-h.miss[i])/read))
		}
	}
	return max(least, 0)
}

func (r *run) replace() error {
	var hits hitRatio
	r.Keys *= 10 // enough for misses to last
	r.change = append(r.change, func(cfg *client.Config) { cfg.Announce = announce })
	l := &load{reads: reads}
	l.watch = func(ops int64, _ time.Duration) { hits.note(ops, l.origin.again.Load()) }
	err := r.throughLoaders(5, l, func(g *loading) error {
		if err := r.calm(l); err != nil {
			return err
		}
		l.enter(during)
		first, loads := hits.slices(), g.origin.again.Load()
		nodes := g.s.straight()
		for i := range nodes {
			if err := g.s.add(); err != nil {
				return err
			}
			fresh := g.s.servers[len(g.s.servers)-1]
			nodes = append(append([]ring.Node(nil), nodes[:i]...), append([]ring.Node{{Name: fmt.Sprint("new", i), Addr: fresh.Addr()}}, nodes[i+1:]...)...)
			for j, p := range g.ps {
				if j > 0 {
					if err := r.pause(late); err != nil {
						return err
					}
				}
				if err := p.client.SetNodes(nodes); err != nil {
					return err
				}
			}
			if err := r.pause(announce + r.Gap); err != nil {
				return err
			}
			if err := g.s.servers[i].Kill(); err != nil {
				return err
			}
		}
		r.put(fAgain, float64(g.origin.again.Load()-loads))
		r.put(fHits, 100*ratio(hits.worst(first, hits.slices()), hits.worst(0, first)))
		return nil
	})
	r.outcome(l)
	return err
}
