package store

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// scaled multiplies a random test's size by MEMHERD_SCALE.
func scaled(n int) int {
	if f, err := strconv.ParseFloat(os.Getenv("MEMHERD_SCALE"), 64); err == nil && f > 0 {
		n = int(float64(n) * f)
	}
	return max(n, 10)
}

// checkStore compares all accounts of a store with what lies in its segments.
func checkStore(t require.TestingT, s *Store) {
	for i := range s.shards {
		checkShard(t, &s.shards[i])
	}
}

func checkShard(t require.TestingT, sh *shard) {
	var held, dead, size int64
	var queued [numQueues]int64
	items, listed := 0, 0
	for q := range numQueues {
		for id := sh.segs[q].next; id != uint32(q); id = sh.segs[id].next {
			listed++
			require.Equal(t, q, sh.segs[id].queue)
		}
	}
	for id := firstSegment; id < uint32(len(sh.segs)); id++ {
		s := &sh.segs[id]
		if s.buf == nil {
			continue
		}
		listed--
		held += int64(cap(s.buf))
		queued[s.queue] += int64(cap(s.buf))
		live := 0
		for off := 0; off < s.used; {
			r := record(s.buf[off:])
			if !r.dead() {
				live += r.bytes()
				size += int64(r.size())
				items++
				require.Equal(t, sh.addr(id, off), sh.find(sh.hash(r.key()), r.key()), "the index leads to the record")
			}
			off += r.bytes()
			require.LessOrEqual(t, off, len(s.buf))
		}
		require.Equal(t, s.live, live)
		if !s.large {
			dead += int64(s.used - s.live)
		}
	}
	require.Zero(t, listed, "every segment is in a list")
	require.Equal(t, sh.held, held+sh.index.held()+sh.ghosts.held())
	require.Equal(t, sh.queueHeld, queued)
	require.Equal(t, sh.dead, dead)
	require.Equal(t, sh.bytes, size)
	require.Equal(t, sh.index.items, items)
}

// modelItem is what the model knows of a key.
type modelItem struct {
	value string
	meta  Meta
}

// model is a map with a clock beside a store.
type model struct {
	s     *Store
	items map[string]modelItem
	now   uint32
	cas   uint64
	flush uint32
	// exact: the store has room for everything, so nothing may ever be missing.
	exact bool
}

func (m *model) alive(key string) (modelItem, bool) {
	it, ok := m.items[key]
	if ok && (it.meta.Expiry != 0 && it.meta.Expiry <= m.now || m.flush != 0 && m.flush <= m.now && it.meta.Access <= m.flush) {
		delete(m.items, key)
		return it, false
	}
	return it, ok
}

// step does one random thing to both and compares what the store says of the key.
func (m *model) step(t require.TestingT, rnd func(n int) int) {
	key := fmt.Sprint("key", rnd(60))
	if rnd(8) == 0 {
		m.now += uint32(rnd(3))
	}
	tx := m.s.Begin([]byte(key), m.now)
	defer tx.End()
	it, ok := m.alive(key)
	if !tx.Found() && ok && !m.exact {
		delete(m.items, key) // evicted
		ok = false
	}
	require.Equal(t, ok, tx.Found(), key)
	if ok {
		require.Equal(t, it.value, string(tx.AppendValue(nil)))
		require.Equal(t, it.meta, *tx.Meta())
		require.Equal(t, len(it.value), tx.Len())
	}
	switch op := rnd(12); {
	case op < 5:
		m.cas++
		it = modelItem{value: m.value(rnd), meta: Meta{CAS: m.cas, ClientFlags: uint32(rnd(2) * 7), Expiry: m.expiry(rnd)}}
		require.True(t, tx.Put(it.meta, []byte(it.value)))
		it.meta.Access = m.now
		m.items[key] = it
	case !ok:
	case op < 7:
		tx.Bump()
		it.meta.Access = m.now
		it.meta.Bits |= Fetched
		m.items[key] = it
	case op == 7:
		tx.Delete()
		delete(m.items, key)
	case op == 8:
		m.cas++
		meta := tx.Meta()
		meta.CAS, meta.Expiry, meta.Bits = m.cas, m.expiry(rnd), Bits(rnd(16))
		access := it.meta.Access
		it.meta = *meta
		it.meta.Access = access
		m.items[key] = it
	case op == 9 && len(it.value) < 6000:
		m.cas++
		it.meta = Meta{CAS: m.cas, Expiry: m.expiry(rnd)}
		a, c := strings.Repeat("<", rnd(40)), strings.Repeat(">", rnd(40))
		require.True(t, tx.Extend(it.meta, []byte(a), []byte(c)))
		it.value, it.meta.Access = a+it.value+c, m.now
		m.items[key] = it
	case op == 10 && len(it.value) > 3:
		tx.Overwrite([]byte("123"))
		it.value = "123" + strings.Repeat(" ", len(it.value)-3)
		m.items[key] = it
	}
}

