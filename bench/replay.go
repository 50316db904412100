package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/memherd/memherd/bench/internal/drive"
	"github.com/memherd/memherd/bench/internal/measure"
	"github.com/memherd/memherd/bench/internal/origin"
	"github.com/memherd/memherd/bench/internal/replay"
	"github.com/memherd/memherd/bench/internal/report"
	"github.com/memherd/memherd/bench/internal/subject"
	"github.com/memherd/memherd/bench/internal/trace"
	"github.com/memherd/memherd/client/item"
)

type replayCmd struct {
	target `embed:""`
	Trace  string `required:"" help:"The trace: *.keys or Twitter CSV, plain, gzip or zstd." placeholder:"FILE"`
	Limit  int    `help:"Replay only the first N requests (default all; each takes 16 bytes of memory)." placeholder:"N"`
}

// bare is what keys that bypass the loader begin with, after the prefix: the
// loader's own keys never begin so, because theirs begin with "v:".
const (
	bare   = "b:"
	loaded = "v:"
)

func (c *replayCmd) Run(e *env) (err error) {
	if err := c.check(); err != nil {
		return err
	}
	if c.Limit < 0 {
		return usagef("-limit %d: give a number of requests from 1", c.Limit)
	}
	// The whole trace is read first: a bad line must not end a replay half way.
	t, err := trace.Load(c.Trace, c.Limit, nil)
	if err != nil {
		return usageError{err}
	}
	for _, k := range t.Keys {
		if n := len(c.Prefix) + len(bare) + len(k) + len(":n"); n > item.MaxKeyLen {
			return usagef("the trace has a key of %d bytes, which with -prefix %q is over memcached's %d: give a shorter prefix", len(k), c.Prefix, item.MaxKeyLen)
		}
	}
	nodes, stop, err := c.nodes(e)
	if err != nil {
		return err
	}
	defer closing(&err, stop)

	sizes := replay.Sizes(t, c.ValueSize)
	s, err := subject.New(subject.Config{
		Nodes: nodes, Replicas: c.Replicas, Keys: t.Keys, Size: func(i int) int { return sizes[i] },
		Origin: origin.NewSynthetic(t.Keys, sizes, c.OriginDelay),
		Prefix: c.Prefix + loaded, TTL: c.TTL, Write: c.policy(), NoNear: !c.Near,
	})
	if err != nil {
		return usageError{err}
	}
	defer closing(&err, s.Close)
	p := replay.New(t, s, c.Prefix+bare, c.ValueSize)
	note := fmt.Sprintf("%s requests of %s keys", report.Count(int64(len(t.Reqs))), report.Count(int64(len(t.Keys))))
	return c.measure(e, filepath.Base(c.Trace), s, drive.Config{Ops: int64(len(t.Reqs))},
		func(ctx context.Context, _ *drive.Worker, n int64) measure.Kind { return p.Do(ctx, n) }, note)
}
