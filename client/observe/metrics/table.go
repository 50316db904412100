package metrics

import "strings"

// Kind is how a metric behaves.
type Kind uint8

const (
	// Sum only grows, until the process ends.
	Sum Kind = iota
	// Level goes up and down.
	Level
	// Histogram counts durations by their length. There is one, Duration, which has no Read.
	Histogram
)

// Metric is a row of the table.
type Metric struct {
	// Name has words joined by dots, as OpenTelemetry writes them; see Prometheus.
	Name string
	// Unit is UCUM's: "s", "By", or what is counted, in braces.
	Unit string
	Kind Kind
	// Labels are the names of the labels, whose values are few: nodes, loaders, and words of this table.
	Labels []string
	Help   string
	// Read emits the value for each set of the labels' values.
	Read func(r *Reading, emit func(v float64, labels ...string))
}

// Prometheus is the metric's name by that system's rules: underscores, the unit of measure, _total for a Sum.
func (m Metric) Prometheus() string {
	name := strings.ReplaceAll(m.Name, ".", "_")
	switch m.Unit {
	case "s":
		name += "_seconds"
	case "By":
		name += "_bytes"
	}
	if m.Kind == Sum {
		name += "_total"
	}
	return name
}

// Duration is the row of the latencies, of which package timing has the values.
var Duration = Metric{Name: "memherd.client.duration", Unit: "s", Kind: Histogram, Labels: []string{"op"},
	Help: "How long calls took, of those that were timed; only with Source.Timing."}

type emitter = func(v float64, labels ...string)

// Table has every metric, Duration last.
func Table() []Metric {
	rows := []Metric{
		{"memherd.client.reads", "{read}", Sum, []string{"result"}, "Reads by how they ended: near_hit from memory, node_hit, miss, failed.",
			func(r *Reading, emit emitter) {
				c := r.Counters
				emit(float64(c.NearHits), "near_hit")
				emit(float64(c.NodeHits), "node_hit")
				emit(float64(c.Misses), "miss")
				// The counters are read one by one.
				emit(max(0, float64(c.Gets)-float64(c.NearHits)-float64(c.NodeHits)-float64(c.Misses)), "failed")
			}},
		{"memherd.client.writes", "{write}", Sum, []string{"op"}, "Writes: set with all that change a value, delete by keys, fill of leases.",
			func(r *Reading, emit emitter) {
				emit(float64(r.Counters.Sets), "set")
				emit(float64(r.Counters.Deletes), "delete")
				emit(float64(r.Counters.Fills), "fill")
			}},
		counted("errors", "{call}", "Calls that failed.", func(r *Reading) uint64 { return r.Counters.Errors }),
		{"memherd.client.leases", "{lease}", Sum, []string{"event"}, "Rights to fill: won, lost to a write or delete, late and given back, orphan of a lost connection.",
			func(r *Reading, emit emitter) {
				emit(float64(r.Counters.LeasesWon), "won")
				emit(float64(r.Counters.LeasesLost), "lost")
				emit(float64(r.Counters.LateWins), "late")
				emit(float64(r.Counters.Orphans), "orphan")
			}},
		counted("failovers", "{read}", "Reads that left a node for the next copy.", func(r *Reading) uint64 { return r.Counters.Failovers }),
		counted("steered", "{read}", "Reads served by another copy because the owner was slow, or in another zone.", func(r *Reading) uint64 { return r.Counters.Steered }),
		counted("spread", "{read}", "Reads of hot keys served by another copy than the owner, for the sake of the load.", func(r *Reading) uint64 { return r.Counters.Spread }),
		counted("scattered", "{read}", "Reads of keys hotter than their copies can bear that a suffix copy answered.", func(r *Reading) uint64 { return r.Counters.Scattered }),
		counted("scatter.fills", "{copy}", "Suffix copies filled.", func(r *Reading) uint64 { return r.Counters.ScatterFills }),
		counted("revalidated", "{request}", "Requests by which the near-cache asked whether what it holds is still so.", func(r *Reading) uint64 { return r.Counters.Revalidated }),
		{"memherd.client.hedges", "{read}", Sum, []string{"event"}, "Reads asked of a second copy: sent, and of these won by it.",
			func(r *Reading, emit emitter) {
				emit(float64(r.Counters.Hedged), "sent")
				emit(float64(r.Counters.HedgesWon), "won")
			}},
		counted("retries.refused", "{read}", "Reads that failed because the budget of retries was spent.", func(r *Reading) uint64 { return r.Counters.RetriesRefused }),
		counted("owed", "{copy}", "Copies that did not hear of a write or delete and were booked as debt.", func(r *Reading) uint64 { return r.Counters.Owed }),
		counted("restored", "{copy}", "Copies brought back to a node that had lost its memory, or was new.", func(r *Reading) uint64 { return r.Counters.Restored }),
		counted("quarantines", "{event}", "Times a node was kept out of reads after it came back.", func(r *Reading) uint64 { return r.Counters.Quarantines }),
		counted("placement.differs", "{comparison}", "Comparisons that found another client to place keys differently.", func(r *Reading) uint64 { return r.Counters.Differed }),
		{"memherd.client.gutter", "{key}", Sum, []string{"op"}, "Keys read from, and stored on, gutter nodes.",
			func(r *Reading, emit emitter) {
				emit(float64(r.Counters.GutterReads), "read")
				emit(float64(r.Counters.GutterWrites), "write")
			}},
		{"memherd.near.entries", "{entry}", Level, nil, "Values held by the near-cache.",
			func(r *Reading, emit emitter) { emit(float64(r.Near.Entries)) }},
		{"memherd.near.size", "By", Level, nil, "Memory of the near-cache's entries.",
			func(r *Reading, emit emitter) { emit(float64(r.Near.Bytes)) }},
		{"memherd.near.events", "{entry}", Sum, []string{"event"}, "Entries of the near-cache found expired, evicted, or refused.",
			func(r *Reading, emit emitter) {
				emit(float64(r.Near.Expired), "expired")
				emit(float64(r.Near.Evictions), "evicted")
				emit(float64(r.Near.Refused), "refused")
			}},
	}
	return append(append(append(rows, nodeRows()...), loaderRows()...), Duration)
}

func counted(name, unit, help string, of func(r *Reading) uint64) Metric {
	return Metric{"memherd.client." + name, unit, Sum, nil, help, func(r *Reading, emit emitter) { emit(float64(of(r))) }}
}
