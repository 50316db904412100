package discovery

import (
	"fmt"
	"slices"

	"github.com/memherd/memherd/ring"
)

// checkList returns the nodes in canonical form and in the order given, or what makes
// them no fleet and the index of the node it is about (-1: all of them). The rules are
// those of ring.New, checked here so that a bad answer is told from a bad client.
func checkList(nodes []ring.Node) (list []ring.Node, at int, err error) {
	if len(nodes) == 0 {
		return nil, -1, ErrEmpty
	}
	if len(nodes) > ring.MaxNodes {
		return nil, -1, malformed("%w: %d, want at most %d", ring.ErrTooManyNodes, len(nodes), ring.MaxNodes)
	}
	list = make([]ring.Node, 0, len(nodes))
	names := make(map[string]bool, len(nodes))
	addrs := make(map[string]string, len(nodes)) // address to name
	zoned, drained := -1, 0
	for i, n := range nodes {
		n, err := n.Canonical()
		if err != nil {
			return nil, i, malformed("%w", err)
		}
		if names[n.Name] {
			return nil, i, malformed("%w: name %q is listed twice", ring.ErrDuplicateNode, n.Name)
		}
		if other, ok := addrs[n.Addr]; ok {
			return nil, i, malformed("%w: nodes %q and %q have one address, %s", ring.ErrDuplicateNode, other, n.Name, n.Addr)
		}
		names[n.Name], addrs[n.Addr] = true, n.Name
		if n.Zone != "" && zoned < 0 {
			zoned = i
		}
		if n.Drain {
			drained++
		}
		list = append(list, n)
	}
	if zoned >= 0 {
		if i := slices.IndexFunc(list, func(n ring.Node) bool { return n.Zone == "" }); i >= 0 {
			return nil, i, malformed("%w: node %q has none but %q has; give every node a zone or none", ring.ErrMissingZone, list[i].Name, list[zoned].Name)
		}
	}
	if drained == len(list) {
		return nil, -1, malformed("%w: all %d are drained", ring.ErrNoNodes, drained)
	}
	return list, -1, nil
}

// canonical is checkList in the order of names, so that equal fleets are equal lists
// whatever order they were told in.
func canonical(nodes []ring.Node) ([]ring.Node, error) {
	list, _, err := checkList(nodes)
	if err != nil {
		return nil, err
	}
	sortNodes(list)
	return list, nil
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrMalformed, fmt.Errorf(format, args...))
}

func badConfig(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrConfig}, args...)...)
}
