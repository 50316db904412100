package store

import (
	"encoding/binary"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"
)

// fillBench stores n items of 19 B key and 100 B value.
func fillBench(b *testing.B, n int, cfg Config) *Store {
	s := newStore(b, cfg)
	value := make([]byte, 100)
	key := make([]byte, 0, 32)
	for i := range n {
		key = strconv.AppendInt(append(key[:0], "key:"...), 100_000_000_000_000+int64(i), 10)
		tx := s.Begin(key, 2)
		tx.Put(Meta{CAS: uint64(i)}, value)
		tx.End()
	}
	if st := s.Stats(); st.Items != uint64(n) {
		b.Fatalf("%d items of %d are there", st.Items, n)
	}
	return s
}

// BenchmarkBytesPerItem: what 2,000,000 items of 19 B + 100 B take.
func BenchmarkBytesPerItem(b *testing.B) {
	const n = 2_000_000
	for b.Loop() {
		s := fillBench(b, n, Config{MaxBytes: 1 << 30})
		b.ReportMetric(float64(s.Stats().Held)/n, "held-B/item")
		b.ReportMetric(float64(s.shards[0].index.held())/float64(s.shards[0].index.items), "index-B/item")
	}
}

// BenchmarkGC: a full garbage collection with 10,000,000 items in the heap.
func BenchmarkGC(b *testing.B) {
	s := fillBench(b, 10_000_000, Config{MaxBytes: 4 << 30})
	var took []time.Duration
	for b.Loop() {
		start := time.Now()
		runtime.GC()
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "median-ms")
	runtime.KeepAlive(s)
}

// BenchmarkGet and its like: one goroutine, a million keys.
func BenchmarkGet(b *testing.B) {
	const n = 1_000_000
	s := fillBench(b, n, Config{MaxBytes: 1 << 30})
	dst := make([]byte, 0, 256)
	key := make([]byte, 0, 32)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		i = (i + 7919) % n
		key = strconv.AppendInt(append(key[:0], "key:"...), 100_000_000_000_000+int64(i), 10)
		tx := s.Begin(key, 3)
		if !tx.Found() {
			b.Fatal("missing")
		}
		dst = tx.AppendValue(dst[:0])
		tx.Bump()
		tx.End()
	}
}

// BenchmarkSetEvicting: sets of ever new keys into a full store.
func BenchmarkSetEvicting(b *testing.B) {
	for _, p := range []Policy{LRU, S3FIFO, LFU} {
		b.Run(p.String(), func(b *testing.B) {
			s := newStore(b, Config{Policy: p})
			value := make([]byte, 100)
			var key [16]byte
			b.ReportAllocs()
			i := uint64(0)
			for b.Loop() {
				i++
				binary.LittleEndian.PutUint64(key[:], i)
				tx := s.Begin(key[:], 3)
				tx.Put(Meta{}, value)
				tx.End()
			}
			b.ReportMetric(float64(s.Stats().Held)/float64(s.Stats().Items), "held-B/item")
		})
	}
}
