package ring

import (
	"fmt"
	"math"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxWeight is the largest Weight a node can have.
const MaxWeight = math.MaxInt32

// maxNameLen bounds names in bytes: they travel in logs, metrics and errors.
const maxNameLen = 255

// Node is one server of the fleet.
type Node struct {
	// Name is the node's identity in the placement: two configurations agree
	// on where keys live if they agree on names, whatever the addresses.
	//
	// If Name is empty it is the canonical short form of Addr: host in lower
	// case, port left out when it is 11211, so "cache1", "Cache1:11211" and
	// "cache1:11211" are one node; paths of Unix sockets are kept verbatim. A
	// Name given beside an Addr is a label: it is kept as written, except that a
	// trailing ":11211" is dropped from it too. Names are at most 255 bytes of
	// UTF-8 without control characters.
	Name string

	// Addr is what is dialled: "host:port", "host" (port 11211), an IPv4 or
	// IPv6 address with or without port, or the absolute path of a Unix socket.
	// If Addr is empty, Name is the address.
	Addr string

	// Weight is the node's share of the keys relative to the other nodes'. Zero
	// means 1; negative values and values over MaxWeight are errors. A node
	// that is to take no keys at all sets Drain.
	Weight int

	// Drain keeps the node in the fleet but out of every key's list: the node
	// is still in Nodes(), and moving its keys away moves no others.
	Drain bool

	// Zone is the failure domain (rack, availability zone). Empty means that
	// the fleet has no zones; setting it on some nodes only is an error.
	Zone string
}

// Addrs returns one Node per address, of weight 1 and without a zone.
func Addrs(addrs ...string) []Node {
	nodes := make([]Node, len(addrs))
	for i, a := range addrs {
		nodes[i].Addr = a
	}
	return nodes
}

// Canonical returns the node as a Ring holds it: Name and Addr filled in and in
// canonical form, Weight at least 1. Its error wraps ErrBadAddress, ErrBadName or
// ErrBadWeight. Canonical of a canonical node is the node itself.
func (n Node) Canonical() (Node, error) {
	if n.Weight < 0 || n.Weight > MaxWeight {
		return Node{}, fmt.Errorf("%w: %s has weight %d, want 0 (meaning 1) to %d; a node that shall take no keys sets Drain",
			ErrBadWeight, n.label(), n.Weight, MaxWeight)
	}
	if n.Weight == 0 {
		n.Weight = 1
	}
	given, labelled := n.Addr, n.Name != "" && n.Addr != ""
	if given == "" {
		given = n.Name
	}
	addr, err := parseAddr(given)
	if err != nil {
		return Node{}, err
	}
	if addr.brokenIPv4() {
		return Node{}, badAddress(given, "the host is no IPv4 address, and no name either")
	}
	addr = addr.fold()
	n.Addr = addr.long()
	if labelled {
		n.Name = canonicalLabel(n.Name)
	} else {
		n.Name = addr.short()
	}
	if err := checkName(n.Name); err != nil {
		return Node{}, err
	}
	if err := checkText(n.Zone); err != nil {
		return Node{}, fmt.Errorf("%w: zone of node %q %v", ErrBadName, n.Name, err)
	}
	return n, nil
}

// label names the node in an error before anything about it is known to be good.
func (n Node) label() string {
	if n.Name != "" {
		return fmt.Sprintf("node %q", n.Name)
	}
	return fmt.Sprintf("node %q", n.Addr)
}

// canonicalLabel drops the default port from a label that reads as an address,
// so that a label and an address that say the same are one identity. Any other
// text is its own identity.
func canonicalLabel(name string) string {
	if addr, err := parseAddr(name); err == nil {
		return addr.short()
	}
	return name
}

func checkName(name string) error {
	if err := checkText(name); err != nil {
		return fmt.Errorf("%w: %q %v", ErrBadName, name, err)
	}
	return nil
}

// checkText keeps line breaks and broken UTF-8 out of logs, metrics and pages.
func checkText(s string) error {
	switch {
	case len(s) > maxNameLen:
		return fmt.Errorf("is %d bytes long, want at most %d", len(s), maxNameLen)
	case !utf8.ValidString(s):
		return fmt.Errorf("is not valid UTF-8")
	case strings.ContainsFunc(s, unicode.IsControl):
		return fmt.Errorf("has a control character")
	}
	return nil
}
