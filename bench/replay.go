package main

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"time"

	"github.com/memherd/memherd/bench/internal/drive"
	"github.com/memherd/memherd/bench/internal/measure"
	"github.com/memherd/memherd/bench/internal/pace"
	"github.com/memherd/memherd/bench/internal/replay"
	"github.com/memherd/memherd/bench/internal/report"
	"github.com/memherd/memherd/bench/internal/trace"
	"github.com/memherd/memherd/client/item"
)

type replayCmd struct {
	target `embed:""`
	Trace  string  `required:"" help:"The trace: *.keys, Twitter CSV, or memcached's lru_crawler metadump or watch fetchers; plain, gzip or zstd." placeholder:"FILE"`
	Speed  float64 `help:"Ask when the trace did, this many times as fast: 1 is its own pace (default: as fast as it goes)." placeholder:"X"`
	Limit  int     `help:"Replay only the first N requests (default all; each takes 16 bytes of memory)." placeholder:"N"`
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
	if c.Speed < 0 || math.IsNaN(c.Speed) || math.IsInf(c.Speed, 0) {
		return usagef("-speed must be positive")
	}
	if c.Speed > 0 && c.Rate > 0 {
		return usagef("-speed and -rate exclude each other: give one of them")
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
	cfg := drive.Config{Ops: int64(len(t.Reqs))}
	if c.Speed > 0 {
		if t.At == nil {
			return usagef("-speed: the trace has no times")
		}
		cfg.Due = func(n int64) time.Duration { return pace.Span(float64(t.At[n]) * 1e3 / c.Speed) }
	}
	nodes, stop, err := c.start(e)
	if err != nil {
		return err
	}
	defer closing(&err, stop)

	sizes := replay.Sizes(t, c.size)
	s, err := c.subject(nodes, t.Keys, sizes, loaded)
	if err != nil {
		return err
	}
	defer closing(&err, s.Close)
	p := replay.New(t, s, c.Prefix+bare, c.size)
	note := fmt.Sprintf("%s requests of %s keys", report.Count(int64(len(t.Reqs))), report.Count(int64(len(t.Keys))))
	return c.measure(e, filepath.Base(c.Trace), s, cfg,
		func(ctx context.Context, _ *drive.Worker, n int64) measure.Kind { return p.Do(ctx, n) }, note)
}
