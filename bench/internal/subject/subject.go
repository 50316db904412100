// Package subject is what the bench puts under load: a Loader on a client in front
// of an origin, with every value that comes back held against what may come back.
package subject

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/memherd/memherd/bench/internal/origin"
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

	Prefix string             // of every key in the cache
	TTL    time.Duration      // 0 is the loader's default
	Write  loader.WritePolicy // 0 is write-around
	// NoNear switches the near-cache off; keys are still counted.
	NoNear bool
	// OnPromote, if not nil, hears of keys, with Prefix, that rise to a level. Not with NoNear.
	OnPromote func(key string, level hotkey.Level)
	// Live makes Subject.Live, for which one call in eight is timed.
	Live bool
}

// Subject is the Loader, its client and the bookkeeping of what they answered. Read
// and Write may be called by many goroutines.
type Subject struct {
	Client *client.Client
	Loader *loader.Loader[[]byte]
	Origin Origin
	Keys   []string
	// Live is the page to look at while it runs, nil unless asked for.
	Live    http.Handler
	prefix  string
	size    func(i int) int
	history *value.History

	wrong, stale atomic.Int64
	errs         Errors
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
	s.Loader, err = loader.New[[]byte](cache, loader.Config[[]byte]{
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
		TTL:    cfg.TTL,
		Write:  cfg.Write,
	})
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	if cfg.Live {
		if err := s.makeLive(timed); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	return s, nil
}

// makeLive shows the keys: they are the bench's own.
func (s *Subject) makeLive(timed *timing.Client) error {
	h, err := live.New(live.Config{Keys: live.KeysShown, Source: metrics.Source{
		Client: s.Client, Timing: timed, Loaders: map[string]func() any{"rows": func() any { return s.Loader.Counters() }},
	}})
	if err != nil {
		return err
	}
	s.Live = h
	return nil
}

// Read reads key i through the loader and checks what comes back.
func (s *Subject) Read(ctx context.Context, i int) {
	floor := s.history.Floor(i, Bound)
	b, err := s.Loader.Get(ctx, s.Keys[i])
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
		s.stale.Add(1)
	}
}

// Write gives key i its next version through the loader.
func (s *Subject) Write(ctx context.Context, i int) {
	v, done := s.history.Begin(i)
	err := s.Loader.Put(ctx, s.Keys[i], value.Make(s.Keys[i], v, s.size(i)))
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

// Close closes the loader and the client.
func (s *Subject) Close() error { return errors.Join(s.Loader.Close(), s.Client.Close()) }

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