func (m *model) value(rnd func(n int) int) string {
	n := rnd(200)
	if rnd(20) == 0 {
		n = rnd(7000)
	}
	return strings.Repeat(string(rune('a'+rnd(26))), n)
}

func (m *model) expiry(rnd func(n int) int) uint32 {
	if rnd(3) > 0 {
		return 0
	}
	return m.now + uint32(rnd(20))
}

func newModel(t require.TestingT, cfg Config) *model {
	s, err := New(cfg)
	require.NoError(t, err)
	return &model{s: s, items: map[string]modelItem{}, now: 2}
}

var modelConfigs = map[string]Config{
	"ample":  {MaxBytes: 4 << 20, MaxItemBytes: 64 << 10},
	"kept":   {MaxBytes: 4 << 20, MaxItemBytes: 64 << 10, NoEvict: true},
	"lru":    {MaxBytes: 24 << 10, MaxItemBytes: 8 << 10},
	"s3fifo": {MaxBytes: 24 << 10, MaxItemBytes: 8 << 10, Policy: S3FIFO},
	"lfu":    {MaxBytes: 24 << 10, MaxItemBytes: 8 << 10, Policy: LFU},
}

// TestModel compares with a map of items with TTLs, versions and marks.
func TestModel(t *testing.T) {
	for name, cfg := range modelConfigs {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				m := newModel(t, cfg)
				m.exact = name == "ample" || cfg.NoEvict
				draw := rapid.IntRange(0, 1<<30)
				for range rapid.IntRange(0, 60).Draw(t, "steps") {
					m.step(t, func(n int) int { return draw.Draw(t, "x") % n })
					m.sometimes(t, func(n int) int { return draw.Draw(t, "y") % n })
				}
				checkStore(t, m.s)
				require.LessOrEqual(t, m.s.Stats().Held, uint64(cfg.MaxBytes))
			})
		})
	}
}

// sometimes flushes and sweeps.
func (m *model) sometimes(t require.TestingT, rnd func(n int) int) {
	switch rnd(300) {
	case 0:
		m.s.Clear()
		clear(m.items)
		m.flush = 0
	case 1, 2:
		for key := range m.items {
			m.alive(key)
		}
		m.flush = m.now + uint32(rnd(5))
		m.s.FlushAt(m.flush, m.now)
	case 3, 4, 5:
		m.s.Sweep(m.now)
	}
}

// TestModelLong does a million steps in all.
func TestModelLong(t *testing.T) {
	for name, cfg := range modelConfigs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seed := uint64(os.Getpid())
			rng := rand.New(rand.NewPCG(seed, 1))
			t.Logf("seed %d", seed)
			m := newModel(t, cfg)
			m.exact = name == "ample" || cfg.NoEvict
			for i := range scaled(1_000_000 / len(modelConfigs)) {
				m.step(t, rng.IntN)
				m.sometimes(t, rng.IntN)
				if i%1000 == 0 {
					checkStore(t, m.s)
					require.LessOrEqual(t, m.s.Stats().Held, uint64(cfg.MaxBytes))
				}
			}
		})
	}
}
