package client

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/memherd/memherd/ring"
)

// placement says which nodes hold which key: one list of nodes, compiled.
type placement struct {
	ring  *ring.Ring
	nodes []*node // by index of ring.Nodes()
	print string  // the ring's fingerprint, as it is written
	// number is the order in which this client learned of it, from firstNumber; those that were before have
	// lower ones.
	number uint64
	// learned is when that was, superseded when it learned of a newer one; left, of a past one,
	// when this client went over to a newer one, and settled when the last client did, more
	// or less, and doubtful when some client may first have taken it for that. Zero if not yet.
	learned, superseded, left, settled, doubtful time.Time
	seen                                         bool // see past
}

// firstNumber is the number of a client's first list.
const firstNumber = 1 << 16

// copies is the list of nodes that hold a key, owner first. dst is memory for the
// answer, so that callers can keep it on their stack.
func (p *placement) copies(hash uint64, dst []*node) []*node {
	for _, i := range p.ring.LookupHash(hash) {
		dst = append(dst, p.nodes[i])
	}
	return dst
}

// owner is the first of copies.
func (p *placement) owner(hash uint64) *node { return p.nodes[p.ring.LookupHash(hash)[0]] }

// byName is the first of nodes with the name, nil if there is none.
func byName(nodes []*node, name string) *node {
	for _, n := range nodes {
		if n.Name == name {
			return n
		}
	}
	return nil
}

// named are the nodes with the name, those of the gutter among them: one that moves to another address is at two.
func (c *Client) named(name string) []*node {
	return slices.DeleteFunc(slices.Clone(c.everyone()), func(n *node) bool { return n.Name != name })
}

// newestOf is the list that a client has learned of last, be it in force or announced.
func newestOf(now *placement, next []*placement) *placement {
	if len(next) > 0 {
		return next[len(next)-1]
	}
	return now
}

// lists reports whether n is among the nodes that hold a key.
func (p *placement) lists(hash uint64, n *node) bool {
	for _, i := range p.ring.LookupHash(hash) {
		if p.nodes[i] == n {
			return true
		}
	}
	return false
}

// newPlacement compiles a list, with the nodes that are known already; none are before the client's first list.
// It starts nothing, so that the list may still be turned down: see enter. topMu is held, or the client not
// yet published.
func (c *Client) newPlacement(nodes []ring.Node, known []*node) (*placement, error) {
	copies := c.cfg.ReplicationFactor
	if len(known) > 0 {
		// A fleet that shrinks below R keeps working with fewer copies; only a first
		// configuration that can't be met is a mistake.
		copies = max(1, min(copies, takers(nodes)))
	}
	r, err := rings.compile(ring.Config{
		Nodes:        nodes,
		Placement:    c.cfg.Placement,
		VirtualNodes: c.cfg.VirtualNodes,
		KeyTag:       c.cfg.KeyTag,
		Copies:       copies,
	})
	if err == nil {
		err = c.canVerify(r)
	}
	if err != nil {
		return nil, err
	}
	p := &placement{ring: r, print: fmt.Sprintf("%016x", r.Fingerprint())}
	for _, rn := range r.Nodes() {
		var n *node
		for _, k := range known {
			if k.Name == rn.Name && k.Addr == rn.Addr {
				n = k // another address is other sockets, and another life
			}
		}
		if n == nil {
			n = newNode(c, rn)
		}
		p.nodes = append(p.nodes, n)
	}
	return p, nil
}

// canVerify refuses nodes whose certificates could be held against nothing.
func (c *Client) canVerify(r *ring.Ring) error {
	if t := c.cfg.TLS; t == nil || t.ServerName != "" || t.InsecureSkipVerify {
		return nil
	}
	for _, n := range r.Nodes() {
		if strings.HasPrefix(n.Addr, "/") {
			return configError("TLS.ServerName is empty, and the node %q is a Unix socket, which has no host for its certificate to name: set it", n.Name)
		}
	}
	return nil
}

// enter is what follows for the nodes of a list that is taken. known are those from before. topMu is held.
func (c *Client) enter(p *placement, known []*node) {
	for _, n := range p.nodes {
		c.reenter(n, known)
	}
}

// keep notes that some client may go by the placement, and store on its nodes. topMu is held, or
// the client not yet published.
func (p *placement) keep() {
	for _, n := range p.nodes {
		n.kept = true
	}
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

// samePlacement reports whether two lists say the same.
func samePlacement(a, b *placement) bool {
	return a.ring.Fingerprint() == b.ring.Fingerprint() && slices.Equal(a.nodes, b.nodes) && slices.Equal(a.ring.Nodes(), b.ring.Nodes())
}

// difference is which nodes are only in b, and which only in a.
func difference(a, b *placement) (joining, leaving []*node) {
	for _, n := range b.nodes {
		if !slices.Contains(a.nodes, n) {
			joining = append(joining, n)
		}
	}
	for _, n := range a.nodes {
		if !slices.Contains(b.nodes, n) {
			leaving = append(leaving, n)
		}
	}
	return joining, leaving
}
