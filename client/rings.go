package client

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"weak"

	"github.com/memherd/memherd/ring"
)

// Compiling a list takes milliseconds to a second of CPU time, and 2 MiB a copy. Clients of one process that have
// the same list share the ring, which never changes; it goes with the last of them.
var rings sharedRings

type sharedRings struct {
	mu sync.Mutex // guards m; a leaf, never held while a ring is compiled
	m  map[string]weak.Pointer[ring.Ring]
	// keep has rings outlive their clients, for tests, which make the same ones all the time.
	keep func(*ring.Ring)
}

// compile is ring.New.
func (s *sharedRings) compile(cfg ring.Config) (*ring.Ring, error) {
	key := ringKey(cfg)
	s.mu.Lock()
	r := s.m[key].Value()
	s.mu.Unlock()
	if r != nil {
		return r, nil
	}
	r, err := ring.New(cfg)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.m == nil {
		s.m = map[string]weak.Pointer[ring.Ring]{}
	}
	if other := s.m[key].Value(); other != nil {
		return other, nil // compiled at the same time
	}
	s.m[key] = weak.Make(r)
	runtime.AddCleanup(r, s.forget, key)
	if s.keep != nil {
		s.keep(r)
	}
	return r, nil
}

// forget drops a ring that is gone, unless there is a new one.
func (s *sharedRings) forget(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.m[key].Value() == nil {
		delete(s.m, key)
	}
}

// ringKey tells configurations apart.
func ringKey(cfg ring.Config) string {
	var b strings.Builder
	nodes := cfg.Nodes
	cfg.Nodes = nil
	fmt.Fprintf(&b, "%#v", cfg)
	for _, n := range nodes {
		fmt.Fprintf(&b, " %q %q %d %t %q", n.Name, n.Addr, n.Weight, n.Drain, n.Zone)
	}
	return b.String()
}
