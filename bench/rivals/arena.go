package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/memherd/memherd/bench/internal/contest"
	"github.com/memherd/memherd/bench/internal/cputime"
	"github.com/memherd/memherd/bench/internal/fleet"
	"github.com/memherd/memherd/nodeserver/stock"
)

// servers are those that everybody plays on.
type servers struct {
	memcached []*stock.Server
	memnodes  *fleet.Embedded // in this process; nil unless asked for
	redis     *redis          // nil if there is none
}

// The kinds of servers, as -on names them.
const (
	onMemcached = "memcached"
	onMemnode   = "memnode"
)

// nodes is how many memcacheds the widest table wants.
const nodes = 3

// start runs the servers. Without a redis-server it says so and goes on.
func start(ctx context.Context, on []string, stderr io.Writer) (s *servers, err error) {
	s = &servers{}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.stop())
		}
	}()
	for range nodes {
		// Clients without pipelines want a connection for each goroutine, more than
		// memcached's default allows.
		m, err := stock.Start(stock.Config{MemoryMB: 256, Args: []string{"-c", "8192"}})
		if err != nil {
			return s, err
		}
		s.memcached = append(s.memcached, m)
	}
	if slices.Contains(on, onMemnode) {
		if s.memnodes, err = fleet.Start(nodes, 0); err != nil {
			return s, err
		}
	}
	s.redis = anyRedis(ctx, "rivals", stderr)
	return s, nil
}

// anyRedis runs a redis-server, or tells that there is none: program says who tells it.
func anyRedis(ctx context.Context, program string, stderr io.Writer) *redis {
	r, err := startRedis(ctx)
	if err != nil {
		fmt.Fprintf(stderr, "%s: rueidis does not play: %v\n", program, err)
		return nil
	}
	return r
}

func (s *servers) stop() error {
	var errs []error
	for _, m := range s.memcached {
		errs = append(errs, m.Kill()) // an orderly end takes a second each
	}
	if s.memnodes != nil {
		errs = append(errs, s.memnodes.Close())
	}
	if s.redis != nil {
		errs = append(errs, s.redis.stop())
	}
	return errors.Join(errs...)
}

// arena is where everybody plays on one kind of servers.
func (s *servers) arena(on string) *contest.Arena {
	if on == onMemnode {
		return &contest.Arena{Players: func(n int) []contest.Player {
			var addrs []string
			for _, node := range s.memnodes.Nodes()[:n] {
				addrs = append(addrs, node.Addr)
			}
			// What the nodes take of this process's CPU time stands with the clients'.
			return s.players(nil, addrs)
		}}
	}
	return &contest.Arena{Players: func(n int) []contest.Player {
		var addrs []string
		var pids []int
		for _, m := range s.memcached[:n] {
			addrs, pids = append(addrs, m.Addr()), append(pids, m.Pid())
		}
		return s.players(cputime.Reader(pids...), addrs)
	}}
}

// players are those who can play on these nodes: rueidis, which has a redis-server, where there is one node, since
// several of them would have to be a cluster. On several nodes the prototype says what is possible; on one it does in bench compare.
func (s *servers) players(cpu func() (time.Duration, error), addrs []string) []contest.Player {
	all := []contest.Player{
		contest.Gomemcache(contest.Base, cpu, addrs...),
		contest.Memherd(cpu, addrs...),
		contest.Gomemcache(contest.Noise, cpu, addrs...),
	}
	if len(addrs) > 1 {
		all = append(all, contest.Bare(cpu, addrs...))
	}
	return append(all, guests(s.redis, cpu, addrs...)...)
}

// guests are those of the players who live in this module. redis may be nil.
func guests(redis *redis, cpu func() (time.Duration, error), addrs ...string) []contest.Player {
	all := []contest.Player{player("grafana/gomemcache", cpu, func(conns int) (contest.Cache, error) { return newGrafana(conns, addrs...) })}
	if redis != nil && len(addrs) == 1 {
		all = append(all, player("rueidis on redis", cputime.Reader(redis.cmd.Process.Pid),
			func(int) (contest.Cache, error) { return newRueidis(redis.addr) }))
	}
	return all
}

func player(name string, cpu func() (time.Duration, error), open func(conns int) (contest.Cache, error)) contest.Player {
	return contest.Player{Name: name, Open: open, ServerCPU: cpu}
}
