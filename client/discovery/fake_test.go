package discovery

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/ring"
)

// fakeFleet is a client without connections: the test says which nodes are down.
type fakeFleet struct {
	mu     sync.Mutex // guards everything
	nodes  []ring.Node
	state  map[string]string // by name; "" is up
	conns  map[string]int    // by name; missing is 1
	onPing func(f *fakeFleet)
	refuse error // what SetNodes answers
	sets   int
	pings  int
}

func newFleet(addrs ...string) *fakeFleet {
	nodes, err := canonical(ring.Addrs(addrs...))
	if err != nil {
		panic(err)
	}
	return &fakeFleet{nodes: nodes, state: map[string]string{}, conns: map[string]int{}}
}

func (f *fakeFleet) Nodes() []client.Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []client.Status
	for _, n := range f.nodes {
		s := client.Status{Node: n, State: "up", Conns: 1}
		if c, ok := f.conns[n.Name]; ok {
			s.Conns = c
		}
		if st := f.state[n.Name]; st != "" {
			s.State = st
		}
		out = append(out, s)
	}
	return out
}

func (f *fakeFleet) SetNodes(nodes []ring.Node) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refuse != nil {
		return f.refuse
	}
	list, err := canonical(nodes)
	if err != nil {
		return err
	}
	f.nodes = list
	f.sets++
	return nil
}

func (f *fakeFleet) Ping(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pings++
	if f.onPing != nil {
		f.onPing(f)
	}
	return nil
}

func (f *fakeFleet) set(name, state string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.state[name] = state
}

func (f *fakeFleet) names() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return namesOf(f.nodes)
}

func (f *fakeFleet) changes() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.sets
}

// script is a source that answers as the test says; it counts questions.
type script struct {
	mu    sync.Mutex // guards everything
	nodes []ring.Node
	err   error
	asked int
}

func (s *script) Nodes(context.Context) ([]ring.Node, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	return slices.Clone(s.nodes), s.err
}

func (s *script) say(err error, addrs ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nodes, s.err = ring.Addrs(addrs...), err
}

func (s *script) questions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

var errLookup = errors.New("lookup failed")
