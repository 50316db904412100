package hotkey

import (
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/stretchr/testify/require"
)

func hashOf(key string) uint64 { return xxhash.Sum64String(key) }

// What was given to Put stays its giver's, and what is held is no part of any other value.
func TestPutKeepsBytesOfItsOwn(t *testing.T) {
	n := newNear(t, Config{Staleness: time.Hour})
	mine := []byte("value")
	require.True(t, n.Put(hashOf("k"), "k", Value{Bytes: mine}, n.Generation(hashOf("k")), time.Now()))
	copy(mine, "XXXXX")
	v, ok := n.get("k")
	require.True(t, ok)
	require.Equal(t, "value", string(v.Bytes))
	_ = append(v.Bytes, "more"...) // who appends gets memory of his own
	again, _ := n.get("k")
	require.Equal(t, "value", string(again.Bytes))
	require.Equal(t, len(again.Bytes), cap(again.Bytes), "room behind a value would be shared, too")
	n.DropAll()
}
