package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/memherd/memherd/bench/internal/fleet"
	"github.com/memherd/memherd/bench/internal/progress"
	"github.com/memherd/memherd/bench/internal/report"
	"github.com/memherd/memherd/bench/internal/rival"
	"github.com/memherd/memherd/bench/internal/value"
	"github.com/memherd/memherd/bench/internal/versus"
	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/nodeserver/stock"
	"github.com/memherd/memherd/ring"
)

type compareCmd struct {
	Server     string        `help:"Compare on this server instead of a memcached of the bench's own." placeholder:"ADDR"`
	Goroutines []int         `short:"g" default:"1,8,64,256" help:"Numbers of goroutines."`
	Rounds     int           `default:"9" help:"Rounds; the median counts."`
	Slot       time.Duration `default:"500ms" help:"Length of each client's turn in a round."`
	Keys       int           `default:"1000" help:"Number of keys."`
	Size       int           `default:"100" help:"Bytes of a value."`
	Seed       uint64        `default:"1" help:"Seed of the requests."`
	JSON       string        `name:"json" help:"Also write the results as JSON to this file (- is stdout)." placeholder:"OUT"`
}

// floors are the ratios to gomemcache that memherd promises, by goroutines.
var floors = map[int]float64{1: 0.95, 8: 1.7, 64: 4.5, 256: 6}

const (
	ours  = "memherd"
	base  = "gomemcache"
	noise = "gomemcache again"
)

func (c *compareCmd) Run(e *env) (err error) {
	for _, g := range c.Goroutines {
		if g < 1 || g > 10_000 {
			return usagef("-goroutines %d: give numbers from 1 to 10000", g)
		}
	}
	if len(c.Goroutines) == 0 || c.Rounds < 1 || c.Slot < time.Millisecond || c.Keys < 1 || c.Size < 0 || c.Size > 1<<20-1<<11 {
		return usagef("-goroutines, -rounds, -slot, -keys and -size must be positive, -slot at least 1ms, -size at most %d", 1<<20-1<<11)
	}
	if err := report.CheckJSONPath(c.JSON); err != nil {
		return usageError{err}
	}
	addr, what, stop, err := c.server(e)
	if err != nil {
		return err
	}
	defer closing(&err, stop)
	keys, err := c.fill(e.ctx, addr)
	if err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "gets of %d B from %s, %d rounds of %v each in turn, seed %d\n\n", c.Size, what, c.Rounds, c.Slot, c.Seed)
	bar := progress.New(e.stderr, int64(len(c.Goroutines)*c.Rounds*3))
	bar.Step("comparing")
	scores, err := versus.Run(e.ctx, versus.Config{
		Base:       gomemcache(base, addr, keys),
		Others:     []versus.Contender{memherd(addr, keys), gomemcache(noise, addr, keys)},
		Goroutines: c.Goroutines, Rounds: c.Rounds, Slot: c.Slot, Keys: len(keys), Seed: c.Seed,
		Watch: func(done, _ int, word string) { bar.Set(int64(done), word) },
	})
	bar.Close()
	if err != nil {
		return err
	}
	compareTable(e.stdout, scores)
	if c.JSON != "" {
		return report.WriteJSON(c.JSON, e.stdout, scores)
	}
	return nil
}

// server finds or starts the server the clients are compared on.
func (c *compareCmd) server(e *env) (addr, what string, stop func() error, err error) {
	if c.Server != "" {
		nodes, err := fleet.External(e.ctx, []string{c.Server}, false)
		if err != nil {
			return "", "", nil, usageError{err}
		}
		return nodes[0].Addr, nodes[0].Addr, func() error { return nil }, nil
	}
	m, err := stock.Start(stock.Config{MemoryMB: 256})
	if err == nil {
		version, err := fleet.Version(e.ctx, m.Addr())
		if err != nil {
			return "", "", nil, errors.Join(err, m.Stop())
		}
		return m.Addr(), "memcached " + version, m.Stop, nil
	}
	f, err2 := fleet.Start(1, 0)
	if err2 != nil {
		return "", "", nil, err2
	}
	fmt.Fprintf(e.stderr, "bench: %s; comparing on a node in this process instead, which is not what the floors are about\n", oneLine(err))
	return f.Nodes()[0].Addr, "a node in this process", f.Close, nil
}

// fill stores what the gets will read.
func (c *compareCmd) fill(ctx context.Context, addr string) ([]string, error) {
	cl, err := client.New(client.Config{Nodes: ring.Addrs(addr)})
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	keys := make([]string, c.Keys)
	for i := range keys {
		keys[i] = fmt.Sprintf("bench:%d", i)
		if _, err := cl.Set(ctx, client.Item{Key: keys[i], Value: value.Make(keys[i], 1, c.Size)}); err != nil {
			return nil, fmt.Errorf("cannot fill the server: %w", err)
		}
	}
	return keys, nil
}

func memherd(addr string, keys []string) versus.Contender {
	return versus.Contender{Name: ours, Open: func(int) (func(context.Context, int) error, func() error, error) {
		c, err := client.New(client.Config{Nodes: ring.Addrs(addr), Timeout: 5 * time.Second})
		if err != nil {
			return nil, nil, err
		}
		return func(ctx context.Context, i int) error {
			it, err := c.Get(ctx, keys[i])
			if err == nil {
				_, err = value.Check(keys[i], it.Value)
			}
			return err
		}, c.Close, nil
	}}
}

func gomemcache(name, addr string, keys []string) versus.Contender {
	return versus.Contender{Name: name, Open: func(goroutines int) (func(context.Context, int) error, func() error, error) {
		c := rival.NewGomemcache(addr, goroutines)
		return func(_ context.Context, i int) error {
			b, err := c.Get(keys[i])
			if err == nil {
				_, err = value.Check(keys[i], b)
			}
			return err
		}, c.Close, nil
	}}
}

func compareTable(w io.Writer, scores []versus.Score) {
	rows := [][]string{{"client", "goroutines", "op/s", "p50", "p99", "ratio", "min", "max", "floor", ""}}
	for _, s := range scores {
		floor, verdict := "", ""
		if f, ok := floors[s.Goroutines]; ok && s.Name == ours {
			floor, verdict = fmt.Sprintf("%.2f", f), "ok"
			if s.Ratio < f {
				verdict = "below"
			}
		}
		rows = append(rows, []string{s.Name, fmt.Sprint(s.Goroutines), report.Count(int64(s.OpsPerS)),
			fmt.Sprintf("%.0f µs", s.P50), fmt.Sprintf("%.0f µs", s.P99),
			fmt.Sprintf("%.2f", s.Ratio), fmt.Sprintf("%.2f", s.MinRatio), fmt.Sprintf("%.2f", s.MaxRatio), floor, verdict})
	}
	report.Align(w, rows)
	fmt.Fprintf(w, "\nratio: to %s in the same round, median of the rounds; the spread of %q is the noise\n", base, noise)
}
