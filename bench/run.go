package main

import (
	"context"
	"fmt"
	"time"

	"github.com/memherd/memherd/bench/internal/drive"
	"github.com/memherd/memherd/bench/internal/measure"
	"github.com/memherd/memherd/bench/internal/origin"
	"github.com/memherd/memherd/bench/internal/subject"
	"github.com/memherd/memherd/bench/internal/workload"
)

type runCmd struct {
	target   `embed:""`
	Dist     string        `default:"zipf" enum:"zipf,uniform,hotspot-moving" help:"Which keys are asked for: zipf, uniform or hotspot-moving."`
	Keys     int           `short:"k" default:"100000" help:"Number of keys."`
	Zipf     float64       `default:"0.99" help:"Exponent of zipf."`
	HotKeys  int           `default:"100" help:"Keys in the moving hot spot."`
	HotShare float64       `default:"0.9" help:"Share of the requests that go to the hot spot."`
	HotEvery time.Duration `default:"1s" help:"How often the hot spot moves."`
	Reads    float64       `default:"0.95" help:"Share of reads; the rest are writes."`
	Duration time.Duration `short:"d" default:"10s" help:"How long to run."`
}

func (c *runCmd) Run(e *env) (err error) {
	if err := c.check(); err != nil {
		return err
	}
	if c.Keys < 1 || c.Keys > 1<<27 {
		return usagef("-keys %d: give a number from 1 to %d", c.Keys, 1<<27)
	}
	if !(c.Reads >= 0 && c.Reads <= 1) {
		return usagef("-reads %v: give a share from 0 to 1", c.Reads)
	}
	if c.Duration <= 0 {
		return usagef("-duration must be positive")
	}
	choose, err := c.chooser()
	if err != nil {
		return usageError{err}
	}
	nodes, stop, err := c.nodes(e)
	if err != nil {
		return err
	}
	defer closing(&err, stop)

	keys, sizes := make([]string, c.Keys), make([]int, c.Keys)
	for i := range keys {
		keys[i], sizes[i] = fmt.Sprintf("key:%d", i), c.ValueSize
	}
	s, err := subject.New(subject.Config{
		Nodes: nodes, Replicas: c.Replicas, Keys: keys, Size: func(i int) int { return sizes[i] },
		Origin: origin.NewSynthetic(keys, sizes, c.OriginDelay),
		Prefix: c.Prefix, TTL: c.TTL, Write: c.policy(), NoNear: !c.Near,
	})
	if err != nil {
		return usageError{err}
	}
	defer closing(&err, s.Close)
	return c.measure(e, c.Dist, s, drive.Config{Duration: c.Duration}, func(ctx context.Context, w *drive.Worker, _ int64) measure.Kind {
		key := choose.Next(w.Rand)
		if w.Rand.Float64() < c.Reads {
			s.Read(ctx, key)
			return measure.Read
		}
		s.Write(ctx, key)
		return measure.Write
	})
}

func (c *runCmd) chooser() (workload.Chooser, error) {
	switch c.Dist {
	case "uniform":
		return workload.NewUniform(c.Keys)
	case "hotspot-moving":
		return workload.NewMoving(c.Keys, c.HotKeys, c.HotShare, c.HotEvery, c.Seed)
	}
	return workload.NewZipf(c.Keys, c.Zipf)
}
