package discovery

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/ring"
)

// DefaultFirst is how long First asks if its context has no deadline.
const DefaultFirst = 10 * time.Second

// Pauses between First's questions: from the first they double up to the last.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = time.Second
)

// First returns the source's first good answer: what a client starts with. A source that
// fails, or is empty, is asked again until ctx ends, or for 10 s if ctx has no deadline;
// then the error has the last failure. A source that is set up wrongly (ErrConfig) or
// says what no fleet can be (ErrMalformed) is not asked twice.
func First(ctx context.Context, src Source) ([]ring.Node, error) {
	return first(ctx, src, func(error) {})
}

// first is First that tells of what it asks again for.
func first(ctx context.Context, src Source, failed func(error)) ([]ring.Node, error) {
	if src == nil {
		return nil, badConfig("First needs a Source")
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, DefaultFirst)
		defer cancel()
	}
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		nodes, err := firstAnswer(ctx, src)
		if err == nil {
			return nodes, nil
		}
		if errors.Is(err, ErrConfig) || errors.Is(err, ErrMalformed) {
			return nil, err
		}
		failed(err)
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			if errors.Is(err, ctx.Err()) {
				return nil, err
			}
			return nil, fmt.Errorf("%w: no list of nodes: %w", ctx.Err(), err)
		}
	}
}

// firstAnswer bounds one question, so that one answer lost does not use up the time.
func firstAnswer(ctx context.Context, src Source) ([]ring.Node, error) {
	ctx, cancel := context.WithTimeout(ctx, DefaultTimeout)
	defer cancel()
	nodes, err := src.Nodes(ctx)
	if err != nil {
		return nil, err
	}
	return canonical(nodes)
}

// announceAfter is how long a client that asks at this interval has to announce a change: twice
// as long as the interval may be by its jitter.
func announceAfter(interval time.Duration) time.Duration { return 2 * (interval + interval/10) }

// NewClient asks the source for the fleet (see First), makes a client of it with cfg,
// whose Nodes are to be empty, and follows the source. Until there is a list Hooks.Failed hears of each question that
// found none. Config.Announce, if 0, is a little more
// than twice the interval at which the source is asked, for a Watcher the client's default. Close the follower, then the
// client.
func NewClient(ctx context.Context, cfg client.Config, src Source, follow Config) (*client.Client, *Follower, error) {
	if len(cfg.Nodes) > 0 {
		return nil, nil, badConfig("client.Config.Nodes is set; the source says which nodes there are")
	}
	follow, err := follow.withDefaults()
	if err != nil {
		return nil, nil, err
	}
	failed := follow.Hooks.Failed
	if failed == nil {
		failed = func(error) {}
	}
	nodes, err := first(ctx, src, failed)
	if err != nil {
		return nil, nil, err
	}
	cfg.Nodes = nodes
	if _, watched := src.(Watcher); !watched && cfg.Announce == 0 {
		cfg.Announce = announceAfter(follow.Interval)
	}
	c, err := client.New(cfg)
	if err != nil {
		return nil, nil, err
	}
	f, err := Follow(c, src, follow)
	if err != nil {
		return nil, nil, errors.Join(err, c.Close())
	}
	return c, f, nil
}
