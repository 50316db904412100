package store

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func newStore(t testing.TB, cfg Config) *Store {
	t.Helper()
	s, err := New(cfg)
	require.NoError(t, err)
	return s
}

func put(s *Store, key, value string, m Meta, now uint32) {
	tx := s.Begin([]byte(key), now)
	defer tx.End()
	tx.Put(m, []byte(value))
}

// get reads without bumping.
func get(s *Store, key string, now uint32) (string, bool) {
	tx := s.Begin([]byte(key), now)
	defer tx.End()
	if !tx.Found() {
		return "", false
	}
	return string(tx.AppendValue(nil)), true
}

func TestConfig(t *testing.T) {
	s := newStore(t, Config{})
	assert.Len(t, s.shards, 16, "64 MiB in shards of four of the largest items")
	for _, bad := range []Config{{MaxBytes: 100, MaxItemBytes: 200}, {MaxItemBytes: -1}, {MaxBytes: 4 << 30, MaxItemBytes: 2 << 30}} {
		_, err := New(bad)
		require.Error(t, err)
	}
	assert.True(t, s.Fits(1, 0, 1048516), "memcached's own limit at -I 1m")
	assert.False(t, s.Fits(1, 0, 1048517))
	assert.False(t, s.Fits(1, 5, 1048516), "flags count")
}

// fourItems is a store with one shard, in which four values of this length and the
// index have room, but not five.
func fourItems(t testing.TB, p Policy) (*Store, string) {
	s := newStore(t, Config{MaxBytes: 44 << 10, MaxItemBytes: 16 << 10, Policy: p})
	require.Len(t, s.shards, 1)
	return s, strings.Repeat("v", 9<<10)
}

func present(s *Store, keys string, now uint32) (there string) {
	for _, k := range keys {
		if _, ok := get(s, string(k), now); ok {
			there += string(k)
		}
	}
	return there
}

func TestLRUOrder(t *testing.T) {
	s, v := fourItems(t, LRU)
	for _, k := range "abcd" {
		put(s, string(k), v, Meta{}, 2)
	}
	tx := s.Begin([]byte("a"), 3)
	tx.Bump()
	assert.NotZero(t, tx.Meta().Bits&Fetched)
	assert.EqualValues(t, 3, tx.Meta().Access)
	tx.End()
	put(s, "e", v, Meta{}, 3)
	assert.Equal(t, "acde", present(s, "abcde", 3), "b was the least recently used")
	put(s, "c", v, Meta{}, 3) // a store is a use
	put(s, "b", v, Meta{}, 3)
	assert.Equal(t, "abce", present(s, "abcde", 3), "d was")
	st := s.Stats()
	assert.EqualValues(t, 2, st.Counters[Evictions])
	assert.EqualValues(t, 4, st.Items)
	assert.EqualValues(t, 4*Size(1, 0, len(v)), st.Bytes)
}

func TestExpiredGoesBeforeLive(t *testing.T) {
	s, v := fourItems(t, LRU)
	put(s, "a", v, Meta{}, 2)
	put(s, "b", v, Meta{Expiry: 5}, 2)
	put(s, "c", v, Meta{}, 2)
	put(s, "d", v, Meta{}, 2)
	put(s, "e", v, Meta{}, 5)
	assert.Equal(t, "acde", present(s, "abcde", 5), "the oldest lives, because one had expired")
	assert.EqualValues(t, 1, s.Stats().Counters[Reclaimed])
	assert.Zero(t, s.Stats().Counters[Evictions])
}

// TestExpiryGivenLater: items that get their TTL after they were stored, as leases do, go like
// others when it is over, large ones always, small ones if it came soon.
func TestExpiryGivenLater(t *testing.T) {
	for valueLen, n := range map[int]int{10: 100_000, 5000: 5000} {
		s := newStore(t, Config{})
		for i := range n {
			tx := s.Begin(fmt.Append(nil, i), 2)
			tx.Put(Meta{}, make([]byte, valueLen))
			tx.Meta().Expiry = 10
			tx.End()
		}
		require.EqualValues(t, n, s.Stats().Items)
		s.Sweep(10)
		assert.Less(t, int(s.Stats().Items), n/3, "%d bytes each: some are where the next ones will be", valueLen)
		checkStore(t, s)
	}
}

// TestNoEvictGrowsItsIndex: with one bucket for all, each item that was stored made the next
// one take longer.
func TestNoEvictGrowsItsIndex(t *testing.T) {
	s := newStore(t, Config{MaxBytes: 1 << 20, MaxItemBytes: 16 << 10, NoEvict: true})
	for n := 0; ; n++ {
		tx := s.Begin(fmt.Append(nil, n), 2)
		ok := tx.Put(Meta{}, nil)
		tx.End()
		if !ok {
			break
		}
		for i := range s.shards {
			sh := &s.shards[i]
			free := sh.maxBytes - sh.held
			require.True(t, sh.index.items <= int(sh.index.n)*fill || free < chunkBytes, "%d of %d in %d buckets, %d bytes are free", sh.index.items, n, sh.index.n, free)
		}
	}
	checkStore(t, s)
}

