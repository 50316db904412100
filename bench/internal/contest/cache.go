// Package contest holds the comparisons of memherd's client with others: who takes
// part, what they do, what memherd promises of it, and the tables that show it.
package contest

import (
	"context"
	"time"

	"github.com/memherd/memherd/bench/internal/rival"
	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/ring"
)

// Cache is the part of a client that is compared. A key that is not there is an error
// of Get, and its position in keys absent from what GetMulti calls each with: positions, since whoever
// looks at the values should take little of the time that is compared.
type Cache interface {
	Get(ctx context.Context, key string) ([]byte, error)
	GetMulti(ctx context.Context, keys []string, each func(i int, value []byte)) error
	Set(ctx context.Context, key string, value []byte) error
	Close() error
}

// Player is one client under one name.
type Player struct {
	Name string
	// Open makes a client for that many goroutines.
	Open func(goroutines int) (Cache, error)
	// ServerCPU reads the CPU time its servers have used so far; nil if nobody knows.
	ServerCPU func() (time.Duration, error)
}

// The names that the tables know.
const (
	Ours  = "memherd"
	Base  = "gomemcache"
	Noise = "gomemcache again"
)

// Timeout is what the players wait for a reply, so that a loaded machine fails no
// comparison.
const Timeout = 5 * time.Second

// Memherd plays as it comes: everything a default client has is on. Only its timeouts
// are longer, as gomemcache's is.
func Memherd(cpu func() (time.Duration, error), servers ...string) Player {
	return Player{Name: Ours, ServerCPU: cpu, Open: func(int) (Cache, error) {
		c, err := client.New(client.Config{Nodes: ring.Addrs(servers...), Timeout: Timeout, DialTimeout: Timeout})
		if err != nil {
			return nil, err
		}
		return memherd{c}, nil
	}}
}

// Gomemcache plays with as many connections as it can use.
func Gomemcache(name string, cpu func() (time.Duration, error), servers ...string) Player {
	return Player{Name: name, ServerCPU: cpu, Open: func(goroutines int) (Cache, error) {
		return rival.NewGomemcache(goroutines, servers...), nil
	}}
}

// Bare plays as a yardstick: about what a client without a single safety reaches here.
func Bare(cpu func() (time.Duration, error), servers ...string) Player {
	return Player{Name: "bare prototype", ServerCPU: cpu, Open: func(int) (Cache, error) { return rival.NewBare(servers...) }}
}

type memherd struct{ c *client.Client }

func (m memherd) Get(ctx context.Context, key string) ([]byte, error) {
	it, err := m.c.Get(ctx, key)
	return it.Value, err
}

func (m memherd) GetMulti(ctx context.Context, keys []string, each func(i int, value []byte)) error {
	items, err := m.c.GetMulti(ctx, keys)
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

func (m memherd) Set(ctx context.Context, key string, value []byte) error {
	_, err := m.c.Set(ctx, client.Item{Key: key, Value: value})
	return err
}

func (m memherd) Close() error { return m.c.Close() }
