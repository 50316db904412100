package scenario

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/ring"
)

// news is a list of nodes, and when it became known.
type news struct {
	at   time.Time
	list []ring.Node
}

// keepFor is how many changes a replaced node lives on.
const keepFor = 4

// rapid replaces nodes faster than is wise.
func (r *run) rapid() error {
	announce := max(announce, r.Announce)
	var switches atomic.Int64
	r.processes = 3
	r.change = append(r.change, func(cfg *client.Config) {
		cfg.Announce, cfg.MigrationWindow = announce, 4*announce
		// A node that is late once would be down for one process and not for the others, which is
		// another fault than this one.
		cfg.Timeout, cfg.DialTimeout = 5*time.Second, 5*time.Second
		cfg.Hooks.TopologyChanged = func(int) { switches.Add(1) }
	})
	l := &load{reads: reads}
	err := r.throughLoaders(5, l, func(g *loading) error {
		if err := r.calm(l); err != nil {
			return err
		}
		l.enter(during)
		loads := g.origin.again.Load()
		f := r.feed(g, announce)
		list, changed := g.s.straight(), 0
		// For 60 s of a full run one change after the other comes into force, then, for 10,
		// none before the last.
		for _, part := range []struct {
			every time.Duration
			times int
		}{{2 * announce, max(3, int(30*r.Phase/(2*announce)))}, {100 * time.Millisecond, int(5 * r.Phase / (100 * time.Millisecond))}} {
			for range part.times {
				if err := g.s.add(); err != nil {
					return err
				}
				fresh := g.s.servers[len(g.s.servers)-1]
				list = slices.Clone(list)
				list[changed%len(list)] = ring.Node{Name: fmt.Sprint("new", changed), Addr: fresh.Addr()}
				f.tell(list)
				if old := changed - keepFor; old >= 0 && part.every > announce {
					if err := g.s.servers[old].Kill(); err != nil {
						return err
					}
				}
				changed++
				if err := r.pause(part.every); err != nil {
					return err
				}
			}
		}
		if err := f.close(); err != nil {
			return err
		}
		if err := r.pause(3 * announce); err != nil {
			return err
		}
		r.put(fChanges, float64(changed))
		r.put(fSwitches, float64(switches.Load())/float64(len(g.ps)))
		r.put(fAgain, float64(g.origin.again.Load()-loads))
		return nil
	})
	all, _ := l.sum(before, during)
	r.put(fSlowest, max(quantile(all.read, 1), quantile(all.set, 1)))
	r.outcome(l)
	return err
}

// feed is how the processes learn of lists: in order, each up to half of announce late.
type feed struct {
	tell  func(list []ring.Node)
	close func() error
}

func (r *run) feed(g *loading, announce time.Duration) feed {
	var told errgroup.Group
	var feeds []chan news
	var mu sync.Mutex // guards latest
	var latest time.Duration
	for id, p := range g.ps {
		ch := make(chan news, 1<<10)
		feeds = append(feeds, ch)
		rng := rand.New(rand.NewPCG(r.seed, uint64(id)))
		told.Go(func() error {
			for n := range ch {
				if err := r.pause(time.Until(n.at.Add(time.Duration(rng.Int64N(int64(announce / 2)))))); err != nil {
					continue // the run is broken off: the channel must be read all the same
				}
				if err := p.client.SetNodes(n.list); err != nil {
					return err
				}
				mu.Lock()
				latest = max(latest, time.Since(n.at))
				mu.Unlock()
			}
			return nil
		})
	}
	return feed{
		tell: func(list []ring.Node) {
			n := news{time.Now(), list}
			for _, ch := range feeds {
				ch <- n
			}
		},
		close: func() error {
			for _, ch := range feeds {
				close(ch)
			}
			err := told.Wait()
			r.put(fLearned, float64(latest.Milliseconds()))
			return err
		},
	}
}
