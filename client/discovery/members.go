package discovery

import (
	"maps"
	"slices"
	"strings"

	"github.com/memherd/memherd/ring"
)

// members is what a follower knows of the fleet, and the rules by which an answer
// changes it. It does nothing itself: next says what the fleet should be, and set notes
// that it is so.
type members struct {
	list        []ring.Node // in force, canonical, by name
	trusted     bool
	removeAfter int
	// absent counts, for each node in force that the newest answer lacks, the answers
	// in a row that lacked it while it was down.
	absent map[string]int
	// released are nodes that the operator has let go of.
	released map[string]bool
}

// change is the way from one list to the next.
type change struct {
	list                    []ring.Node // as in members
	added, removed, altered []string    // names
	missing                 []Missing   // in force though the answer lacks them
}

func (c *change) empty() bool { return len(c.added)+len(c.removed)+len(c.altered) == 0 }

// gone returns the nodes in force that the answer, canonical and sorted, lacks.
func (m *members) gone(answer []ring.Node) []ring.Node {
	var out []ring.Node
	for _, n := range m.list {
		if find(answer, n.Name) == nil {
			out = append(out, n)
		}
	}
	return out
}

// next judges a good answer. down tells which nodes the client holds for dead.
//
// New nodes are taken at once, and so is what the answer says about nodes that stay. A
// missing node stays unless the source is the operator, or the operator let go of it,
// or removeAfter answers in a row lacked it while it was down each time: one that
// works, and one that only lost a connection, are never lost to a wrong answer. The
// exception is an address that now goes by another name: one server can't be two nodes.
func (m *members) next(answer []ring.Node, down func(name string) bool) change {
	c := change{list: slices.Clone(answer)}
	for _, n := range answer {
		delete(m.absent, n.Name)
		delete(m.released, n.Name)
		if old := find(m.list, n.Name); old == nil {
			c.added = append(c.added, n.Name)
		} else if *old != n {
			c.altered = append(c.altered, n.Name)
		}
	}
	addrs := make(map[string]bool, len(answer))
	for _, n := range answer {
		addrs[n.Addr] = true
	}
	for _, n := range m.gone(answer) {
		if down(n.Name) {
			m.absent[n.Name]++
		} else {
			m.absent[n.Name] = 0
		}
		if m.trusted || m.released[n.Name] || m.absent[n.Name] >= m.removeAfter || addrs[n.Addr] {
			c.removed = append(c.removed, n.Name)
			continue
		}
		c.list = append(c.list, n)
		c.missing = append(c.missing, Missing{Node: n, Down: down(n.Name), Answers: m.absent[n.Name]})
	}
	sortNodes(c.list)
	return c
}

// set notes that the list is in force.
func (m *members) set(list []ring.Node) {
	m.list = list
	left := func(name string) bool { return find(list, name) == nil }
	maps.DeleteFunc(m.absent, func(name string, _ int) bool { return left(name) })
	maps.DeleteFunc(m.released, func(name string, _ bool) bool { return left(name) })
}

func compareNames(a, b ring.Node) int { return strings.Compare(a.Name, b.Name) }

func sortNodes(nodes []ring.Node) { slices.SortFunc(nodes, compareNames) }

// find looks name up in a list sorted by name.
func find(list []ring.Node, name string) *ring.Node {
	i, ok := slices.BinarySearchFunc(list, ring.Node{Name: name}, compareNames)
	if !ok {
		return nil
	}
	return &list[i]
}

func namesOf(nodes []ring.Node) []string {
	out := make([]string, len(nodes))
	for i, n := range nodes {
		out[i] = n.Name
	}
	return out
}
