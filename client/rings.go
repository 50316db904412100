package client

import (
	"cmp"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"weak"

	"github.com/memherd/memherd/ring"
)

// Compiling a list takes milliseconds to a second of CPU time, and 2 MiB a copy. Clients of one process that have
// the same list share the ring, which never changes; it goes with the last of them. Lists that differ in addresses
// only, as when a node comes back elsewhere, share what has been compiled.
var rings sharedRings

type sharedRings struct {
	mu sync.Mutex // guards m and like; a leaf, never held while a ring is compiled
	m  map[string]weak.Pointer[ring.Ring]
	// like has the first ring of those that differ in addresses only: it lives as long as any of them.
	like map[string]weak.Pointer[ring.Ring]
	// keep has rings outlive their clients, for tests, which make the same ones all the time.
	keep func(*ring.Ring)
}

// compile is ring.New.
func (s *sharedRings) compile(cfg ring.Config) (*ring.Ring, error) {
	k := keysOf(cfg)
	s.mu.Lock()
	r, like := s.m[k.ring].Value(), s.like[k.like].Value()
	s.mu.Unlock()
	if r != nil {
		return r, nil
	}
	var err error
	if like != nil {
		r, err = like.WithNodes(cfg.Nodes)
	} else {
		r, err = ring.New(cfg)
	}
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.m == nil {
		s.m, s.like = map[string]weak.Pointer[ring.Ring]{}, map[string]weak.Pointer[ring.Ring]{}
	}
	if other := s.m[k.ring].Value(); other != nil {
		return other, nil // compiled at the same time
	}
	s.m[k.ring] = weak.Make(r)
	if s.like[k.like].Value() == nil {
		s.like[k.like] = s.m[k.ring]
	}
	runtime.AddCleanup(r, s.forget, k)
	if s.keep != nil {
		s.keep(r)
	}
	return r, nil
}

// forget drops a ring that is gone, unless there is a new one.
func (s *sharedRings) forget(k ringKeys) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.m[k.ring].Value() == nil {
		delete(s.m, k.ring)
	}
	if s.like[k.like].Value() == nil {
		delete(s.like, k.like)
	}
}

// ringKeys tell configurations apart, and those that differ in more than addresses.
type ringKeys struct{ ring, like string }

func keysOf(cfg ring.Config) ringKeys {
	var b, addrs strings.Builder
	nodes := cfg.Nodes
	cfg.Nodes = nil
	fmt.Fprintf(&b, "%#v", cfg)
	for _, n := range nodes {
		fmt.Fprintf(&b, " %q %d %t %q", cmp.Or(n.Name, n.Addr), n.Weight, n.Drain, n.Zone)
		fmt.Fprintf(&addrs, " %q %q", n.Name, n.Addr)
	}
	return ringKeys{ring: b.String() + addrs.String(), like: b.String()}
}
