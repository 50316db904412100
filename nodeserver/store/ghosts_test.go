package store

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestGhostsCount: what S3FIFO remembers of dropped items is part of the memory that is
// bounded, and when the bound falls there is still room for the largest item.
func TestGhostsCount(t *testing.T) {
	const largest = 64 << 10
	s := newStore(t, Config{MaxBytes: 4 << 20, MaxItemBytes: largest, Policy: S3FIFO})
	flood := func(from int) {
		value := make([]byte, 1000)
		for i := range 20_000 {
			tx := s.Begin(fmt.Appendf(nil, "key-%d", from+i), 2)
			require.True(t, tx.Put(Meta{}, value))
			tx.End()
		}
		checkStore(t, s)
		assert.LessOrEqual(t, s.Stats().Held, uint64(s.MaxBytes()))
		for i := range s.shards {
			sh := &s.shards[i]
			assert.Equal(t, ghostsHold(sh.maxBytes), sh.ghosts.held())
		}
	}
	flood(0)
	each := int64(largest + chunkBytes)
	n := int64(len(s.shards))
	assert.False(t, s.SetMaxBytes(n*each, 2), "no room for what is remembered")
	for ghostsHold(each) > each-largest-chunkBytes {
		each += 64
	}
	require.True(t, s.SetMaxBytes(n*each, 2))
	checkStore(t, s)
	flood(100_000)
	value := make([]byte, largest-headerBytes-8)
	for i := range 100 {
		key := fmt.Appendf(nil, "big-%04d", i)
		require.True(t, s.Fits(len(key), 0, len(value)))
		tx := s.Begin(key, 2)
		require.True(t, tx.Put(Meta{}, value))
		tx.End()
	}
	checkStore(t, s)
}

// TestGhostsComeBackAtOnce: an item that is stored again soon after it was dropped goes to
// the main queue, once; one that was dropped long ago does not.
func TestGhostsComeBackAtOnce(t *testing.T) {
	s := newStore(t, Config{MaxBytes: 1 << 20, MaxItemBytes: 4 << 10, Policy: S3FIFO})
	value := make([]byte, 900)
	put := func(key string) queue {
		tx := s.Begin([]byte(key), 2)
		defer tx.End()
		require.True(t, tx.Put(Meta{}, value))
		return tx.sh.segs[tx.addr>>tx.sh.offBits].queue
	}
	there := func(key string) bool {
		tx := s.Begin([]byte(key), 2)
		defer tx.End()
		return tx.Found()
	}
	assert.Equal(t, smallQueue, put("early"))
	n := 0
	for ; there("early"); n++ {
		put(fmt.Sprint("a", n))
	}
	assert.Equal(t, mainQueue, put("early"))
	assert.Equal(t, smallQueue, put("late"))
	for i := range 20 * n {
		put(fmt.Sprint("b", i))
	}
	require.False(t, there("late"))
	assert.Equal(t, smallQueue, put("late"))
}
