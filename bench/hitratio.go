package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/memherd/memherd/bench/internal/nodebench"
	"github.com/memherd/memherd/bench/internal/progress"
	"github.com/memherd/memherd/nodeserver/stock"
)

type hitratioCmd struct {
	Trace   string    `required:"" help:"File of one key number a line, plain or gzip; or made up: zipf:0.99, drift:0.99 (the same, but after every tenth of the requests a fifth of the keys are new ones)." placeholder:"FILE"`
	Shares  []float64 `default:"10,30" help:"Memory of the servers, in percent of all values' bytes."`
	Size    int       `default:"20480" help:"Mean bytes of a value; each has up to a half more or less."`
	Limit   int       `help:"Play only the first N requests (default: all)." placeholder:"N"`
	Memnode string    `default:"bin/memnode" help:"The memnode to measure (default bin/memnode, which make build makes)." placeholder:"FILE"`
	Seed    uint64    `default:"1" help:"Seed of the sizes, and of requests that are made up."`
}

// fewestMB is the least memory that memcached starts with, at its item size of 1 MB.
const fewestMB = 2

func (c *hitratioCmd) Run(e *env) error {
	if c.Size < 1 || c.Size > 600_000 || c.Limit < 0 || len(c.Shares) == 0 {
		return usagef("-size must be from 1 to 600000, -limit not negative, and -shares not empty")
	}
	for _, s := range c.Shares {
		if !(s > 0 && s <= 1000) {
			return usagef("-shares %v: give percentages above 0", s)
		}
	}
	trace, err := c.trace()
	if err != nil {
		return usageError{fmt.Errorf("-trace: %w", err)}
	}
	if err := checkMemnode(c.Memnode); err != nil {
		return err
	}
	size, total := trace.Sizes(c.Size, c.Seed)
	for _, share := range c.Shares {
		if mb := share / 100 * float64(total) / (1 << 20); mb < fewestMB {
			return usagef("-shares %v: that is %.1f MB, and a server takes %d or more: give a longer -trace, or a larger -size", share, mb, fewestMB)
		}
	}
	if _, err := stock.Find(); err != nil { // last: what was asked wrongly is wrong with a memcached, too
		return usageError{err}
	}
	fmt.Fprintf(e.stdout, "%d requests, %d keys, %d MB of values of %d B on average, seed %d\n", len(trace), len(size), total>>20, c.Size, c.Seed)
	fmt.Fprintf(e.stdout, "%8s %8s %10s %10s %10s %10s %10s\n", "share", "-m", "exact lru", "memcached", "lru", "s3fifo", "lfu")
	bar := progress.New(e.stderr, int64(4*len(c.Shares)))
	defer bar.Close()
	bar.Step("hit ratios")
	done := int64(0)
	for _, share := range c.Shares {
		mb := int(float64(total)*share/100) >> 20
		line := fmt.Sprintf("%7.0f%% %8d %9.2f%%", share, mb, 100*trace.ExactLRU(size, mb<<20))
		for _, s := range []stock.Config{
			{}, {Path: c.Memnode}, {Path: c.Memnode, Args: []string{"-o", "eviction=s3fifo"}}, {Path: c.Memnode, Args: []string{"-o", "eviction=lfu"}},
		} {
			s.MemoryMB = mb
			bar.Set(done, fmt.Sprintf("%v %% of the bytes", share))
			done++
			ratio, err := c.play(e, s, trace, size)
			if err != nil && e.ctx.Err() != nil {
				return e.ctx.Err() // Ctrl-C on a terminal ends the servers, too
			}
			if err != nil {
				return err
			}
			line += fmt.Sprintf(" %9.2f%%", 100*ratio)
		}
		fmt.Fprintln(e.stdout, line)
	}
	return nil
}

// trace is the file, or what its name says is to be made up.
func (c *hitratioCmd) trace() (nodebench.Trace, error) {
	if strings.HasPrefix(c.Trace, "zipf:") || strings.HasPrefix(c.Trace, "drift:") {
		return nodebench.MakeTrace(c.Trace, c.Limit, c.Seed)
	}
	return nodebench.ReadTrace(c.Trace, c.Limit)
}

// play plays the trace to a fresh server.
func (c *hitratioCmd) play(e *env, cfg stock.Config, trace nodebench.Trace, size map[int]int) (float64, error) {
	s, err := stock.Start(cfg)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", cfg.Path, err)
	}
	ratio, err := nodebench.Server{Name: cfg.Path, Addr: s.Addr()}.HitRatio(e.ctx, trace, size)
	return ratio, errors.Join(err, s.Kill())
}
