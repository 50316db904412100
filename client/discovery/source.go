package discovery

import (
	"context"
	"errors"

	"github.com/memherd/memherd/ring"
)

// Source says which nodes the fleet has.
type Source interface {
	// Nodes returns the fleet as the source knows it now, in any order. An error means
	// that nothing is known; a list without nodes is taken for no answer, too. It
	// obeys ctx. A Follower calls it from one goroutine at a time.
	Nodes(ctx context.Context) ([]ring.Node, error)
}

// Watcher is a Source that can say when its answer may have changed. It is polled all
// the same, so that a change it missed is only late.
type Watcher interface {
	Source
	// Watch calls changed, which does not block, once it watches and whenever another
	// answer may be had since, until ctx ends. It returns an error if it can't go on
	// before that, and is called again after Config.Interval.
	Watch(ctx context.Context, changed func()) error
}

// Truster is a Source whose word is the operator's: if Trusted says so, a node that is
// missing from an answer leaves the fleet at once, even one that works.
type Truster interface {
	Source
	Trusted() bool
}

// What is wrong with an answer, to errors.Is.
var (
	// ErrConfig: the source or the follower is set up wrongly; asking again won't help.
	ErrConfig = errors.New("discovery: bad configuration")
	// ErrMalformed: the answer is no list of nodes, or one that no fleet can have. The
	// cause of package ring, such as ring.ErrBadWeight, is in it where there is one.
	ErrMalformed = errors.New("discovery: malformed list of nodes")
	// ErrEmpty: the answer names no nodes.
	ErrEmpty = errors.New("discovery: the answer names no nodes")
	// ErrMissing: nodes are missing from the answer which are not known to be down.
	ErrMissing = errors.New("discovery: nodes are missing from the answer but not known to be down")
	// ErrOldVersion: the answer is older than one seen before.
	ErrOldVersion = errors.New("discovery: the answer is older than one before")
)

// Static is a list that does not change: the operator's word.
type Static []ring.Node

// Nodes returns the list.
func (s Static) Nodes(context.Context) ([]ring.Node, error) {
	return append([]ring.Node(nil), s...), nil
}

// Trusted says yes.
func (s Static) Trusted() bool { return true }
