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

	// MaxPoints bounds the virtual nodes of a whole ring, classic or ketama.
	MaxPoints = 1 << 22
)

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
	// ring is limited to 4,194,304 points, a ketama ring as well. Rendezvous doesn't use it.
	//
	// On a ketama ring zero means as many points as the C libraries compute, about
	// 160 a node, shared out by weight. Set it to 160, or to another multiple of 4, for clients
	// that multiply it by the weight instead: see the package's documentation, "Who agrees
	// with whom".
	VirtualNodes int

	// KeyTag keeps related keys together: two characters, such as "{}". A key that has the
	// first, later the second, and something between is placed by what is between alone, so
	// "{user:42}:profile" and "{user:42}:friends" have one node list. Only the first pair
	// counts; any other key is placed by all of it. Empty turns tags off. All clients of a fleet
	// must agree on it; it is what twemproxy calls hash_tag.
	KeyTag string `json:",omitempty"`
}

// plan is a validated Config: the input of every placement algorithm.
type plan struct {
	nodes  []Node // canonical, sorted by name: what Nodes() shows
	active []int  // indexes into nodes of those that take keys, ascending
	zones  int    // distinct zones among the active nodes; 1 if there are no zones
	copies int    // at least 1, at most len(active)
	vnodes int    // points per unit of weight
	tag    keyTag

	placement Placement
	points    []int // on a ketama ring, by index into active: how many points the node has
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
	p := &plan{
		nodes:     make([]Node, 0, len(cfg.Nodes)),
		copies:    cmp.Or(cfg.Copies, 1),
		vnodes:    cmp.Or(cfg.VirtualNodes, DefaultVirtualNodes),
		placement: cfg.Placement,
	}
	switch len(cfg.KeyTag) {
	case 0:
	case 2:
		p.tag = keyTag{cfg.KeyTag[0], cfg.KeyTag[1]}
		if p.tag.open > ' ' && p.tag.open < 0x7f && p.tag.close > ' ' && p.tag.close < 0x7f {
			break
		}
		fallthrough
	default:
		return nil, fmt.Errorf(`%w %q: want two printable ASCII characters, such as "{}", or none`, ErrBadKeyTag, cfg.KeyTag)
	}
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
	return p, p.checkPlacement(cfg.VirtualNodes)
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
