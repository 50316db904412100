// Package subject is what the bench puts under load: a Loader on a client in front
// of an origin, with every value that comes back held against what may come back.
package subject

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/memherd/memherd/bench/internal/origin"
	"github.com/memherd/memherd/bench/internal/report"
	"github.com/memherd/memherd/bench/internal/value"
	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/observe/live"
	"github.com/memherd/memherd/client/observe/metrics"
	"github.com/memherd/memherd/client/observe/timing"
	"github.com/memherd/memherd/hotkey"
	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/ring"
)

// Bound is the staleness bound X the near-cache is run with.
const Bound = 50 * time.Millisecond

// Origin is what is behind the cache; *origin.SQLite and *origin.Synthetic are.
type Origin interface {
	Load(ctx context.Context, key string) ([]byte, error)
	Store(ctx context.Context, key string, body []byte) error
	Loads() int64
	Stores() int64
}

// Config says what to put under load. All fields up to Origin are required.
type Config struct {
	Nodes    []ring.Node
	Replicas int
	Keys     []string // the origin's keys, without Prefix
	Size     func(i int) int
	Origin   Origin

	Prefix string        // of every key in the cache
	TTL    time.Duration // 0 is the loader's default
	// TTLOf, if not nil, is the TTL of each key instead. Each that differs takes a loader of its own: let there
	// be few.
	TTLOf func(i int) time.Duration
	Write loader.WritePolicy // 0 is write-around
	// NoNear switches the near-cache off; keys are still counted.
	NoNear bool
	// OnPromote, if not nil, hears of keys, with Prefix, that rise to a level. Not with NoNear.
	OnPromote func(key string, level hotkey.Level)
	// Live makes Subject.Live, for which one call in eight is timed.
	Live bool
}

// Subject is the Loaders, one for each TTL, their client and the bookkeeping of what they answered. Read
// and Write may be called by many goroutines.
type Subject struct {
	Client *client.Client
	Origin Origin
	Keys   []string
	// Live is the page to look at while it runs, nil unless asked for.
	Live    http.Handler
	prefix  string
	size    func(i int) int
	loaders []*loader.Loader[[]byte]
	which   []uint8 // of loaders, by key; nil if there is one
	history *value.History

	wrong atomic.Int64
	stale report.StaleCount
	errs  Errors
}

