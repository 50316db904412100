package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/memherd/memherd/bench/internal/fleet"
	"github.com/memherd/memherd/bench/internal/top"
	"github.com/memherd/memherd/ring"
)

type topCmd struct {
	Servers []string      `help:"The nodes to watch, host, host:port or the path of a Unix socket, …" placeholder:"ADDR" required:""`
	IOwn    bool          `name:"i-own-these-servers" aliases:"allow-remote" help:"Allow servers that are not on this machine. Nothing is asked of them but to tell what they do, so there is no -max-rate: -watch and -every say how much they tell."`
	Watch   time.Duration `default:"1s" help:"How long they are watched at a time: a watched node works more."`
	Every   time.Duration `default:"5s" help:"From one sample to the next."`
	Rounds  int           `help:"End after so many samples (default: at Ctrl-C)." placeholder:"N"`
	Top     int           `default:"20" help:"How many keys to show."`
	JSON    bool          `name:"json" help:"One JSON object a line instead of tables."`
}

const maxWatch = time.Minute

func (c *topCmd) check(ctx context.Context) error {
	switch {
	case c.Watch <= 0 || c.Watch > maxWatch:
		return usagef("-watch %v: give more than nothing and at most %v", c.Watch, maxWatch)
	case c.Every < c.Watch:
		return usagef("-every %v is less than -watch %v", c.Every, c.Watch)
	case c.Rounds < 0:
		return usagef("-rounds must not be negative")
	case c.Top < 1 || c.Top > 10_000:
		return usagef("-top %d: give a number from 1 to 10,000", c.Top)
	}
	if _, err := ring.New(ring.Config{Nodes: ring.Addrs(c.Servers...)}); err != nil {
		return usageError{fmt.Errorf("-servers: %w", err)}
	}
	if c.IOwn {
		return nil
	}
	if err := fleet.CheckLocal(ctx, c.Servers...); err != nil {
		return usageError{fmt.Errorf("%w: a node that is watched works more; if these servers are yours, say so with -i-own-these-servers", err)}
	}
	return nil
}

// Run shows sample after sample. It fails if no node could be watched: the list would be of nothing.
func (c *topCmd) Run(e *env) error {
	if err := c.check(e.ctx); err != nil {
		return err
	}
	tick := time.NewTicker(c.Every)
	defer tick.Stop()
	for n := 1; ; n++ {
		s, err := top.Take(e.ctx, c.Servers, c.Watch, c.Top)
		if e.ctx.Err() != nil {
			return nil // Ctrl-C is how it ends
		}
		if err != nil {
			return err
		}
		if c.JSON {
			if err := json.NewEncoder(e.stdout).Encode(s); err != nil {
				return err
			}
		} else {
			s.Print(e.stdout)
		}
		if s.Nodes == 0 {
			return fmt.Errorf("no node can be watched: %s", s.Failed[0])
		}
		if n == c.Rounds {
			return nil
		}
		select {
		case <-tick.C:
		case <-e.ctx.Done():
			return nil
		}
	}
}
