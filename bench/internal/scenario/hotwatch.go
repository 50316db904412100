package scenario

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/memherd/memherd/bench/internal/confirmed"
	"github.com/memherd/memherd/bench/internal/part"
	"github.com/memherd/memherd/bench/internal/subject"
	"github.com/memherd/memherd/bench/internal/value"
	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/hotkey"
	"github.com/memherd/memherd/ring"
)

// watcherPart is the name of the part that reads hot keys and judges every value.
const watcherPart = "watcher"

// watching is how a watcher is set up.
type watching struct {
	Nodes []ring.Node
	Log   string // see package confirmed
	Keys  int
	// Bound is what values are held against, Staleness what the near-cache is told: the same, unless
	// the near-cache is to break its promise.
	Bound, Staleness time.Duration
	Timeout          time.Duration // of the client
	Workers          int
	Seed             uint64
}

// watchOrder is how many reads to make, or for how long to go on.
type watchOrder struct {
	Reads int64
	Lasts time.Duration
}

// watched is what came of them.
type watched struct {
	Reads, Near, Missed, Failed int64
	// Stale counts values older than Bound allows, Worst is by how much the worst was at least; Unknown those that
	// could not be judged, because the log reaches back only so far.
	Stale, Unknown, Wrong int64
	Worst                 time.Duration
	OneIn                 int // accesses are counted by the detector
	Notes                 []string
}

// add adds up what several watchers saw.
func (w *watched) add(o watched) {
	w.Reads, w.Near, w.Missed, w.Failed = w.Reads+o.Reads, w.Near+o.Near, w.Missed+o.Missed, w.Failed+o.Failed
	w.Stale, w.Unknown, w.Wrong = w.Stale+o.Stale, w.Unknown+o.Unknown, w.Wrong+o.Wrong
	w.Worst, w.OneIn = max(w.Worst, o.Worst), max(w.OneIn, o.OneIn)
	w.Notes = append(w.Notes, o.Notes...)
}

// watcher is a process that reads.
type watcher struct {
	cfg    watching
	keys   []string
	client *client.Client
	log    *confirmed.Log
}

// playWatcher is the part.
func playWatcher(s *part.Script) (err error) {
	w := &watcher{}
	if err := s.Read(&w.cfg); err != nil {
		return err
	}
	w.keys = keys(w.cfg.Keys)
	if w.log, err = confirmed.Open(w.cfg.Log, w.cfg.Keys); err != nil {
		return err
	}
	defer closing(&err, w.log.Close)
	w.client, err = client.New(client.Config{Nodes: w.cfg.Nodes, ReplicationFactor: Copies, Timeout: w.cfg.Timeout, DialTimeout: w.cfg.Timeout,
		HotKeys: &hotkey.Config{Staleness: w.cfg.Staleness}})
	if err != nil {
		return err
	}
	defer closing(&err, w.client.Close)
	if err := s.Say(watched{}); err != nil {
		return err
	}
	return part.Serve(s, w.obey)
}

func (w *watcher) obey(o watchOrder) (watched, error) {
	if o.Reads == 0 && o.Lasts == 0 {
		return watched{}, errors.New("an order that says nothing")
	}
	before := w.client.Counters()
	var left atomic.Int64
	left.Store(o.Reads)
	began := time.Now()
	more := func() bool {
		if o.Lasts > 0 {
			return time.Since(began) < o.Lasts
		}
		return left.Add(-1) >= 0
	}
	seen := make([]watched, w.cfg.Workers)
	var errs subject.Errors
	var wg sync.WaitGroup
	for i := range seen {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(w.cfg.Seed, uint64(i)))
			for more() {
				w.look(rng.IntN(len(w.keys)), &seen[i], &errs)
			}
		})
	}
	wg.Wait()
	sum := watched{Near: int64(w.client.Counters().NearHits - before.NearHits), OneIn: w.client.HotKeyStats().SampleOneIn, Notes: errs.First()}
	for _, s := range seen {
		sum.add(s)
	}
	return sum, nil
}

// look reads a key once and judges the value.
func (w *watcher) look(i int, seen *watched, errs *subject.Errors) {
	began := confirmed.Now()
	it, err := w.client.Get(context.Background(), w.keys[i])
	seen.Reads++
	switch {
	case errors.Is(err, client.ErrCacheMiss):
		seen.Missed++
		return
	case err != nil:
		seen.Failed++
		errs.Add("get: " + addresses.ReplaceAllString(err.Error(), "…"))
		return
	}
	v, err := value.Check(w.keys[i], it.Value)
	if err != nil {
		seen.Wrong++
		errs.Add(err.Error())
		return
	}
	at := began - int64(w.cfg.Bound)
	oldest, known := w.log.Oldest(i, at)
	switch {
	case !known:
		seen.Unknown++
	case v < oldest:
		seen.Stale++
		errs.Add("a value that was older than the bound allows")
		// By how much: until when would it have been fine?
		for by := time.Millisecond; by < time.Minute; by *= 2 {
			if o, known := w.log.Oldest(i, at-int64(by)); !known || v >= o {
				break
			}
			seen.Worst = max(seen.Worst, by)
		}
	}
}
