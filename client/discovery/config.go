package discovery

import (
	"context"
	"time"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/ring"
)

// Fleet is what a Follower steers: a *client.Client. Follow is to be its only caller of
// SetNodes.
type Fleet interface {
	Nodes() []client.Status
	SetNodes([]ring.Node) error
	Ping(ctx context.Context) error
}

// Removals says whether a node that is missing from an answer leaves.
type Removals uint8

const (
	// RemovalsBySource trusts sources that call themselves the operator's word, as
	// File and Static do, and asks for confirmation with all others.
	RemovalsBySource Removals = iota
	// RemovalsConfirmed lets a missing node leave only after Config.RemoveAfter answers
	// in a row lacked it while its connections said that it is down. Choose it for a
	// File that a program writes.
	RemovalsConfirmed
	// RemovalsTrusted lets a missing node leave at once, even one that works. Choose
	// it where the answer is the operator's decision and never a guess.
	RemovalsTrusted
)

// Config is the set-up of a Follower. The zero value is a good choice.
type Config struct {
	// Interval is how often the source is asked; 0 means 10 s, and more than a year is one. It is drawn anew each
	// time from 90 to 110 % of it, the first from all of it, so that many processes
	// don't ask at once.
	Interval time.Duration
	// Timeout bounds one question; 0 means 5 s.
	Timeout time.Duration
	// Coalesce is the least time between two questions; 0 means 1 s. Changes that a
	// source announces faster become one.
	Coalesce time.Duration
	// Removals says whether a missing node leaves; zero leaves it to the source.
	Removals Removals
	// RemoveAfter is how many answers in a row must lack a node that is down before it
	// leaves, where removals are to be confirmed; 0 means 3. Failed and empty answers
	// don't count.
	RemoveAfter int
	// Hooks observe the follower.
	Hooks Hooks
}

// Defaults of Config.
const (
	DefaultInterval    = 10 * time.Second
	DefaultTimeout     = 5 * time.Second
	DefaultCoalesce    = time.Second
	DefaultRemoveAfter = 3

	// longest is what "never" comes to: jitter is added, and some of it doubled.
	longest = 365 * 24 * time.Hour
)

// Hooks observe a Follower, for logs and metrics. Any of them may be nil. They are
// called from the follower's goroutine, or NewClient's caller's, one at a time and without locks held; they may
// call State, not Close. The lists they get are theirs.
type Hooks struct {
	// Applied: the client took a new list. The names of nodes that came, that left, and
	// whose address, weight, zone or drain changed.
	Applied func(added, removed, altered []string)
	// Kept: an answer was not followed, or not in all, and the nodes named stay. why is
	// ErrMissing (told when other nodes are missing than before), ErrEmpty or
	// ErrOldVersion (told for every such answer).
	Kept func(nodes []string, why error)
	// Failed: there was no usable answer, the source could not be watched, or the
	// client refused the list. The list in force stays.
	Failed func(err error)
}

// withDefaults checks cfg and fills its zeros.
func (cfg Config) withDefaults() (Config, error) {
	if cfg.Interval < 0 || cfg.Timeout < 0 || cfg.Coalesce < 0 || cfg.RemoveAfter < 0 {
		return cfg, badConfig("Interval, Timeout, Coalesce or RemoveAfter is negative; 0 chooses the default")
	}
	if cfg.Removals > RemovalsTrusted {
		return cfg, badConfig("Removals is %d: use RemovalsBySource, RemovalsConfirmed or RemovalsTrusted", cfg.Removals)
	}
	for _, d := range []struct {
		v   *time.Duration
		def time.Duration
	}{{&cfg.Interval, DefaultInterval}, {&cfg.Timeout, DefaultTimeout}, {&cfg.Coalesce, DefaultCoalesce}} {
		if *d.v == 0 {
			*d.v = d.def
		}
		*d.v = min(*d.v, longest)
	}
	if cfg.RemoveAfter == 0 {
		cfg.RemoveAfter = DefaultRemoveAfter
	}
	return cfg, nil
}

// trusts says whether the source's removals are the operator's.
func (cfg Config) trusts(src Source) bool {
	if cfg.Removals == RemovalsBySource {
		t, ok := src.(Truster)
		return ok && t.Trusted()
	}
	return cfg.Removals == RemovalsTrusted
}

// State is a Follower's view of things, for health pages.
type State struct {
	// Nodes is the list in force, ordered by name.
	Nodes []ring.Node
	// Missing are those of them that the newest good answer lacks.
	Missing []Missing
	// Answered is when the last good answer came, Changed when the last new list was
	// applied; zero if never.
	Answered, Changed time.Time
	// Err is why the newest answer was not followed, or not in all; nil if it was.
	Err error
	// Answers counts good answers, Kept those that were empty or old, Failures failed
	// questions, watches and lists the client refused, Changes the lists applied.
	Answers, Kept, Failures, Changes uint64
}

// Missing is a node that is in force although the newest answer lacks it.
type Missing struct {
	Node ring.Node
	// Down: the client holds it for dead. Answers is how many answers in a row lacked
	// it while it was.
	Down    bool
	Answers int
}
