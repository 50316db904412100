package scenario

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/memherd/memherd/bench/internal/rival"
	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/ring"
)

// cache is what a scenario asks of a client. Get returns rival.ErrMiss for a key that is
// not there.
type cache interface {
	Get(ctx context.Context, key string) ([]byte, error)
	Set(ctx context.Context, key string, value []byte) error
	Close() error
}

// open makes the run's client for a fleet. log hears of every dial.
func (r *run) open(nodes []ring.Node, log *dials) (cache, error) {
	if r.player == base {
		var addrs []string
		for _, n := range nodes {
			addrs = append(addrs, n.Addr)
		}
		return rival.NewGomemcacheWith(rival.Options{Conns: r.Workers, Timeout: r.Timeout, DialContext: log.dial}, addrs...), nil
	}
	c, err := r.client(nodes, log)
	if err != nil {
		return nil, err
	}
	return memherd{c}, nil
}

// client makes a client of memherd, as it comes but for the timeout, the copies and
// what the run and change, if there is one, do to its settings.
func (r *run) client(nodes []ring.Node, log *dials, change ...func(*client.Config)) (*client.Client, error) {
	cfg := client.Config{Nodes: nodes, ReplicationFactor: Copies, Timeout: r.Timeout, DialTimeout: r.Timeout}
	if log != nil {
		cfg.DialContext = log.dial
	}
	for _, f := range append(slices.Clone(r.change), change...) {
		f(&cfg)
	}
	return client.New(cfg)
}

type memherd struct{ *client.Client }

func (m memherd) Get(ctx context.Context, key string) ([]byte, error) {
	it, err := m.Client.Get(ctx, key)
	if errors.Is(err, client.ErrCacheMiss) {
		return nil, rival.ErrMiss
	}
	return it.Value, err
}

func (m memherd) Set(ctx context.Context, key string, v []byte) error {
	_, err := m.Client.Set(ctx, client.Item{Key: key, Value: v})
	return err
}

// status is a node as the client sees it.
func status(c *client.Client, node string) client.Status {
	for _, s := range c.Nodes() {
		if s.Node.Name == node {
			return s
		}
	}
	return client.Status{}
}

// requests is how many requests a client of memherd has sent so far, to all nodes.
func requests(c cache) (sum uint64) {
	if m, ok := c.(memherd); ok {
		for _, s := range m.Nodes() {
			sum += s.Ops
		}
	}
	return sum
}

// dials notes when which address was dialled.
type dials struct {
	mu sync.Mutex // guards at
	at map[string][]time.Time
}

func newDials() *dials { return &dials{at: map[string][]time.Time{}} }

func (d *dials) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	d.mu.Lock()
	d.at[addr] = append(d.at[addr], time.Now())
	d.mu.Unlock()
	var plain net.Dialer
	return plain.DialContext(ctx, network, addr)
}

// worst is the most dials of addr that fell into one second after from.
func (d *dials) worst(addr string, from time.Time) (most int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	at := d.at[addr]
	for len(at) > 0 && at[0].Before(from) {
		at = at[1:]
	}
	first := 0
	for i := range at {
		for at[i].Sub(at[first]) >= time.Second {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

func keys(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("key:%d", i)
	}
	return out
}
