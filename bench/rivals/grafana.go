package main

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/grafana/gomemcache/memcache"

	"github.com/memherd/memherd/bench/internal/contest"
	"github.com/memherd/memherd/bench/internal/rival"
)

// grafana is Grafana's fork of gomemcache: buffers from the caller, connections that
// are kept while they are used. Only its GetMulti listens to a context.
type grafana struct {
	c *memcache.Client

	// mu guards conns. The client leaves its idle connections to the garbage
	// collector; turn after turn they would fill the server.
	mu    sync.Mutex
	conns []net.Conn
}

// newGrafana talks to servers; conns as in rival.NewGomemcache.
func newGrafana(conns int, servers ...string) (*grafana, error) {
	var list memcache.ServerList
	if err := list.SetServers(servers...); err != nil {
		return nil, err
	}
	g := &grafana{c: memcache.NewFromSelector(&list)}
	g.c.MaxIdleConns = conns
	g.c.MinIdleConnsHeadroomPercentage = -1 // it keeps what it has dialled
	g.c.Timeout, g.c.ConnectTimeout = contest.Timeout, contest.Timeout
	g.c.DialTimeout = func(network, addr string, timeout time.Duration) (net.Conn, error) {
		nc, err := net.DialTimeout(network, addr, timeout)
		if err == nil {
			g.mu.Lock()
			g.conns = append(g.conns, nc)
			g.mu.Unlock()
		}
		return nc, err
	}
	return g, nil
}

func (g *grafana) Get(_ context.Context, key string) ([]byte, error) {
	it, err := g.c.Get(key)
	if errors.Is(err, memcache.ErrCacheMiss) {
		return nil, rival.ErrMiss
	}
	if err != nil {
		return nil, err
	}
	return it.Value, nil
}

func (g *grafana) GetMulti(ctx context.Context, keys []string, each func(i int, value []byte)) error {
	items, err := g.c.GetMulti(ctx, keys)
	if err != nil {
		return err
	}
	for i, key := range keys {
		if it, ok := items[key]; ok {
			each(i, it.Value)
		}
	}
	return nil
}

func (g *grafana) Set(_ context.Context, key string, value []byte) error {
	return g.c.Set(&memcache.Item{Key: key, Value: value})
}

// Close also closes the connections; those that broke are closed already.
func (g *grafana) Close() error {
	g.c.Close()
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, nc := range g.conns {
		_ = nc.Close()
	}
	return nil
}
