// Package rival puts other clients behind the few calls a comparison needs.
package rival

import (
	"errors"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
)

// ErrMiss is returned for a key the server does not have.
var ErrMiss = errors.New("miss")

// Gomemcache is the client most Go programs use today. It may be used by many
// goroutines.
type Gomemcache struct{ c *memcache.Client }

// NewGomemcache talks to one server. conns is how many idle connections it may keep:
// one for each goroutine is what suits it best; with its default of two it would
// dial all the time.
func NewGomemcache(addr string, conns int) *Gomemcache {
	c := memcache.New(addr)
	c.MaxIdleConns = conns
	// The default of 500 ms is kept short of failing a comparison on a loaded machine.
	c.Timeout = 5 * time.Second
	return &Gomemcache{c}
}

// Get returns the value of key.
func (g *Gomemcache) Get(key string) ([]byte, error) {
	it, err := g.c.Get(key)
	if errors.Is(err, memcache.ErrCacheMiss) {
		return nil, ErrMiss
	}
	if err != nil {
		return nil, err
	}
	return it.Value, nil
}

// Set stores a value that does not expire.
func (g *Gomemcache) Set(key string, value []byte) error {
	return g.c.Set(&memcache.Item{Key: key, Value: value})
}

// Close closes the idle connections.
func (g *Gomemcache) Close() error { return g.c.Close() }
