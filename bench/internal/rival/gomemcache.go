// Package rival puts other clients behind the few calls a comparison needs.
package rival

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
)

// ErrMiss is returned for a key the server does not have.
var ErrMiss = errors.New("miss")

// Gomemcache is the client most Go programs use today. It may be used by many
// goroutines. It has no contexts: those its methods are given go unheard.
type Gomemcache struct{ c *memcache.Client }

// NewGomemcache talks to servers. conns is how many idle connections it may keep to
// each: one for each goroutine is what suits it best; with its default of two it would
// dial all the time.
func NewGomemcache(conns int, servers ...string) *Gomemcache {
	// The default of 500 ms is kept short of failing a comparison on a loaded machine.
	return NewGomemcacheWith(Options{Conns: conns, Timeout: 5 * time.Second}, servers...)
}

// Options are what can be said of a Gomemcache.
type Options struct {
	Conns   int           // idle connections it may keep to each server
	Timeout time.Duration // of each read, write and dial
	// DialContext makes its connections; nil is a plain net.Dialer.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)
}

// NewGomemcacheWith is NewGomemcache with more to choose.
func NewGomemcacheWith(o Options, servers ...string) *Gomemcache {
	c := memcache.New(servers...)
	c.MaxIdleConns, c.Timeout, c.DialContext = o.Conns, o.Timeout, o.DialContext
	return &Gomemcache{c}
}

// Get returns the value of key.
func (g *Gomemcache) Get(_ context.Context, key string) ([]byte, error) {
	it, err := g.c.Get(key)
	if errors.Is(err, memcache.ErrCacheMiss) {
		return nil, ErrMiss
	}
	if err != nil {
		return nil, err
	}
	return it.Value, nil
}

// GetMulti calls each with the position in keys of every key that the servers have.
func (g *Gomemcache) GetMulti(_ context.Context, keys []string, each func(i int, value []byte)) error {
	items, err := g.c.GetMulti(keys)
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

// Set stores a value that does not expire.
func (g *Gomemcache) Set(_ context.Context, key string, value []byte) error {
	return g.c.Set(&memcache.Item{Key: key, Value: value})
}

// Close closes the idle connections.
func (g *Gomemcache) Close() error { return g.c.Close() }
