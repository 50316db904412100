package discovery

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/ring"
)

// Follower keeps a client's list of nodes as its source says. Make it with Follow. All
// methods may be called concurrently.
type Follower struct {
	fleet  Fleet
	src    Source
	cfg    Config
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup
	kick   chan struct{} // ask soon
	broken chan error    // why the source can't be watched

	// Only the goroutine of run uses these.
	members members
	told    []string // the missing nodes that Kept was told of

	// mu guards what follows. It is held for bookkeeping only.
	mu      sync.Mutex
	state   State
	release []string // names for members.released
}

// Follow starts to keep the client's nodes as src says and returns at once; the list
// that the client has now is the one in force. Make the client from First of the same
// source, or use NewClient: nodes must go by the same names, or every server is two.
//
// It asks from a goroutine of its own, and watches a Watcher from another. Close ends
// both; call it before the client's. The error is ErrConfig.
func Follow(fleet Fleet, src Source, cfg Config) (*Follower, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	if src == nil || fleet == nil {
		return nil, badConfig("Follow needs a client and a Source")
	}
	f := newFollower(fleet, src, cfg)
	f.wg.Go(f.run)
	if w, ok := src.(Watcher); ok {
		f.wg.Go(func() { f.watch(w) })
	}
	return f, nil
}

// newFollower makes a follower that does not run yet. cfg has its defaults.
func newFollower(fleet Fleet, src Source, cfg Config) *Follower {
	f := &Follower{
		fleet: fleet, src: src, cfg: cfg, kick: make(chan struct{}, 1), broken: make(chan error),
		members: members{trusted: cfg.trusts(src), removeAfter: cfg.RemoveAfter, absent: map[string]int{}, released: map[string]bool{}},
	}
	for _, s := range fleet.Nodes() {
		if s.Leaving || s.Gutter {
			continue
		}
		f.members.list = append(f.members.list, s.Node)
	}
	sortNodes(f.members.list)
	f.state.Nodes = f.members.list
	f.ctx, f.cancel = context.WithCancel(context.Background())
	return f
}

// Close stops following and waits for the follower's goroutines, so for a question
// under way, whose context it ends. The client keeps the list it has. Closing twice is
// harmless.
func (f *Follower) Close() error {
	f.cancel()
	f.wg.Wait()
	return nil
}

// Refresh makes the follower ask its source now, or Config.Coalesce after the last
// question. It does not wait.
func (f *Follower) Refresh() {
	select {
	case f.kick <- struct{}{}:
	default: // a question is due already
	}
}

// Release lets go of a node that stays only because it works: it leaves with the next
// answer that lacks it, which is asked for now. A name that is not in force is
// ErrConfig. It is the operator's word where the source's is not.
func (f *Follower) Release(name string) error {
	f.mu.Lock()
	known := find(f.state.Nodes, name) != nil
	if known {
		f.release = append(f.release, name)
	}
	f.mu.Unlock()
	if !known {
		return badConfig("Release: no node is named %q", name)
	}
	f.Refresh()
	return nil
}

// State returns what the follower knows now.
func (f *Follower) State() State {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.state
	s.Nodes, s.Missing = slices.Clone(s.Nodes), slices.Clone(s.Missing)
	return s
}

// update changes the state under its lock.
func (f *Follower) update(change func(s *State)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(&f.state)
}

// run asks whenever it is time, or Coalesce after the last question if there is news.
func (f *Follower) run() {
	next := time.NewTimer(rand.N(f.cfg.Interval))
	defer next.Stop()
	var asked time.Time
	for {
		select {
		case <-f.ctx.Done():
			return
		case err := <-f.broken:
			f.failed(err)
			continue
		case <-f.kick:
			if early := f.cfg.Coalesce - time.Since(asked); early > 0 && !asked.IsZero() {
				next.Reset(early) // further news until then is part of it
				continue
			}
		case <-next.C:
		}
		if !f.round() {
			return
		}
		asked = time.Now()
		next.Reset(f.pause())
	}
}

// pause is the time to the next question.
func (f *Follower) pause() time.Duration {
	tenth := f.cfg.Interval / 10
	return max(f.cfg.Coalesce, f.cfg.Interval-tenth+rand.N(2*tenth+1))
}

