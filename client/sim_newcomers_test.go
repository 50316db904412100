package client_test

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/memherd/memherd/ring"
)

// news is a list and when it was published.
type news struct {
	at   time.Time
	list []ring.Node
}

// publish makes a list known, to those who ask for it.
func (s *simulation) publish(list []ring.Node) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.history = append(s.history, news{time.Now(), list})
}

// heard is the newest list of those published so long ago, and its number; no older one than number since.
func (s *simulation) heard(late time.Duration, since int) ([]ring.Node, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := since + 1; i < len(s.history); i++ {
		if time.Since(s.history[i].at) >= late {
			since = i
		}
	}
	return s.history[since].list, since
}

// newcomers plays processes that start, work for some seconds, and end, one after the other, as number id. Each starts
// with a list that everybody has heard of, and hears of later ones as late as anybody, whatever else it waits for.
func (s *simulation) newcomers(seed uint64, id int) {
	rng := rand.New(rand.NewPCG(seed, 7))
	for !s.over.Load() {
		list, number := s.heard(simAnnounce/2, 0)
		c := s.f.client(s.config(seed, id, list))
		s.log(id, ": starts")
		s.join(id, c)
		var ends atomic.Bool
		var told sync.WaitGroup
		told.Go(func() {
			for !ends.Load() && !s.over.Load() {
				list, number = s.heard(s.delay(simAnnounce/4), number)
				if err := c.SetNodes(list); err != nil {
					s.t.Errorf("set nodes: %v", err)
				}
				time.Sleep(s.delay(simAnnounce / 4))
			}
		})
		for range 10 + rng.IntN(40) {
			if s.over.Load() {
				break
			}
			switch rng.IntN(8) {
			case 0:
				s.write(s.t.Context(), id, rng)
			case 1:
				s.writeThrough(id, rng)
			case 2:
				s.count(id)
			default:
				s.read(s.t.Context(), id, rng)
			}
			time.Sleep(s.delay(200 * time.Millisecond))
		}
		ends.Store(true)
		told.Wait()
		if s.over.Load() {
			return
		}
		s.log(id, ": ends")
		if err := c.Close(); err != nil {
			s.t.Errorf("close: %v", err)
		}
		time.Sleep(s.delay(2 * time.Second))
	}
}
