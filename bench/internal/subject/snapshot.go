package subject

import (
	"strings"
	"time"

	"github.com/memherd/memherd/bench/internal/drive"
	"github.com/memherd/memherd/bench/internal/measure"
	"github.com/memherd/memherd/bench/internal/report"
	"github.com/memherd/memherd/hotkey"
	"github.com/memherd/memherd/loader"
)

// Snapshot is all counters at one moment; two of them around a run give its result.
type Snapshot struct {
	loader        loader.Counters
	loads, stores int64
	errs, wrong   int64
	stale         []int64
	failovers     int64
	nodes         map[string]int64
}

// Snapshot reads the counters. Taken while operations run, it may be apart by those.
func (s *Subject) Snapshot() Snapshot {
	out := Snapshot{loader: s.counters(), loads: s.Origin.Loads(), stores: s.Origin.Stores(),
		errs: s.errs.n.Load(), wrong: s.wrong.Load(), stale: s.stale.Read(), failovers: int64(s.Client.Counters().Failovers), nodes: map[string]int64{}}
	for _, n := range s.Client.Nodes() {
		out.nodes[n.Node.Name] = int64(n.Ops)
	}
	return out
}

// Rates are requests a second to each node between two snapshots that are so far apart.
func (s *Snapshot) Rates(since Snapshot, apart time.Duration) map[string]float64 {
	out := map[string]float64{}
	for n, ops := range s.nodes {
		out[n] = float64(ops-since.nodes[n]) / max(apart, time.Millisecond).Seconds()
	}
	return out
}

// Result is what happened since the snapshot was taken, with what the driver
// measured meanwhile.
func (s *Subject) Result(name string, seed uint64, before Snapshot, run drive.Result) report.Result {
	now := s.Snapshot()
	r := report.Result{
		Name: name, Seed: seed,
		Ops: run.Ops(), Reads: run.Of(measure.Read), Writes: run.Of(measure.Write),
		Errors: now.errs - before.errs, Wrong: now.wrong - before.wrong,
		NearHits:  int64(now.loader.NearHits - before.loader.NearHits),
		NodeHits:  int64(now.loader.NodeHits + now.loader.NegativeHits - before.loader.NodeHits - before.loader.NegativeHits),
		Misses:    int64(now.loader.Misses - before.loader.Misses),
		Loads:     now.loads - before.loads,
		Stores:    now.stores - before.stores,
		Failovers: now.failovers - before.failovers,
		DurationS: run.Elapsed.Seconds(),
		Latency:   run.Latency(), ReadLatency: run.LatencyOf(measure.Read), WriteLatency: run.LatencyOf(measure.Write),
		NodeOps: map[string]int64{},
		HotKeys: s.hotKeys(),
		Slices:  run.Slices,
	}
	r.Staleness = report.StaleBuckets(before.stale, now.stale)
	for _, b := range r.Staleness {
		r.Stale += b.Reads
	}
	for _, v := range run.Intervals {
		r.Over = append(r.Over, report.Point{FromS: v.From.Seconds(), ForS: v.Length.Seconds(), Latency: v.Latency()})
	}
	for n, ops := range now.nodes {
		r.NodeOps[n] = ops - before.nodes[n]
	}
	if r.Errors > 0 || r.Wrong > 0 {
		r.FirstErrors = s.errs.First()
	}
	r.Derive()
	return r
}

// maxHot bounds how many hot keys a result lists.
const maxHot = 1024

func (s *Subject) hotKeys() []report.HotKey {
	out := []report.HotKey{}
	for _, h := range s.Client.HotKeys(maxHot) {
		if h.Level >= hotkey.LevelHot {
			out = append(out, report.HotKey{Key: strings.TrimPrefix(h.Key, s.prefix), Share: h.Share})
		}
	}
	return out
}