// New builds the client and the loader. It sends nothing.
func New(cfg Config) (*Subject, error) {
	cc := client.Config{Nodes: cfg.Nodes, ReplicationFactor: cfg.Replicas}
	if !cfg.NoNear {
		cc.HotKeys = &hotkey.Config{Staleness: Bound, OnPromote: cfg.OnPromote}
	}
	c, err := client.New(cc)
	if err != nil {
		return nil, err
	}
	s := &Subject{Client: c, Origin: cfg.Origin, Keys: cfg.Keys, prefix: cfg.Prefix, size: cfg.Size, history: value.NewHistory(len(cfg.Keys))}
	cache, timed := loader.Cache(c), (*timing.Client)(nil)
	if cfg.Live {
		if timed, err = timing.New(timing.Config{Client: c}); err != nil {
			return nil, errors.Join(err, c.Close())
		}
		cache = timed
	}
	ttls, err := s.divide(cfg)
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	for _, ttl := range ttls {
		l, err := loader.New[[]byte](cache, loader.Config[[]byte]{
			Load: func(ctx context.Context, key string) ([]byte, error) {
				b, err := cfg.Origin.Load(ctx, key)
				if errors.Is(err, origin.ErrNoRow) {
					return nil, loader.ErrNotFound
				}
				return b, err
			},
			Store:  cfg.Origin.Store,
			Codec:  loader.Bytes{},
			Prefix: cfg.Prefix,
			TTL:    ttl,
			Write:  cfg.Write,
		})
		if err != nil {
			return nil, errors.Join(err, s.Close())
		}
		s.loaders = append(s.loaders, l)
	}
	if cfg.Live {
		if err := s.makeLive(timed); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	return s, nil
}

// divide gives each key its loader, and returns the loaders' TTLs.
func (s *Subject) divide(cfg Config) (ttls []time.Duration, err error) {
	if cfg.TTLOf == nil {
		return []time.Duration{cfg.TTL}, nil
	}
	number := map[time.Duration]int{}
	s.which = make([]uint8, len(cfg.Keys))
	for i := range cfg.Keys {
		ttl := cfg.TTLOf(i)
		n, ok := number[ttl]
		if !ok {
			n = len(ttls)
			if n > math.MaxUint8 {
				return nil, fmt.Errorf("more than %d different TTLs", math.MaxUint8+1)
			}
			number[ttl], ttls = n, append(ttls, ttl)
		}
		s.which[i] = uint8(n)
	}
	return ttls, nil
}

// loader is the one of key i.
func (s *Subject) loader(i int) *loader.Loader[[]byte] {
	if s.which == nil {
		return s.loaders[0]
	}
	return s.loaders[s.which[i]]
}

// counters are those of all loaders together, as far as a result needs them.
func (s *Subject) counters() (sum loader.Counters) {
	for _, l := range s.loaders {
		n := l.Counters()
		sum.NearHits += n.NearHits
		sum.NodeHits += n.NodeHits
		sum.NegativeHits += n.NegativeHits
		sum.Misses += n.Misses
	}
	return sum
}

// makeLive shows the keys: they are the bench's own.
func (s *Subject) makeLive(timed *timing.Client) error {
	shown := map[string]func() any{}
	for i, l := range s.loaders {
		name := "rows"
		if len(s.loaders) > 1 {
			name = fmt.Sprintf("rows %d", i+1)
		}
		shown[name] = func() any { return l.Counters() }
	}
	h, err := live.New(live.Config{Keys: live.KeysShown, Source: metrics.Source{Client: s.Client, Timing: timed, Loaders: shown}})
	if err != nil {
		return err
	}
	s.Live = h
	return nil
}

// Read reads key i through the loader and checks what comes back.
func (s *Subject) Read(ctx context.Context, i int) {
	floor := s.history.Floor(i, Bound)
	b, err := s.loader(i).Get(ctx, s.Keys[i])
	if err != nil {
		s.Fail(ctx, "get", err)
		return
	}
	v, err := value.Check(s.Keys[i], b)
	switch {
	case err != nil:
		s.Wrong(err)
	case v < floor.Bound:
		s.Wrong(fmt.Errorf("version %d although version %d was acknowledged more than %v before the read", v, floor.Bound, Bound))
	case v < floor.Newest:
		s.stale.Add(s.history.Age(i, v, floor))
	}
}

// Write gives key i its next version through the loader.
func (s *Subject) Write(ctx context.Context, i int) {
	v, done := s.history.Begin(i)
	err := s.loader(i).Put(ctx, s.Keys[i], value.Make(s.Keys[i], v, s.size(i)))
	done(err == nil)
	if err != nil {
		s.Fail(ctx, "put", err)
	}
}

// Fail counts an error a caller saw. One that says only that the run was cancelled
// is the run's, not the cache's.
func (s *Subject) Fail(ctx context.Context, op string, err error) {
	if ctx.Err() == nil {
		s.errs.Add(fmt.Sprintf("%s: %v", op, err))
	}
}

// Wrong counts a value that must not have come back.
func (s *Subject) Wrong(err error) {
	s.wrong.Add(1)
	s.errs.note("wrong value: " + err.Error())
}

// Delete removes key i by its loader.
func (s *Subject) Delete(ctx context.Context, i int) error {
	return s.loader(i).Delete(ctx, s.Keys[i])
}

// Close closes the loaders and the client.
func (s *Subject) Close() error {
	var errs []error
	for _, l := range s.loaders {
		errs = append(errs, l.Close())
	}
	return errors.Join(append(errs, s.Client.Close())...)
}

// Errors counts errors and keeps the first few different ones.
type Errors struct {
	n  atomic.Int64
	mu sync.Mutex // guards what follows
	// first holds at most firstErrors texts, in order of appearance.
	first []string
}

const firstErrors = 5

// Add counts an error.
func (e *Errors) Add(text string) {
	e.n.Add(1)
	e.note(text)
}

func (e *Errors) note(text string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.first) >= firstErrors {
		return
	}
	for _, f := range e.first {
		if f == text {
			return
		}
	}
	e.first = append(e.first, text)
}

// First returns the first few different texts.
func (e *Errors) First() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]string(nil), e.first...)
}
