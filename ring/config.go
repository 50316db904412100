package ring

import (
	"cmp"
	"fmt"
	"slices"
)

// Limits of a Config.
const (
	MaxNodes  = 65535 // node lists hold uint16 indexes
	MaxCopies = 32    // the table takes 2 MiB per copy

	// DefaultVirtualNodes is the number of points a node of weight 1 has on
	// the classic ring.
	DefaultVirtualNodes = 160

	// MaxPoints bounds the virtual nodes of a whole classic ring.
	MaxPoints = 1 << 22
)

// Placement is an algorithm that orders the nodes for a key.
type Placement uint8

const (
	// Rendezvous ranks the nodes of each slot by highest random weight
	// (Thaler and Ravishankar 1998), weighted as in Schindelhauer and
	// Schomaker 2005. It spreads keys most evenly and moves fewest.
	Rendezvous Placement = iota

	// Classic is consistent hashing with virtual nodes (Karger et al. 1997).
	Classic
)

var placementNames = []string{Rendezvous: "rendezvous", Classic: "classic"}

// String returns "rendezvous" or "classic".
func (p Placement) String() string {
	if int(p) < len(placementNames) {
		return placementNames[p]
	}
	return fmt.Sprintf("Placement(%d)", uint8(p))
}

// MarshalText is String, for configuration files; unknown placements are
// ErrBadPlacement.
func (p Placement) MarshalText() ([]byte, error) {
	if int(p) >= len(placementNames) {
		return nil, fmt.Errorf("%w: %v", ErrBadPlacement, p)
	}
	return []byte(p.String()), nil
}

// UnmarshalText reads what MarshalText writes, so that a Placement can stand in
// a configuration file or behind a flag.
func (p *Placement) UnmarshalText(text []byte) error {
	i := slices.Index(placementNames, string(text))
	if i < 0 {
		return fmt.Errorf("%w %q, want one of %q", ErrBadPlacement, text, placementNames)
	}
	*p = Placement(i)
	return nil
}

// Config describes a placement. Only Nodes is needed.
type Config struct {
	// Nodes are the servers of the fleet, in any order; at most 65,535, names
	// and addresses distinct once canonical.
	Nodes []Node

	// Placement is the algorithm. Zero is Rendezvous.
	Placement Placement

	// Copies is the length of every key's node list: the owner and Copies-1
	// further nodes. Zero means 1; at most 32, and at most the number of nodes
	// that aren't drained.
	Copies int

	// VirtualNodes is how many points a node of weight 1 has on the Classic
	// ring; a node of weight w has w times as many. Zero means 160. The whole
	// ring is limited to 4,194,304 points. Rendezvous doesn't use it.
	VirtualNodes int
}

// plan is a validated Config: the input of every placement algorithm.
type plan struct {
	nodes  []Node // canonical, sorted by name: what Nodes() shows
	active []int  // indexes into nodes of those that take keys, ascending
	zones  int    // distinct zones among the active nodes; 1 if there are no zones
	copies int    // at least 1, at most len(active)
	vnodes int    // points per unit of weight
}

// node returns the i-th node that takes keys. Ordering by i is ordering by name.
func (p *plan) node(i int) *Node { return &p.nodes[p.active[i]] }

func (cfg Config) plan() (*plan, error) {
	if len(cfg.Nodes) == 0 {
		return nil, fmt.Errorf("%w: list at least one in Config.Nodes", ErrNoNodes)
	}
	if len(cfg.Nodes) > MaxNodes {
		return nil, fmt.Errorf("%w: %d, want at most %d", ErrTooManyNodes, len(cfg.Nodes), MaxNodes)
	}
	p := &plan{nodes: make([]Node, 0, len(cfg.Nodes)), copies: cmp.Or(cfg.Copies, 1), vnodes: cmp.Or(cfg.VirtualNodes, DefaultVirtualNodes)}
	for _, n := range cfg.Nodes {
		n, err := n.Canonical()
		if err != nil {
			return nil, err
		}
		p.nodes = append(p.nodes, n)
	}
	if err := checkDistinct(p.nodes); err != nil {
		return nil, err
	}
	slices.SortFunc(p.nodes, func(a, b Node) int { return cmp.Compare(a.Name, b.Name) })
	zones := make(map[string]bool)
	for i, n := range p.nodes {
		if (n.Zone == "") != (p.nodes[0].Zone == "") {
			return nil, missingZone(p.nodes)
		}
		if !n.Drain {
			p.active = append(p.active, i)
			zones[n.Zone] = true
		}
	}
	p.zones = len(zones)
	if err := p.checkCopies(); err != nil {
		return nil, err
	}
	return p, p.checkPlacement(cfg.Placement)
}

// checkDistinct also refuses one address under two names: the copies of a key
// could then be on one server and be lost together.
func checkDistinct(nodes []Node) error {
	names := make(map[string]string, len(nodes)) // name to address
	addrs := make(map[string]string, len(nodes)) // address to name
	for _, n := range nodes {
		if _, ok := names[n.Name]; ok {
			return fmt.Errorf("%w: name %q is listed twice; every node needs a name of its own", ErrDuplicateNode, n.Name)
		}
		if other, ok := addrs[n.Addr]; ok {
			return fmt.Errorf("%w: nodes %q and %q have one address, %s; list every server once", ErrDuplicateNode, other, n.Name, n.Addr)
		}
		names[n.Name], addrs[n.Addr] = n.Addr, n.Name
	}
	return nil
}

func missingZone(nodes []Node) error {
	i := slices.IndexFunc(nodes, func(n Node) bool { return n.Zone == "" })
	return fmt.Errorf("%w: node %q has none but others have; set Zone on every node or on none", ErrMissingZone, nodes[i].Name)
}

func (p *plan) checkCopies() error {
	switch {
	case p.copies < 0 || p.copies > MaxCopies:
		return fmt.Errorf("%w: %d, want 0 (meaning 1) to %d", ErrBadCopies, p.copies, MaxCopies)
	case len(p.active) == 0:
		return fmt.Errorf("%w: all %d nodes are drained; at least one has to take keys", ErrNoNodes, len(p.nodes))
	case p.copies > len(p.active):
		return fmt.Errorf("%w: %d copies of every key, but %d nodes take keys; add nodes or ask for fewer copies", ErrTooFewNodes, p.copies, len(p.active))
	}
	return nil
}

func (p *plan) checkPlacement(pl Placement) error {
	switch pl {
	case Rendezvous:
		return nil
	case Classic:
		if p.vnodes < 0 {
			return fmt.Errorf("%w: %d, want 0 (meaning %d) or more", ErrBadVirtualNodes, p.vnodes, DefaultVirtualNodes)
		}
		var points int64 // can't overflow: the loop ends at the limit
		for i := range p.active {
			points += int64(p.node(i).Weight)
			if points > MaxPoints/int64(p.vnodes) {
				return fmt.Errorf("%w: %d for each unit of weight makes more than %d in all; use smaller weights or fewer virtual nodes",
					ErrBadVirtualNodes, p.vnodes, MaxPoints)
			}
		}
		return nil
	}
	return fmt.Errorf("%w: %v, want Rendezvous or Classic", ErrBadPlacement, pl)
}