// watch keeps a Watcher watching.
func (f *Follower) watch(w Watcher) {
	for {
		err := w.Watch(f.ctx, f.Refresh)
		if err == nil {
			err = errors.New("the source stopped watching")
		}
		select {
		case <-f.ctx.Done():
			return
		case f.broken <- fmt.Errorf("discovery: can't watch for changes, polling goes on: %w", err):
		}
		t := time.NewTimer(f.pause())
		select {
		case <-f.ctx.Done():
			t.Stop()
			return
		case <-t.C:
		}
	}
}

// round asks once and follows the answer. It returns false if there is no client any
// more to follow for.
func (f *Follower) round() bool {
	ctx, cancel := context.WithTimeout(f.ctx, f.cfg.Timeout)
	nodes, err := f.src.Nodes(ctx)
	cancel()
	var answer []ring.Node
	if err == nil {
		answer, err = canonical(nodes)
	}
	switch {
	case f.ctx.Err() != nil:
		return false
	case errors.Is(err, ErrEmpty) || errors.Is(err, ErrOldVersion):
		f.update(func(s *State) { s.Kept++; s.Err = err })
		f.kept(namesOf(f.members.list), err)
		return true
	case err != nil:
		f.failed(err)
		return true
	}
	return f.follow(answer)
}

// follow applies a good answer.
func (f *Follower) follow(answer []ring.Node) bool {
	f.mu.Lock()
	for _, name := range f.release {
		f.members.released[name] = true
	}
	f.release = nil
	f.mu.Unlock()

	c := f.members.next(answer, f.downNow(answer))
	if !c.empty() {
		if err := f.fleet.SetNodes(slices.Clone(c.list)); err != nil {
			f.failed(fmt.Errorf("discovery: the client refused the list: %w", err))
			return !errors.Is(err, item.ErrClosed)
		}
		f.members.set(c.list)
	}
	now := time.Now()
	f.update(func(s *State) {
		s.Answers++
		s.Answered, s.Nodes, s.Missing, s.Err = now, f.members.list, c.missing, nil
		if len(c.missing) > 0 {
			s.Err = ErrMissing
		}
		if !c.empty() {
			s.Changes++
			s.Changed = now
		}
	})
	if h := f.cfg.Hooks.Applied; h != nil && !c.empty() {
		h(c.added, c.removed, c.altered)
	}
	f.tellMissing(c.missing)
	return true
}

// downNow learns which nodes are down, as far as the answer makes that matter. A node
// that nobody has talked to says nothing about itself; so if one is missing, all are
// asked for a sign of life.
func (f *Follower) downNow(answer []ring.Node) func(name string) bool {
	gone := f.members.gone(answer)
	down := map[string]bool{}
	if len(gone) == 0 || f.members.trusted {
		return func(string) bool { return false }
	}
	look := func() (silent bool) {
		for _, s := range f.fleet.Nodes() {
			// One that is leaving has moved, and is in force at another address.
			if !s.Leaving && !s.Gutter && find(gone, s.Node.Name) != nil {
				down[s.Node.Name] = s.State == "down"
				silent = silent || s.State == "up" && s.Conns == 0
			}
		}
		return silent
	}
	if look() {
		ctx, cancel := context.WithTimeout(f.ctx, f.cfg.Timeout)
		_ = f.fleet.Ping(ctx) // what it learns, Nodes shows
		cancel()
		look()
	}
	return func(name string) bool { return down[name] }
}

func (f *Follower) tellMissing(missing []Missing) {
	var names []string
	for _, m := range missing {
		names = append(names, m.Node.Name)
	}
	if slices.Equal(names, f.told) {
		return
	}
	f.told = names
	if len(names) > 0 {
		f.kept(slices.Clone(names), ErrMissing)
	}
}

func (f *Follower) kept(names []string, why error) {
	if f.cfg.Hooks.Kept != nil {
		f.cfg.Hooks.Kept(names, why)
	}
}

func (f *Follower) failed(err error) {
	f.update(func(s *State) { s.Failures++; s.Err = err })
	if f.cfg.Hooks.Failed != nil {
		f.cfg.Hooks.Failed(err)
	}
}
