package scenario

import (
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/memherd/memherd/bench/internal/origin"
	"github.com/memherd/memherd/bench/internal/part"
)

// Herd is what the scenarios of loads are played with, beside Setup.
type Herd struct {
	// Processes and Callers are of stampede: so many processes with so many callers each.
	Processes int `json:"processes"`
	Callers   int `json:"callers"`
	// Fleet is how many processes the others have.
	Fleet int `json:"fleet"`
	// TTL is of the values of stampede and of steady, Cycles how many of it steady lasts.
	TTL    time.Duration `json:"ttl_ns"`
	Cycles int           `json:"cycles"`
	// Known is how many keys steady reads, Rate how many reads a second all of its
	// processes make together.
	Known int     `json:"known"`
	Rate  float64 `json:"rate"`
	// Deaths is how often the holder of a lease is killed in holder.
	Deaths int `json:"deaths"`
	// Slots is how many loads the origin of slow-origin and emptied serves at once, 10 ms
	// each, Reads how many reads there are in a second for each of them, and Soft the soft TTL of what they load. Calm, Fault and Recovery are how long they last before, during and after.
	Slots    int           `json:"slots"`
	Reads    float64       `json:"reads"`
	Soft     time.Duration `json:"soft_ns"`
	Calm     time.Duration `json:"calm_ns"`
	Fault    time.Duration `json:"fault_ns"`
	Recovery time.Duration `json:"recovery_ns"`
	// Kills is how often killed kills its writer, Writes how many writes of it are accepted
	// between two kills on average. Schedules are those of foreign.
	Kills     int `json:"kills"`
	Writes    int `json:"writes"`
	Schedules int `json:"schedules"`
}

var (
	fullHerd = Herd{Processes: 20, Callers: 500, Fleet: 4, TTL: 4 * time.Second, Cycles: 7, Known: 10_000, Rate: 8000, Deaths: 5,
		Slots: 8, Reads: 500, Soft: 4 * time.Second, Calm: 8 * time.Second, Fault: 5 * time.Second, Recovery: 13 * time.Second, Kills: 1000, Writes: 1150, Schedules: 1000}
	quickHerd = Herd{Processes: 2, Callers: 20, Fleet: 2, TTL: time.Second, Cycles: 1, Known: 100, Rate: 300, Deaths: 1,
		Slots: 1, Reads: 200, Soft: 500 * time.Millisecond, Calm: time.Second, Fault: time.Second, Recovery: time.Second, Kills: 6, Writes: 100, Schedules: 6}
)

// HerdTimeout is of the clients of these scenarios: far more than on a machine that does nothing else, since
// the processes have to share this one, and a node that counts as down is not what they are about.
const HerdTimeout = 2 * time.Second

// herdNodes is how many memcached processes they have.
const herdNodes = 3

// Parts are what processes of the scenarios play.
func Parts() part.Parts {
	return part.Parts{readerPart: playReader, writerPart: playWriter, watcherPart: playWatcher}
}

// herd is processes that read through loaders, from one fleet and one origin.
type herd struct {
	r       *run
	s       *stage
	origin  *origin.Shared
	readers []*part.Player
	turns   uint64 // how often traffic has been put on
}

// gather starts a fleet, an origin and n readers, and plays on them.
func (r *run) gather(n int, shared origin.SharedConfig, cfg reading, play func(h *herd) error) (err error) {
	h := &herd{r: r}
	if h.s, err = raise(herdNodes, r.seed); err != nil {
		return err
	}
	defer closing(&err, h.s.close)
	shared.Size = valueSize
	if h.origin, err = origin.Share(shared); err != nil {
		return err
	}
	defer closing(&err, h.origin.Close)
	cfg.Nodes, cfg.Origin, cfg.Timeout = h.s.straight(), h.origin.Addr(), HerdTimeout
	defer func() {
		for _, p := range h.readers {
			end := p.Close
			if err != nil {
				end = p.Kill
			}
			closing(&err, end)
		}
	}()
	for i := range n {
		cfg.Who = i
		if err := h.join(cfg); err != nil {
			return err
		}
	}
	return play(h)
}

// join starts one more reader and waits until it is ready.
func (h *herd) join(cfg reading) error {
	p, err := part.Start(h.r.ctx, readerPart, cfg)
	if err != nil {
		return err
	}
	h.readers = append(h.readers, p)
	return p.Hear(&answer{})
}

// all gives each of some readers an order and waits for the answers.
func (h *herd) all(readers []*part.Player, o func(i int) order) (answer, error) {
	answers := make([]answer, len(readers))
	var g errgroup.Group
	for i, p := range readers {
		g.Go(func() error { return p.Ask(o(i), &answers[i]) })
	}
	err := g.Wait()
	return sum(answers), err
}

// one has the first reader get a key once.
func (h *herd) one(key string) error {
	got, err := h.all(h.readers[:1], func(int) order { return order{Get: &getting{Key: key, Callers: 1}} })
	if err == nil && got.Failed+got.Wrong > 0 {
		err = fmt.Errorf("the first get failed: %v", got.Notes)
	}
	return err
}

// begins is how far ahead traffic is ordered, so that all readers begin together.
const begins = 100 * time.Millisecond

// drive puts traffic on, for so long, from all readers.
func (h *herd) drive(t traffic, lasts time.Duration) (answer, error) {
	h.turns++
	t.Begins, t.Takes = time.Now().Add(begins), lasts
	return h.all(h.readers, func(i int) order {
		mine := t
		mine.Seed = h.r.seed<<16 + h.turns<<8 + uint64(i)
		return order{Traffic: &mine}
	})
}

// fill has every key read once, by one reader or another.
func (h *herd) fill(known int) error {
	got, err := h.all(h.readers, func(i int) order {
		return order{Fill: &filling{From: i * known / len(h.readers), To: (i + 1) * known / len(h.readers)}}
	})
	if err == nil && got.Failed > 0 {
		err = fmt.Errorf("%d keys could not be read when the cache was filled: %v", got.Failed, got.Notes)
	}
	return err
}

// saw notes what went wrong for callers.
func (r *run) saw(a answer) {
	for _, n := range a.Notes {
		r.errs.Add(addresses.ReplaceAllString(n, "…"))
	}
}

// add adds to a figure's value.
func (r *run) add(name string, v float64) { r.values[name] += v }

// most keeps the largest of a figure's values.
func (r *run) most(name string, v float64) { r.values[name] = max(r.values[name], v) }
