package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/memherd/memherd/bench/internal/contest"
	"github.com/memherd/memherd/bench/internal/cputime"
	"github.com/memherd/memherd/nodeserver/stock"
)

// servers are those that everybody plays on.
type servers struct {
	memcached []*stock.Server
	redis     *redis // nil if there is none
}

// nodes is how many memcacheds the widest table wants.
const nodes = 3

// start runs the servers. Without a redis-server it says so and goes on.
func start(ctx context.Context, stderr io.Writer) (s *servers, err error) {
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
	r, err := startRedis(ctx)
	if err != nil {
		fmt.Fprintf(stderr, "rivals: rueidis does not play: %v\n", err)
		return s, nil
	}
	s.redis = r
	return s, nil
}

func (s *servers) stop() error {
	var errs []error
	for _, m := range s.memcached {
		errs = append(errs, m.Kill()) // an orderly end takes a second each
	}
	if s.redis != nil {
		errs = append(errs, s.redis.stop())
	}
	return errors.Join(errs...)
}

// players are those who can play on n nodes: rueidis on one, since several
// redis-servers would have to be a cluster.
func (s *servers) players(n int) []contest.Player {
	var addrs []string
	var pids []int
	for _, m := range s.memcached[:n] {
		addrs, pids = append(addrs, m.Addr()), append(pids, m.Pid())
	}
	cpu := cputime.Reader(pids...)
	all := []contest.Player{
		contest.Gomemcache(contest.Base, cpu, addrs...),
		contest.Memherd(cpu, addrs...),
		contest.Gomemcache(contest.Noise, cpu, addrs...),
		player("grafana/gomemcache", cpu, func(conns int) (contest.Cache, error) { return newGrafana(conns, addrs...) }),
	}
	if s.redis != nil && n == 1 {
		all = append(all, player("rueidis on redis", cputime.Reader(s.redis.cmd.Process.Pid),
			func(int) (contest.Cache, error) { return newRueidis(s.redis.addr) }))
	}
	return all
}

func player(name string, cpu func() (time.Duration, error), open func(conns int) (contest.Cache, error)) contest.Player {
	return contest.Player{Name: name, Open: open, ServerCPU: cpu}
}
