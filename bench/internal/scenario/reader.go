package scenario

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/memherd/memherd/bench/internal/origin"
	"github.com/memherd/memherd/bench/internal/part"
	"github.com/memherd/memherd/bench/internal/subject"
	"github.com/memherd/memherd/bench/internal/value"
	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/ring"
)

// readerPart is the name of the part that reads through a loader.
const readerPart = "reader"

// reading is how a reader is set up. What it says of the loader is as in loader.Config.
type reading struct {
	Nodes   []ring.Node
	Origin  string // its socket
	Who     int
	Timeout time.Duration // of the client
	// Unleased makes processes know nothing of each other's loads.
	Unleased bool

	TTL, LoadTimeout, LeaseTTL time.Duration
	MaxLoads                   int
	Freshness                  loader.Freshness
	Protect                    loader.Origin
}

// reader is a process of a fleet: a client and a loader before an origin that all share.
type reader struct {
	client *client.Client
	*loader.Loader[[]byte]
	remote *origin.Remote
	who    int
}

// order is what a reader is told to do: one of its fields is set.
type order struct {
	Get     *getting `json:",omitempty"`
	Fill    *filling `json:",omitempty"`
	Traffic *traffic `json:",omitempty"`
}

// answer is what a reader has seen.
type answer struct {
	Failed, Wrong int64
	Notes         []string  // some of what went wrong
	Ended         time.Time // when the last caller had its answer
	Slowest       time.Duration
	P99           time.Duration
	Seconds       []second
	// Misses are Gets that the cache could not answer, of all since the order was given.
	Misses int64
}

// playReader is the part.
func playReader(s *part.Script) (err error) {
	var cfg reading
	if err := s.Read(&cfg); err != nil {
		return err
	}
	r, err := newReader(cfg)
	if err != nil {
		return err
	}
	defer closing(&err, r.close)
	if err := s.Say(answer{}); err != nil { // it is ready
		return err
	}
	return part.Serve(s, func(o order) (answer, error) {
		before := r.Counters().Misses
		var a answer
		switch {
		case o.Get != nil:
			a = r.get(o.Get)
		case o.Fill != nil:
			a = r.fill(o.Fill)
		case o.Traffic != nil:
			var err error
			if a, err = r.drive(o.Traffic); err != nil {
				return a, err
			}
		default:
			return a, errors.New("an order that says nothing")
		}
		a.Misses = int64(r.Counters().Misses - before)
		return a, nil
	})
}

func newReader(cfg reading) (r *reader, err error) {
	r = &reader{who: cfg.Who}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.close())
		}
	}()
	if r.remote, err = origin.Dial(cfg.Origin, cfg.Who); err != nil {
		return r, err
	}
	r.client, err = client.New(client.Config{Nodes: cfg.Nodes, ReplicationFactor: Copies, Timeout: cfg.Timeout, DialTimeout: cfg.Timeout})
	if err != nil {
		return r, err
	}
	if err := r.client.Ping(context.Background()); err != nil {
		return r, err
	}
	var c loader.Cache = r.client
	if cfg.Unleased {
		c = newUnleased(r.client)
	}
	r.Loader, err = loader.New(c, loader.Config[[]byte]{
		Load: r.remote.Load, Codec: loader.Bytes{}, TTL: cfg.TTL, LoadTimeout: cfg.LoadTimeout, LeaseTTL: cfg.LeaseTTL,
		MaxLoads: cfg.MaxLoads, Freshness: cfg.Freshness, Origin: cfg.Protect,
	})
	return r, err
}

func (r *reader) close() error {
	var err error
	if r.Loader != nil {
		err = r.Loader.Close()
	}
	if r.client != nil {
		err = errors.Join(err, r.client.Close())
	}
	if r.remote != nil {
		err = errors.Join(err, r.remote.Close())
	}
	return err
}

// getting is many callers that ask for one key.
type getting struct {
	Key     string
	Callers int
	At      time.Time // when they all begin; zero is at once
}

func (r *reader) get(g *getting) answer {
	var (
		mu       sync.Mutex // guards a
		a        answer
		errs     subject.Errors
		wg       sync.WaitGroup
		together = make(chan struct{})
	)
	for range g.Callers {
		wg.Go(func() {
			<-together
			began := time.Now()
			b, err := r.Get(context.Background(), g.Key)
			ended := time.Now()
			mu.Lock()
			defer mu.Unlock()
			a.Ended, a.Slowest = ended, max(a.Slowest, ended.Sub(began))
			if err != nil {
				a.Failed++
				errs.Add(err.Error())
			} else if _, err := value.Check(g.Key, b); err != nil {
				a.Wrong++
				errs.Add(err.Error())
			}
		})
	}
	time.Sleep(time.Until(g.At))
	close(together)
	wg.Wait()
	a.Notes = errs.First()
	return a
}

// filling reads keys once each.
type filling struct{ From, To int }

const (
	fillWorkers = 32 // reads of a filling under way
	fillTries   = 50 // of each key: the origin's limits may be what has no turn for it
)

func (r *reader) fill(f *filling) (a answer) {
	var (
		next   atomic.Int64
		failed atomic.Int64
		errs   subject.Errors
		wg     sync.WaitGroup
	)
	for range fillWorkers {
		wg.Go(func() {
			for i := f.From + int(next.Add(1)) - 1; i < f.To; i = f.From + int(next.Add(1)) - 1 {
				key := fmt.Sprint("key:", i)
				_, err := r.Get(context.Background(), key)
				for tries := 1; err != nil && tries < fillTries; tries++ {
					_, err = r.Get(context.Background(), key)
				}
				if err != nil {
					failed.Add(1)
					errs.Add(err.Error())
				}
			}
		})
	}
	wg.Wait()
	return answer{Failed: failed.Load(), Notes: errs.First()}
}

// sum adds up what several readers have seen.
func sum(as []answer) (all answer) {
	for _, a := range as {
		all.Failed += a.Failed
		all.Wrong += a.Wrong
		all.Misses += a.Misses
		all.Notes = append(all.Notes, a.Notes...)
		all.Slowest, all.P99 = max(all.Slowest, a.Slowest), max(all.P99, a.P99)
		if a.Ended.After(all.Ended) {
			all.Ended = a.Ended
		}
		for i, s := range a.Seconds {
			if i == len(all.Seconds) {
				all.Seconds = append(all.Seconds, second{})
			}
			all.Seconds[i].add(s)
		}
	}
	return all
}
