package store

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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

func TestLRUOrder(t *testing.T) {
	// One shard of exactly four items.
	size := int64(Size(1, 0, 100))
	s := newStore(t, Config{MaxBytes: 4 * size, MaxItemBytes: 4 * size})
	v := strings.Repeat("v", 100)
	for _, k := range "abcd" {
		put(s, string(k), v, Meta{}, 2)
	}
	tx := s.Begin([]byte("a"), 3)
	tx.Bump()
	assert.NotZero(t, tx.Meta().Bits&Fetched)
	assert.EqualValues(t, 3, tx.Meta().Access)
	tx.End()
	put(s, "e", v, Meta{}, 3)
	present := func() (keys string) {
		for _, k := range "abcde" {
			if _, ok := get(s, string(k), 3); ok {
				keys += string(k)
			}
		}
		return keys
	}
	assert.Equal(t, "acde", present(), "b was the least recently used")
	put(s, "c", v, Meta{}, 3) // a store is a use
	put(s, "b", v, Meta{}, 3)
	assert.Equal(t, "abce", present(), "d was")
	st := s.Stats()
	assert.EqualValues(t, 2, st.Counters[Evictions])
	assert.EqualValues(t, 4, st.Items)
	assert.EqualValues(t, 4*size, st.Bytes)
}

func TestExpiredGoesBeforeLive(t *testing.T) {
	size := int64(Size(1, 0, 100))
	s := newStore(t, Config{MaxBytes: 4 * size, MaxItemBytes: 4 * size})
	v := strings.Repeat("v", 100)
	put(s, "a", v, Meta{}, 2)
	put(s, "b", v, Meta{Expiry: 5}, 2)
	put(s, "c", v, Meta{}, 2)
	put(s, "d", v, Meta{}, 2)
	put(s, "e", v, Meta{}, 5)
	_, ok := get(s, "a", 5)
	assert.True(t, ok, "the oldest lives, because an expired one was found")
	_, ok = get(s, "b", 5)
	assert.False(t, ok)
	assert.EqualValues(t, 1, s.Stats().Counters[Reclaimed])
	assert.Zero(t, s.Stats().Counters[Evictions])
}

func TestOneItemAsLargeAsTheStore(t *testing.T) {
	size := Size(1, 0, 1000)
	s := newStore(t, Config{MaxBytes: int64(size), MaxItemBytes: int64(size)})
	put(s, "a", strings.Repeat("a", 1000), Meta{}, 2)
	put(s, "b", strings.Repeat("b", 1000), Meta{}, 2)
	_, ok := get(s, "a", 2)
	assert.False(t, ok)
	v, ok := get(s, "b", 2)
	assert.True(t, ok)
	assert.Len(t, v, 1000)
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
	s.FlushAt(15)
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

// TestModel compares with a map, and checks the byte account after every step.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const limit = 1500
		s, err := New(Config{MaxBytes: limit, MaxItemBytes: limit})
		require.NoError(t, err)
		model := map[string]string{}
		key := rapid.SampledFrom([]string{"a", "b", "cc", "ddd"})
		now := uint32(2)
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				k, v := key.Draw(t, "key"), strings.Repeat("v", rapid.IntRange(0, 200).Draw(t, "len"))
				put(s, k, v, Meta{ClientFlags: uint32(rapid.IntRange(0, 1).Draw(t, "flags"))}, now)
				model[k] = v
			},
			"extend": func(t *rapid.T) {
				k := key.Draw(t, "key")
				tx := s.Begin([]byte(k), now)
				defer tx.End()
				if tx.Found() && len(model[k]) < 300 {
					tx.Extend(Meta{}, []byte("<"), []byte(">"))
					model[k] = "<" + model[k] + ">"
				}
			},
			"delete": func(t *rapid.T) {
				k := key.Draw(t, "key")
				tx := s.Begin([]byte(k), now)
				defer tx.End()
				if tx.Found() {
					tx.Delete()
				}
				delete(model, k)
			},
			"": func(t *rapid.T) {
				items, bytes := 0, 0
				for k, want := range model {
					tx := s.Begin([]byte(k), now)
					if tx.Found() {
						items++
						bytes += Size(len(k), tx.Meta().ClientFlags, tx.Len())
						require.Equal(t, want, string(tx.AppendValue(nil)))
					} else {
						delete(model, k) // evicted
					}
					tx.End()
				}
				st := s.Stats()
				require.EqualValues(t, items, st.Items)
				require.EqualValues(t, bytes, st.Bytes)
				require.LessOrEqual(t, st.Bytes, uint64(limit))
			},
		})
	})
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
	assert.LessOrEqual(t, s.Stats().Bytes, uint64(64<<10))
}
