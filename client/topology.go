package client

import (
	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/ring"
)

// topology is an immutable snapshot of the fleet: the placement and the nodes it
// points into. A call loads it once and uses it throughout.
type topology struct {
	version uint64
	ring    *ring.Ring
	nodes   []*node // by index of ring.Nodes()
}

// copies is the list of nodes that hold key, owner first. dst is memory for the
// answer, so that callers can keep it on their stack.
func (t *topology) copies(hash uint64, dst []*node) []*node {
	for _, i := range t.ring.LookupHash(hash) {
		dst = append(dst, t.nodes[i])
	}
	return dst
}

func (t *topology) byName(name string) *node {
	for _, n := range t.nodes {
		if n.Name == name {
			return n
		}
	}
	return nil
}

// buildTopology makes a snapshot of nodes, keeping the live node values of old that
// stay. topMu is held, or the client not yet published.
func (c *Client) buildTopology(nodes []ring.Node, old *topology) (*topology, error) {
	copies := c.cfg.ReplicationFactor
	if old != nil {
		// A fleet that shrinks below R keeps working with fewer copies; only a first
		// configuration that can't be met is a mistake.
		copies = max(1, min(copies, takers(nodes)))
	}
	r, err := ring.New(ring.Config{
		Nodes:        nodes,
		Placement:    c.cfg.Placement,
		VirtualNodes: c.cfg.VirtualNodes,
		KeyTag:       c.cfg.KeyTag,
		Copies:       copies,
	})
	if err != nil {
		return nil, err
	}
	t := &topology{ring: r}
	if old != nil {
		t.version = old.version + 1
	}
	for _, rn := range r.Nodes() {
		var n *node
		if old != nil {
			if n = old.byName(rn.Name); n != nil && n.Addr != rn.Addr {
				n = nil // moved: other sockets, another life
			}
		}
		if n == nil {
			n = newNode(c, rn)
			if old != nil {
				n.chill()
			}
		}
		t.nodes = append(t.nodes, n)
	}
	return t, nil
}

// takers counts the nodes that take keys.
func takers(nodes []ring.Node) int {
	n := 0
	for _, rn := range nodes {
		if !rn.Drain {
			n++
		}
	}
	return n
}

// SetNodes replaces the fleet. Keys move only to and from nodes that join or leave;
// leases and CAS tokens taken before are void. On an error nothing changes. Nodes
// that left are closed once the calls under way on them are over.
func (c *Client) SetNodes(nodes []ring.Node) error {
	c.topMu.Lock()
	if c.closed {
		c.topMu.Unlock()
		return &item.Error{Op: "set nodes", Sent: item.NotSent, Err: item.ErrClosed}
	}
	old := c.top.Load()
	t, err := c.buildTopology(append([]ring.Node(nil), nodes...), old)
	if err != nil {
		c.topMu.Unlock()
		return err
	}
	c.top.Store(t)
	c.topMu.Unlock()

	c.detector.SetNodes(len(t.nodes))
	// A near entry is a copy of what its key's old home said.
	c.near.DropAll()
	for _, n := range old.nodes {
		if t.byName(n.Name) != n {
			n.retire()
		}
	}
	if c.cfg.Hooks.TopologyChanged != nil {
		c.cfg.Hooks.TopologyChanged(len(t.nodes))
	}
	return nil
}
