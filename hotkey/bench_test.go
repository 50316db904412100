package hotkey

import (
	"fmt"
	"math/rand"
	"testing"
	"time"
)

var sinkInt int

// BenchmarkClock is what one monotonic clock read costs: the floor of a near-cache hit.
func BenchmarkClock(b *testing.B) {
	b.ReportAllocs()
	base := time.Now()
	for b.Loop() {
		sinkInt += int(time.Since(base))
	}
}

func benchNear(b *testing.B) (*Near, []string, []uint64) {
	n, err := NewNear(&Config{Staleness: time.Hour, Seed: 1})
	if err != nil {
		b.Fatal(err)
	}
	keys, hashes := keyNames(1024) // the first 128 are held
	for i := range 128 {
		if !n.Put(hashes[i], keys[i], Value{Bytes: make([]byte, 100)}, n.Generation(hashes[i]), time.Now()) {
			b.Fatal("refused")
		}
	}
	return n, keys, hashes
}

func BenchmarkNearHit(b *testing.B) {
	n, keys, hashes := benchNear(b)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		v, ok := n.Get(hashes[i&127], keys[i&127])
		if !ok {
			b.Fatal("missed")
		}
		sinkInt += len(v.Bytes)
		i++
	}
}

// BenchmarkNearHitMany reads more entries than the processor's caches hold: it shows how many lines of memory a hit touches.
func BenchmarkNearHitMany(b *testing.B) {
	const held = 1 << 17
	n, err := NewNear(&Config{Staleness: time.Hour, Seed: 1, NearBytes: 1 << 30})
	if err != nil {
		b.Fatal(err)
	}
	keys, hashes := keyNames(held)
	for _, i := range rand.Perm(held) { // so that neighbours in memory are not read one after the other
		if !n.Put(hashes[i], keys[i], Value{Bytes: make([]byte, 100)}, n.Generation(hashes[i]), time.Now()) {
			b.Fatal("refused")
		}
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i = (i + 1) & (held - 1) {
		s, ok := n.Look(hashes[i], keys[i])
		if !ok {
			b.Fatal("missed")
		}
		sinkInt += len(s.Bytes)
	}
}

func BenchmarkNearMiss(b *testing.B) {
	n, keys, hashes := benchNear(b)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if _, ok := n.Get(hashes[128+i&511], keys[128+i&511]); ok {
			b.Fatal("hit")
		}
		i++
	}
}

func BenchmarkNearHitParallel(b *testing.B)  { benchNearParallel(b, 0, true) }
func BenchmarkNearMissParallel(b *testing.B) { benchNearParallel(b, 128, false) }

func benchNearParallel(b *testing.B, from int, want bool) {
	n, keys, hashes := benchNear(b)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			if _, ok := n.Get(hashes[from+i&127], keys[from+i&127]); ok != want {
				b.Error("hit and miss confused")
				return
			}
		}
	})
}

func BenchmarkNearDropAbsent(b *testing.B) {
	n, keys, hashes := benchNear(b)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		n.Drop(hashes[128+i&511], keys[128+i&511])
		i++
	}
}

func BenchmarkNearPut(b *testing.B) {
	n, keys, hashes := benchNear(b)
	v := Value{Bytes: make([]byte, 100)}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		n.Put(hashes[i&127], keys[i&127], v, n.Generation(hashes[i&127]), time.Now())
		i++
	}
}

// BenchmarkObserve runs at full speed, so the sampler is at work under the default budget; "all" counts every access.
func BenchmarkObserve(b *testing.B) {
	const universe, draws = 1 << 18, 1 << 16
	keys, hashes := keyNames(universe)
	type access struct {
		hash uint64
		key  string
	}
	draw := func(next func() int) []access { // in the order of use, so that the load itself costs no cache misses
		out := make([]access, draws)
		for i := range out {
			k := next()
			out[i] = access{hashes[k], keys[k]}
		}
		return out
	}
	load := map[string][]access{
		"zipf":    draw(newZipf(universe, 0.99, 1).next),
		"uniform": draw(newZipf(universe, 0, 2).next),
		"single":  draw(func() int { return 7 }),
	}
	for _, kind := range []string{"zipf", "uniform", "single"} {
		for _, budget := range []int{0, -1} {
			picks := load[kind]
			name := fmt.Sprintf("%s/%s", kind, map[int]string{0: "sampled", -1: "all"}[budget])
			b.Run(name, func(b *testing.B) {
				d := newDetector(b, Config{Seed: 1, Budget: budget}, 10)
				b.ReportAllocs()
				i := 0
				for b.Loop() {
					a := &picks[i&(draws-1)]
					sinkInt += int(d.Observe(a.hash, a.key, 100))
					i++
				}
				b.ReportMetric(float64(d.Stats().SampleOneIn), "one-in")
			})
			b.Run(name+"/parallel", func(b *testing.B) {
				d := newDetector(b, Config{Seed: 1, Budget: budget}, 10)
				b.ReportAllocs()
				b.RunParallel(func(pb *testing.PB) {
					for i := 0; pb.Next(); i++ {
						a := &picks[i&(draws-1)]
						d.Observe(a.hash, a.key, 100)
					}
				})
				b.ReportMetric(float64(d.Stats().SampleOneIn), "one-in")
			})
		}
	}
}

func BenchmarkLevel(b *testing.B) {
	d := newDetector(b, Config{Seed: 1}, 10)
	keys, hashes := keyNames(1024)
	for i := range 1 << 16 {
		d.Observe(hashes[i&1023], keys[i&1023], 100)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		sinkInt += int(d.Level(hashes[i&1023], keys[i&1023]))
		i++
	}
}
