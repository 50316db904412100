package client

import (
	"runtime"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/ring"
)

// kept are the rings that tests make again and again: those without weights, of which there are few.
var kept struct {
	mu    sync.Mutex // guards rings
	rings map[*ring.Ring]bool
}

func init() {
	kept.rings = map[*ring.Ring]bool{}
	rings.keep = func(r *ring.Ring) {
		if slices.ContainsFunc(r.Nodes(), func(n ring.Node) bool { return n.Weight > 1 }) {
			return
		}
		kept.mu.Lock()
		defer kept.mu.Unlock()
		if len(kept.rings) == 96 {
			clear(kept.rings)
		}
		kept.rings[r] = true
	}
}

// Clients of the same list share its ring for as long as there are any, and no others do.
func TestRingsAreShared(t *testing.T) {
	var s sharedRings
	cfg := ring.Config{Nodes: []ring.Node{{Name: "a", Addr: "h:1"}, {Name: "b", Addr: "h:2"}}, Copies: 2}
	first, err := s.compile(cfg)
	require.NoError(t, err)
	second, err := s.compile(cfg)
	require.NoError(t, err)
	require.Same(t, first, second)
	for name, change := range map[string]func(cfg *ring.Config){
		"copies":    func(cfg *ring.Config) { cfg.Copies = 1 },
		"tags":      func(cfg *ring.Config) { cfg.KeyTag = "{}" },
		"placement": func(cfg *ring.Config) { cfg.Placement = ring.Classic },
		"points":    func(cfg *ring.Config) { cfg.Placement, cfg.VirtualNodes = ring.Classic, 7 },
		"address":   func(cfg *ring.Config) { cfg.Nodes[1].Addr = "h:3" },
		"name left": func(cfg *ring.Config) { cfg.Nodes[1] = ring.Node{Name: "b"} },
		"only name": func(cfg *ring.Config) { cfg.Nodes[1] = ring.Node{Addr: "b"} },
		"name":      func(cfg *ring.Config) { cfg.Nodes[1].Name = "c" },
		"weight":    func(cfg *ring.Config) { cfg.Nodes[1].Weight = 2 },
		"drain":     func(cfg *ring.Config) { cfg.Copies, cfg.Nodes[1].Drain = 1, true },
		"zones":     func(cfg *ring.Config) { cfg.Nodes[0].Zone, cfg.Nodes[1].Zone = "x", "y" },
	} {
		other := cfg
		other.Nodes = append([]ring.Node(nil), cfg.Nodes...)
		change(&other)
		r, err := s.compile(other)
		require.NoError(t, err, name)
		require.NotSame(t, first, r, name)
		again, err := ring.New(other)
		require.NoError(t, err)
		require.Equal(t, again.Fingerprint(), r.Fingerprint(), name)
		require.Equal(t, again.Nodes(), r.Nodes(), name)
	}
	// One that has moved has what is compiled already, and goes on with it when the others are gone.
	table := func(r *ring.Ring) *uint16 { return &r.Lookup("key")[0] }
	moved := cfg
	moved.Nodes = []ring.Node{{Name: "a", Addr: "h:4"}, {Name: "b", Addr: "h:1"}}
	back, err := s.compile(moved)
	require.NoError(t, err)
	require.Equal(t, moved.Nodes[0].Addr, back.Node(0).Addr)
	require.Same(t, table(first), table(back))
	_, err = s.compile(ring.Config{})
	require.Error(t, err)
	runtime.KeepAlive(first)
	runtime.KeepAlive(second)
	runtime.KeepAlive(back)
	first, second, back = nil, nil, nil
	for len(s.keys()) > 0 { // a test that hangs here has found a leak
		runtime.GC()
		runtime.Gosched()
	}
}

func (s *sharedRings) keys() (keys []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k := range s.m {
		keys = append(keys, k)
	}
	for k := range s.like {
		keys = append(keys, k)
	}
	return keys
}
