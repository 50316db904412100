package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/memherd/memherd/bench/internal/drive"
	"github.com/memherd/memherd/bench/internal/measure"
	"github.com/memherd/memherd/bench/internal/workload"
)

type runCmd struct {
	target     `embed:""`
	Dist       string        `default:"zipf" enum:"zipf,uniform,hotspot-moving,flash-crowd" help:"Which keys are asked for: zipf, uniform, hotspot-moving or flash-crowd."`
	Cluster    int           `help:"Take lengths of keys, sizes, TTLs, operations and exponent of Twitter's production cache cluster N of March 2020; flags that are given count more." placeholder:"N"`
	Keys       int           `short:"k" default:"100000" help:"Number of keys."`
	Zipf       *float64      `help:"Exponent of zipf, and of what a flash crowd comes upon, from 0 to 10 (default 0.99)." placeholder:"S"`
	HotKeys    int           `default:"100" help:"With hotspot-moving and flash-crowd: keys in the hot spot, or of the crowd."`
	HotShare   float64       `default:"0.9" help:"With hotspot-moving and flash-crowd: share of the requests that go to those keys."`
	HotEvery   time.Duration `default:"1s" help:"With hotspot-moving: how often the hot spot moves."`
	FlashAfter time.Duration `help:"With flash-crowd: when it comes (default: after a third of the duration); it stays for a third." placeholder:"TIME"`
	Reads      *float64      `help:"Share of reads (default 0.95); the rest are writes, but for deletes." placeholder:"SHARE"`
	Deletes    *float64      `help:"Share of deletes (default 0)." placeholder:"SHARE"`
	WarmUp     time.Duration `help:"Run for so long beforehand without measuring (default: not at all, and the figures have the empty cache in them)." placeholder:"TIME"`
	Duration   time.Duration `short:"d" default:"10s" help:"How long to run."`

	keyBytes             int // 0 for as short as it goes
	zipf, reads, removes float64
}

func (c *runCmd) Run(e *env) (err error) {
	notes, err := c.preset()
	if err != nil {
		return err
	}
	if err := c.check(); err != nil {
		return err
	}
	switch {
	case c.Keys < 1 || c.Keys > 1<<27:
		return usagef("-keys %d: give a number from 1 to %d", c.Keys, 1<<27)
	case !(c.reads >= 0 && c.reads <= 1):
		return usagef("-reads %v: give a share from 0 to 1", c.reads)
	case !(c.removes >= 0 && c.removes <= 1):
		return usagef("-deletes %v: give a share from 0 to 1", c.removes)
	case c.reads+c.removes > 1+1e-9:
		return usagef("-reads %v and -deletes %v are more than all requests", c.reads, c.removes)
	case !(c.zipf >= 0 && c.zipf <= 10):
		return usagef("-zipf %v: give an exponent from 0 to 10", c.zipf)
	case c.hotSpot() && (c.HotKeys < 1 || c.HotKeys > c.Keys):
		return usagef("-hot-keys %d: give a number from 1 to that of all keys, %d", c.HotKeys, c.Keys)
	case c.hotSpot() && !(c.HotShare >= 0 && c.HotShare <= 1):
		return usagef("-hot-share %v: give a share from 0 to 1", c.HotShare)
	case c.HotEvery <= 0:
		return usagef("-hot-every %v: give a time above 0", c.HotEvery)
	case c.Duration <= 0:
		return usagef("-duration must be positive")
	case c.WarmUp < 0:
		return usagef("-warm-up must not be negative")
	case c.FlashAfter < 0 || c.FlashAfter >= c.Duration:
		return usagef("-flash-after %v: give a time within -duration", c.FlashAfter)
	}
	choose, err := c.chooser()
	if err != nil {
		return usageError{err}
	}
	nodes, stop, err := c.start(e)
	if err != nil {
		return err
	}
	defer closing(&err, stop)

	keys, sizes := make([]string, c.Keys), make([]int, c.Keys)
	for i := range keys {
		keys[i], sizes[i] = c.key(i), c.size(i)
	}
	s, err := c.subject(nodes, keys, sizes, "")
	if err != nil {
		return err
	}
	defer closing(&err, s.Close)
	do := func(ctx context.Context, w *drive.Worker, _ int64) measure.Kind {
		key := choose.Next(w.Rand)
		switch what := w.Rand.Float64(); {
		case what < c.reads:
			s.Read(ctx, key)
			return measure.Read
		case what < c.reads+c.removes:
			if err := s.Delete(ctx, key); err != nil {
				s.Fail(ctx, "delete", err)
			}
		default:
			s.Write(ctx, key)
		}
		return measure.Write
	}
	if c.WarmUp > 0 {
		if err := c.warmUp(e, s, c.WarmUp, do); err != nil {
			return err
		}
		if choose, err = c.chooser(); err != nil { // hot spots and crowds begin their times anew
			return usageError{err}
		}
		notes = append(notes, fmt.Sprintf("warmed up for %v", c.WarmUp))
	}
	return c.measure(e, c.Dist, s, drive.Config{Duration: c.Duration}, do, notes...)
}

// hotSpot says whether -hot-keys and -hot-share mean anything.
func (c *runCmd) hotSpot() bool { return c.Dist == "hotspot-moving" || c.Dist == "flash-crowd" }

// preset takes what no flag says from -cluster, or else from the defaults.
func (c *runCmd) preset() (notes []string, err error) {
	c.reads, c.removes, c.zipf = .95, 0, .99
	if c.Cluster != 0 {
		p, err := workload.FindCluster(c.Cluster)
		if err != nil {
			return nil, usagef("-cluster: %v", err)
		}
		if c.reads, _, c.removes = p.Shares(); p.Zipf >= 0 {
			c.zipf = p.Zipf
		}
		if c.ValueSize == "" {
			c.ValueSize = fmt.Sprintf("exp:%d", p.ValueBytes) // the mean alone is published
		}
		if c.TTL == "" {
			c.TTL = strings.ReplaceAll(p.TTLs, " ", "")
		}
		c.keyBytes = p.KeyBytes
		notes = append(notes, fmt.Sprintf("cluster %d of Twitter's, March 2020: keys of %d B, values of %d B, %s, exponent %.4g; there an instance had %.2f thousand requests a second",
			p.Number, p.KeyBytes, p.ValueBytes, p.Mix, c.zipf, p.KQPS))
	}
	for _, flag := range []struct{ from, to *float64 }{{c.Reads, &c.reads}, {c.Deletes, &c.removes}, {c.Zipf, &c.zipf}} {
		if flag.from != nil {
			*flag.to = *flag.from
		}
	}
	return notes, nil
}

// key names key i, with zeros where a cluster's keys are longer.
func (c *runCmd) key(i int) string {
	return fmt.Sprintf("key:%0*d", max(1, c.keyBytes-len(c.Prefix)-len("key:")), i)
}

func (c *runCmd) chooser() (workload.Chooser, error) {
	switch c.Dist {
	case "uniform":
		return workload.NewUniform(c.Keys)
	case "hotspot-moving":
		return workload.NewMoving(c.Keys, c.HotKeys, c.HotShare, c.HotEvery, c.Seed)
	}
	base, err := workload.NewZipf(c.Keys, c.zipf)
	if c.Dist != "flash-crowd" || err != nil {
		return base, err
	}
	if c.FlashAfter == 0 {
		c.FlashAfter = c.Duration / 3
	}
	return workload.NewFlash(base, c.Keys, c.HotKeys, c.HotShare, c.FlashAfter, c.Duration/3, c.Seed)
}
