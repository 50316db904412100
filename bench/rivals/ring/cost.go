package main

import (
	"fmt"
	"io"
	"runtime"
	"slices"
	"strconv"
	"time"

	"github.com/memherd/memherd/ring"
)

// timed is a placement whose lookups are timed.
type timed struct {
	name, gives string
	floor       float64
	pass        func(keys []string) int // looks all keys up
	ns          []float64
	allocs      float64
}

// batch is how many lookups are timed at once: few, so that a batch is over before the
// machine has something else to do.
const batch = 512

// costs times everybody's lookups in turn, batch by batch, so that what else happens on the
// machine meets all alike. The best batch is what the code itself needs, and what the floors
// are about; the median tells how busy the machine was.
func costs(w io.Writer, o options, nodes int) {
	names := fleet(0, nodes)
	var all []*timed
	for _, p := range placements {
		r := buildOurs(p, 3, names)
		t := &timed{name: "memherd " + p.String(), gives: "list of 3", floor: 8, pass: func(keys []string) (sum int) {
			for _, key := range keys {
				sum += int(r.Lookup(key)[2])
			}
			return sum
		}}
		switch p {
		case ring.Classic:
			t.floor = 0
		case ring.Ketama:
			t.floor = 140
		}
		all = append(all, t)
	}
	for _, r := range rivals {
		p := r.build(names)
		all = append(all, &timed{name: r.name, gives: r.gives, pass: func(keys []string) (sum int) {
			for _, key := range keys {
				sum += p.list(key)
			}
			return sum
		}})
	}
	keys := sample(1 << 12)
	for _, t := range all {
		t.allocs = allocs(func() { t.pass(keys) }) / float64(len(keys))
	}
	for i := range o.rounds {
		part := keys[i%(len(keys)/batch)*batch:][:batch]
		for _, t := range all {
			// The first pass brings the caches back that the others took.
			t.pass(part)
			start := time.Now()
			t.pass(part)
			t.ns = append(t.ns, float64(time.Since(start).Nanoseconds())/batch)
		}
	}
	for _, t := range all {
		slices.Sort(t.ns)
		floor := verdict(t.ns[0], t.floor)
		if t.floor > 0 && t.allocs > 0 {
			floor += ", allocations MISSED"
		}
		fmt.Fprintf(w, "%s\t%d\t%.1f\t%.1f\t%.1f\t%s\t%s\n", t.name, nodes, t.ns[0], t.ns[len(t.ns)/2], t.allocs, t.gives, floor)
	}
}

// allocs counts f's allocations; nothing else runs meanwhile.
func allocs(f func()) float64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	// The runtime itself allocates a little now and then.
	if n := after.Mallocs - before.Mallocs; n > 16 {
		return float64(n)
	}
	return 0
}

// builds times making everybody's ring, the better of three.
func builds(w io.Writer, nodes int) {
	names := fleet(0, nodes)
	best := func(build func()) float64 {
		ms := 0.0
		for i := range 3 {
			start := time.Now()
			build()
			if d := float64(time.Since(start).Microseconds()) / 1000; i == 0 || d < ms {
				ms = d
			}
		}
		return ms
	}
	for _, p := range placements {
		ms := best(func() { buildOurs(p, 3, names) })
		fmt.Fprintf(w, "memherd %v\t%d\t%.0f\t\t\t\t%s\n", p, nodes, ms, verdict(ms, 1000))
	}
	for _, r := range rivals {
		fmt.Fprintf(w, "%s\t%d\t%.0f\t\t\t\t-\n", r.name, nodes, best(func() { r.build(names) }))
	}
}

// sample returns n keys of 16 bytes.
func sample(n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = "user:" + strconv.Itoa(10_000_000_000+i*7919)
	}
	return keys
}