func TestNoEvict(t *testing.T) {
	s := newStore(t, Config{MaxBytes: 64 << 10, MaxItemBytes: 16 << 10, NoEvict: true})
	v := strings.Repeat("v", 100)
	tryPut := func(key string) bool {
		tx := s.Begin([]byte(key), 2)
		defer tx.End()
		return tx.Put(Meta{}, []byte(v))
	}
	n := 0
	for tryPut(fmt.Sprint("k", n)) {
		n++
	}
	assert.Greater(t, n, 300)
	for i := range n {
		_, ok := get(s, fmt.Sprint("k", i), 2)
		require.True(t, ok, "nothing is dropped")
	}
	tx := s.Begin([]byte("k0"), 2)
	assert.False(t, tx.Put(Meta{}, make([]byte, 10000)), "and a refused value leaves the old one")
	assert.Equal(t, v, string(tx.AppendValue(nil)))
	tx.End()
	for i := range n / 2 {
		tx := s.Begin(fmt.Append(nil, "k", 2*i), 2)
		tx.Delete()
		tx.End()
	}
	for i := range n / 3 {
		assert.True(t, tryPut(fmt.Sprint("new", i)), "what deleted items left is used again")
	}
	assert.Zero(t, s.Stats().Counters[Evictions])
	checkStore(t, s)
}

func TestExtendOverwriteAndPrefix(t *testing.T) {
	s := newStore(t, Config{})
	put(s, "k", "middle", Meta{CAS: 1}, 2)
	tx := s.Begin([]byte("k"), 2)
	tx.Extend(Meta{CAS: 2}, []byte("<"), []byte(">"))
	assert.Equal(t, "<middle>", string(tx.AppendValue(nil)))
	var head [3]byte
	assert.Equal(t, 3, tx.CopyPrefix(head[:]))
	assert.Equal(t, "<mi", string(head[:]))
	tx.Overwrite([]byte("12"))
	assert.Equal(t, "12      ", string(tx.AppendValue(nil)))
	assert.EqualValues(t, 2, tx.Meta().CAS)
	tx.Delete()
	assert.False(t, tx.Found())
	assert.Nil(t, tx.Meta())
	tx.End()
	assert.Zero(t, s.Stats().Bytes)
}

func TestFlush(t *testing.T) {
	s := newStore(t, Config{})
	put(s, "old", "x", Meta{}, 10)
	s.FlushAt(15, 10)
	put(s, "before", "x", Meta{}, 14)
	_, ok := get(s, "old", 14)
	assert.True(t, ok, "not yet")
	put(s, "after", "x", Meta{}, 16)
	for key, want := range map[string]bool{"old": false, "before": false, "after": true} {
		_, ok := get(s, key, 16)
		assert.Equal(t, want, ok, key)
	}
	s.Clear()
	assert.Zero(t, s.Stats().Items)
	put(s, "new", "x", Meta{}, 16)
	_, ok = get(s, "new", 17)
	assert.True(t, ok)
}

// TestEachFrom: in parts, however small, every item is shown once.
func TestEachFrom(t *testing.T) {
	s := newStore(t, Config{})
	const n = 10_000
	for i := range n {
		put(s, fmt.Sprint(i), strings.Repeat("v", i%5000), Meta{}, 2)
	}
	for _, most := range []int{1, 100, n, n + 1} {
		seen, parts, got := map[string]bool{}, 0, 0
		for at, more := (Place{}), true; more; parts++ {
			got = 0
			at, more = s.EachFrom(at, 2, func(i Info) bool {
				seen[string(i.Key)] = true
				got++
				return got < most
			})
		}
		assert.Len(t, seen, n)
		assert.Equal(t, most <= n, parts > 1, "%d parts", parts)
	}
}

func TestEachAndCounters(t *testing.T) {
	s := newStore(t, Config{})
	for i := range 20 {
		put(s, fmt.Sprint("k", i), "abc", Meta{Expiry: uint32(5 * (i % 2))}, 2)
	}
	n := 0
	s.Each(6, func(i Info) bool {
		assert.Equal(t, 3, i.ValueLen)
		n++
		return true
	})
	assert.Equal(t, 10, n, "the dead are not shown")
	s.Each(6, func(Info) bool { n++; return false })
	assert.Equal(t, 11, n)
	s.Count(CmdTouch)
	assert.EqualValues(t, 1, s.Stats().Counters[CmdTouch])
	s.ResetCounters()
	assert.Equal(t, Counters{}, s.Stats().Counters)
	assert.EqualValues(t, 20, s.Stats().Items)
}

func TestConcurrentUse(t *testing.T) {
	s := newStore(t, Config{MaxBytes: 64 << 10, MaxItemBytes: 1 << 10})
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 2000 {
				key := fmt.Sprint("k", (i*7+g)%500)
				put(s, key, key+strings.Repeat("v", i%100), Meta{}, 2)
				if v, ok := get(s, key, 2); ok && !strings.HasPrefix(v, key) {
					t.Errorf("%s has %q", key, v)
				}
			}
		})
	}
	wg.Wait()
	assert.LessOrEqual(t, s.Stats().Held, uint64(64<<10))
	checkStore(t, s)
}

func TestSetMaxBytes(t *testing.T) {
	s := newStore(t, Config{MaxBytes: 1 << 20, MaxItemBytes: 16 << 10})
	fill := func(from, n int) {
		for i := range n {
			put(s, fmt.Sprint("k", from+i), strings.Repeat("v", 100), Meta{}, 2)
		}
	}
	fill(0, 10_000)
	before := s.Stats()
	require.True(t, s.SetMaxBytes(2<<20, 2))
	assert.EqualValues(t, 2<<20, s.MaxBytes())
	fill(10_000, 20_000)
	assert.Greater(t, s.Stats().Items, before.Items*3/2, "there is more room")
	require.True(t, s.SetMaxBytes(1<<20, 2))
	assert.LessOrEqual(t, s.Stats().Held, uint64(1<<20), "what is too much has gone at once")
	assert.Greater(t, s.Stats().Items, before.Items*3/4, "and not much more than that")
	assert.False(t, s.SetMaxBytes(20<<10, 2), "the largest item would not fit")
	checkStore(t, s)
}
