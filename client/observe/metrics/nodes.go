package metrics

import "github.com/memherd/memherd/client"

// States are the values of the label "state" of memherd.node.state.
var States = []string{"up", "mending", "down"}

func nodeRows() []Metric {
	return []Metric{
		{"memherd.node.state", "{node}", Level, []string{"node", "state"}, "1 for the state the node is in, 0 for the others: up, mending (written to, not read yet), down.",
			func(r *Reading, emit emitter) {
				for _, n := range named(r.Nodes) {
					for _, s := range States {
						emit(oneIf(n.State == s), n.Node.Name, s)
					}
				}
			}},
		node("requests", "{request}", Sum, "Requests sent to the node.", func(n *client.Status) float64 { return float64(n.Ops) }),
		node("failures", "{request}", Sum, "Requests to the node that got no valid reply.", func(n *client.Status) float64 { return float64(n.Failures) }),
		node("inflight", "{request}", Level, "Requests under way to the node.", func(n *client.Status) float64 { return float64(n.InFlight) }),
		node("connections", "{connection}", Level, "Open connections to the node.", func(n *client.Status) float64 { return float64(n.Conns) }),
		node("debt", "{key}", Level, "Keys the node still has to hear a delete of.", func(n *client.Status) float64 { return float64(n.Debt) }),
		node("debt.age", "s", Level, "For how long the node has been owed anything.", func(n *client.Status) float64 { return n.DebtAge.Seconds() }),
		node("debt.overflow", "{node}", Level, "1 if the node is owed more than can be remembered: not read until Readmit.", func(n *client.Status) float64 { return oneIf(n.DebtOverflow) }),
		node("slow", "{node}", Level, "1 while reads go around the node because it takes several times as long as the others.", func(n *client.Status) float64 { return oneIf(n.Slow) }),
		node("placement.differs", "{node}", Level, "1 while another client of the node places keys differently.", func(n *client.Status) float64 { return oneIf(n.PlacementDiffers) }),
		node("moving", "{node}", Level, "1 while the node joins or leaves the fleet.", func(n *client.Status) float64 { return oneIf(n.Joining || n.Leaving) }),
	}
}

func node(name, unit string, kind Kind, help string, of func(n *client.Status) float64) Metric {
	return Metric{"memherd.node." + name, unit, kind, []string{"node"}, help, func(r *Reading, emit emitter) {
		for _, n := range named(r.Nodes) {
			emit(of(n), n.Node.Name)
		}
	}}
}

// named are the nodes, of several with one name one: a node that moves to another address is there at both for a while, and a series
// can have but one value. It is the one that is in force, which counts as leaving as long as the other joins.
func named(nodes []client.Status) (out []*client.Status) {
	rank := func(n *client.Status) int {
		switch {
		case n.Joining:
			return 2
		case n.Leaving:
			return 1
		}
		return 0
	}
	at := map[string]int{}
	for i := range nodes {
		n := &nodes[i]
		switch j, ok := at[n.Node.Name]; {
		case !ok:
			at[n.Node.Name] = len(out)
			out = append(out, n)
		case rank(n) < rank(out[j]):
			out[j] = n
		}
	}
	return out
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func loaderRows() []Metric {
	fields := func(levels bool) func(r *Reading, emit emitter) {
		return func(r *Reading, emit emitter) {
			for name, fs := range r.Loaders {
				for _, f := range fs {
					if f.Level == levels {
						emit(float64(f.Value), name, f.Name)
					}
				}
			}
		}
	}
	return []Metric{
		{"memherd.loader.events", "{event}", Sum, []string{"loader", "event"}, "What the loader's counters count, by the field's name in small letters: node_hits, loads, load_errors, puts and so on.", fields(false)},
		{"memherd.loader.level", "{item}", Level, []string{"loader", "field"}, "Fields of the loader's counters that are no counts: load_limit, and what write-back holds.", fields(true)},
	}
}
