package hotkey_test

import (
	"fmt"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/memherd/memherd/hotkey"
)

func ExampleConfig() {
	_, err := hotkey.NewNear(&hotkey.Config{Staleness: 5 * time.Millisecond, NearBytes: 10})
	fmt.Println(err)
	// Output: hotkey: Config.NearBytes 10 cannot hold one value; give at least 896, or Staleness -1 for no near-cache
}

func ExampleDetector() {
	d, err := hotkey.NewDetector(&hotkey.Config{
		OnPromote: func(key string, l hotkey.Level) { fmt.Println(key, "is", l) },
	}, 5)
	if err != nil {
		panic(err)
	}
	for i := range 10_000 {
		key := fmt.Sprint("page:", i)
		d.Observe(xxhash.Sum64String(key), key, 4096)
		if i > 5000 && i%5 == 0 {
			d.Observe(xxhash.Sum64String("front"), "front", 512)
		}
	}
	// Output: front is hottest
}

func ExampleDetector_Top() {
	d, err := hotkey.NewDetector(nil, 5)
	if err != nil {
		panic(err)
	}
	for i := range 1000 {
		key := []string{"a", "a", "a", "b"}[i%4]
		d.Observe(xxhash.Sum64String(key), key, 100)
	}
	for _, h := range d.Top(2) {
		fmt.Printf("%s %.0f %%\n", h.Key, 100*h.Share)
	}
	// Output:
	// a 75 %
	// b 25 %
}

func ExampleNear() {
	near, err := hotkey.NewNear(&hotkey.Config{Staleness: time.Minute})
	if err != nil {
		panic(err)
	}
	hash := xxhash.Sum64String("user:1")

	gen, sentAt := near.Generation(hash), time.Now() // before the request is sent
	answer := []byte("Alice")                        // what the node answered
	near.Put(hash, "user:1", hotkey.Value{Bytes: answer, CAS: 1}, gen, sentAt)

	v, ok := near.Get(hash, "user:1")
	fmt.Println(string(v.Bytes), ok)

	near.Drop(hash, "user:1") // before a write is sent, and again after its answer
	_, ok = near.Get(hash, "user:1")
	fmt.Println(ok)
	// Output:
	// Alice true
	// false
}

// One key may take half of the traffic. Readers that can live with values up to four seconds old are served by
// eight more copies of it, on other nodes; keys of prices, which nobody may see late, are not.
func ExampleScatter() {
	cfg := hotkey.Config{
		Scatter:  &hotkey.Scatter{Staleness: 4 * time.Second},
		Prefixes: []hotkey.Prefix{{Prefix: "price:", Staleness: -1}},
	}
	s, err := cfg.Scatter.WithDefaults()
	if err != nil {
		panic(err)
	}
	fmt.Println(s.Copies, s.Staleness, cfg.MayScatter("front page"), cfg.MayScatter("price:1"))
	// Output: 8 4s true false
}

// Entries that readers still use are asked about before they end, and live on if their node says that nothing has changed.
func ExampleEntry() {
	near, err := hotkey.NewNear(&hotkey.Config{Staleness: time.Minute, Prefixes: []hotkey.Prefix{{Prefix: "price:", Staleness: time.Second}}})
	if err != nil {
		panic(err)
	}
	fmt.Println(near.Staleness("user:1"), near.Staleness("price:1"))
	hash := xxhash.Sum64String("user:1")
	near.Put(hash, "user:1", hotkey.Value{Bytes: []byte("Alice"), CAS: 1}, near.Generation(hash), time.Now())
	for range 20 {
		near.Get(hash, "user:1")
	}

	var used []hotkey.Entry = near.InUse(16) // read 16 times and more
	sentAt := time.Now()
	for _, e := range used {
		fmt.Println(e.Key, near.Renew(e, near.Generation(e.Hash), sentAt)) // its node still has CAS e.CAS
	}
	var seen hotkey.Seen
	seen, ok := near.Look(hash, "user:1")
	fmt.Println(string(seen.Bytes), ok)
	var stats hotkey.NearStats = near.Stats()
	fmt.Println(stats.Entries, "value held")
	// Output:
	// 1m0s 1s
	// user:1 true
	// Alice true
	// 1 value held
}

func ExampleDetector_Stats() {
	d, err := hotkey.NewDetector(&hotkey.Config{Budget: -1}, 5) // count every access
	if err != nil {
		panic(err)
	}
	for range 1000 {
		d.Observe(xxhash.Sum64String("a"), "a", 100)
	}
	var s hotkey.DetectorStats = d.Stats()
	fmt.Println(s.Counted, "counted, one in", s.SampleOneIn)
	// Output: 1000 counted, one in 1
}
