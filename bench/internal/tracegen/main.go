// Command tracegen writes the small traces of testdata/traces. They are made up:
// Zipf-distributed requests from a seeded generator, in the two formats and three
// encodings the replay reads. The same seed gives the same requests.
//
//	go run ./bench/internal/tracegen -out testdata/traces -seed 20261122
package main

import (
	"bytes"
	"compress/gzip"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"

	"github.com/memherd/memherd/bench/internal/trace"
	"github.com/memherd/memherd/bench/internal/workload"
)

func main() {
	out := flag.String("out", "testdata/traces", "folder to write to")
	seed := flag.Uint64("seed", 20261122, "seed of the requests")
	flag.Parse()
	if err := write(*out, *seed); err != nil {
		fmt.Fprintln(os.Stderr, "tracegen:", err)
		os.Exit(1)
	}
	fmt.Printf("wrote the traces of seed %d to %s\n", *seed, *out)
}

func write(dir string, seed uint64) error {
	keys, csv := Keys(seed), Twitter(seed)
	var gz bytes.Buffer
	w := gzip.NewWriter(&gz)
	_, err := w.Write(keys)
	if err = errors.Join(err, w.Close()); err != nil {
		return err
	}
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		return err
	}
	defer enc.Close()
	for name, b := range map[string][]byte{
		"zipf.keys.gz":    gz.Bytes(),
		"twitter.csv":     csv,
		"twitter.csv.zst": enc.EncodeAll(csv, nil),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// Keys is a *.keys trace: 5,000 reads of 800 keys, Zipf 0.9, keys numbered by first
// appearance.
func Keys(seed uint64) []byte {
	var b bytes.Buffer
	number := map[int]int{}
	r := workload.Rand(seed, 0)
	z := must(workload.NewZipf(800, 0.9))
	for range 5000 {
		k := z.Next(r)
		if _, ok := number[k]; !ok {
			number[k] = len(number)
		}
		fmt.Fprintln(&b, number[k])
	}
	return b.Bytes()
}

// mix is how often each operation comes per 100, roughly as in a mixed production
// cluster, with every operation present.
var mix = []struct {
	op    trace.Op
	share int
}{
	{trace.Get, 70}, {trace.Gets, 5}, {trace.Set, 10}, {trace.Add, 2}, {trace.Replace, 2}, {trace.CAS, 3},
	{trace.Append, 1}, {trace.Prepend, 1}, {trace.Delete, 3}, {trace.Incr, 2}, {trace.Decr, 1},
}

// Twitter is a CSV trace: 2,000 requests with every operation, key and value sizes
// from 20 to 400 bytes.
func Twitter(seed uint64) []byte {
	var b bytes.Buffer
	r := workload.Rand(seed, 1)
	z := must(workload.NewZipf(300, 1))
	for i := range 2000 {
		k := z.Next(r)
		op, n := trace.Get, r.IntN(100)
		for _, m := range mix {
			if n < m.share {
				op = m.op
				break
			}
			n -= m.share
		}
		key := fmt.Sprintf("user:%x:%d", uint32(k)*2654435761, k)
		size := 20 + (k*37)%381
		ttl := 0
		switch op {
		case trace.Set, trace.Add, trace.Replace, trace.CAS:
			ttl = []int{0, 60, 3600, 86400}[k%4]
		case trace.Delete:
			size = 0
		case trace.Incr, trace.Decr:
			// Counters are counters: they do not share keys with values.
			key, size = fmt.Sprintf("count:%d", k%20), 8
		}
		fmt.Fprintf(&b, "%d,%s,%d,%d,%d,%s,%d\n", i/50, key, len(key), size, r.IntN(12), op, ttl)
	}
	return b.Bytes()
}

func must(z *workload.Zipf, err error) *workload.Zipf {
	if err != nil {
		panic(err) // the arguments are constants above
	}
	return z
}
