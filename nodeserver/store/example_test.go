package store_test

import (
	"fmt"
	"slices"
	"strings"

	"github.com/memherd/memherd/nodeserver/store"
)

func ExampleStore() {
	s, err := store.New(store.Config{MaxBytes: 8 << 20})
	if err != nil {
		fmt.Println(err)
		return
	}
	const now = 100 // second of the caller's clock
	tx := s.Begin([]byte("greeting"), now)
	if !tx.Found() {
		tx.Put(store.Meta{CAS: 1, Expiry: now + 60}, []byte("hello"))
	}
	tx.End()

	tx = s.Begin([]byte("greeting"), now+59)
	fmt.Printf("%s\n", tx.AppendValue(nil))
	tx.End()
	tx = s.Begin([]byte("greeting"), now+60)
	fmt.Println(tx.Found())
	tx.End()
	// Output:
	// hello
	// false
}

// newStore is a small store with an item for each of the words.
func newStore(cfg store.Config, now uint32, words ...string) *store.Store {
	s, err := store.New(cfg)
	if err != nil {
		panic(err)
	}
	for i, w := range words {
		tx := s.Begin([]byte(w), now)
		tx.Put(store.Meta{CAS: uint64(i + 1)}, []byte("value of "+w))
		tx.End()
	}
	return s
}

// A counter that nobody can change in between: the shard is locked from Begin to End.
func ExampleTx() {
	s := newStore(store.Config{}, 1)
	for range 3 {
		tx := s.Begin([]byte("visits"), 1)
		n := uint32(0)
		if tx.Found() {
			n = tx.Meta().ClientFlags
		}
		tx.Put(store.Meta{ClientFlags: n + 1}, nil)
		tx.End()
	}
	tx := s.Begin([]byte("visits"), 1)
	defer tx.End()
	fmt.Println(tx.Meta().ClientFlags)
	// Output:
	// 3
}

// Meta data may be changed in place until End, client flags apart.
func ExampleMeta() {
	s := newStore(store.Config{}, 100, "k")
	tx := s.Begin([]byte("k"), 100)
	tx.Meta().Expiry = 110 // touched
	tx.Meta().Bits |= store.Stale
	tx.End()

	tx = s.Begin([]byte("k"), 105)
	m := tx.Meta()
	fmt.Println(m.Expiry-105, m.Bits&store.Stale != 0, m.Bits&store.Fetched != 0)
	tx.End()
	tx = s.Begin([]byte("k"), 110)
	fmt.Println(tx.Found())
	tx.End()
	// Output:
	// 5 true false
	// false
}

// The item that is read again and again survives a flood of others.
func ExamplePolicy() {
	policy, err := store.ParsePolicy("s3fifo")
	if err != nil {
		fmt.Println(err)
		return
	}
	evicted := 0
	s := newStore(store.Config{MaxBytes: 1 << 20, MaxItemBytes: 4 << 10, Policy: policy,
		OnEvict: func([]byte, store.Meta, int) { evicted++ }}, 1, "loved")
	value := make([]byte, 1000)
	for i := range 10_000 {
		tx := s.Begin([]byte("loved"), 1)
		if tx.Found() {
			tx.Bump()
		}
		tx.End()
		tx = s.Begin(fmt.Appendf(nil, "once-%d", i), 1)
		tx.Put(store.Meta{}, value)
		tx.End()
	}
	tx := s.Begin([]byte("loved"), 1)
	fmt.Println(policy, tx.Found(), evicted > 8000)
	tx.End()
	// Output:
	// s3fifo true true
}

// What the store holds and has counted.
func ExampleStore_Stats() {
	s := newStore(store.Config{MaxBytes: 1 << 20, MaxItemBytes: 1 << 10}, 1, "a", "bb")
	for _, key := range []string{"a", "none"} {
		tx := s.Begin([]byte(key), 1)
		if tx.Found() {
			tx.Count(store.GetHits)
		} else {
			tx.Count(store.GetMisses)
		}
		tx.End()
	}
	st := s.Stats()
	fmt.Println(st.Items, st.Bytes == uint64(store.Size(1, 0, 10)+store.Size(2, 0, 11)), st.Held <= uint64(s.MaxBytes()))
	fmt.Println(st.Counters[store.GetHits], st.Counters[store.GetMisses], st.Counters[store.TotalItems])
	// Output:
	// 2 true true
	// 1 1 2
}

// Every item, a shard at a time.
func ExampleStore_Each() {
	s := newStore(store.Config{}, 1, "a", "bb")
	var lines []string
	s.Each(1, func(i store.Info) bool {
		lines = append(lines, fmt.Sprintf("%s version %d, %d bytes", i.Key, i.CAS, i.ValueLen))
		return true
	})
	slices.Sort(lines)
	fmt.Println(strings.Join(lines, "\n"))
	// Output:
	// a version 1, 10 bytes
	// bb version 2, 11 bytes
}

func ExamplePlace() {
	s, _ := store.New(store.Config{})
	for _, key := range []string{"a", "b", "c"} {
		tx := s.Begin([]byte(key), 1)
		tx.Put(store.Meta{}, nil)
		tx.End()
	}
	n := 0
	for at, more := (store.Place{}), true; more; { // between two parts others get at the store
		at, more = s.EachFrom(at, 1, func(store.Info) bool {
			n++
			return false
		})
	}
	fmt.Println(n)
	// Output: 3
}
