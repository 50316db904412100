package gomc

import (
	"errors"
	"fmt"
	"testing"

	"github.com/bradfitz/gomemcache/memcache"
	"github.com/stretchr/testify/require"
)

// TestDualNewOnlyLeavesNothingForThoseBehind: what a process at NewOnly has deleted, or set and the new placement has
// lost since, a process at NewFirst does not find in the old placement.
func TestDualNewOnlyLeavesNothingForThoseBehind(t *testing.T) {
	onBoth(t, func(t *testing.T, addr func() string) {
		before, servers := []string{addr()}, []string{addr(), addr()}
		ahead, behind := newDualOf(t, before, servers, 2, NewOnly), newDualOf(t, before, servers, 2, NewFirst)
		for i := range 10 {
			key := fmt.Sprint("k", i)
			require.NoError(t, behind.old.Set(&memcache.Item{Key: key, Value: []byte("old")}))
			if i%2 == 0 {
				require.NoError(t, ahead.Delete(key))
			} else {
				require.NoError(t, ahead.Set(&memcache.Item{Key: key, Value: []byte("new")}))
				require.Equal(t, "new 0", text(behind.Get(key)))
				require.NoError(t, behind.new.Delete(key)) // as if it were evicted
			}
			require.Equal(t, memcache.ErrCacheMiss.Error(), text(behind.Get(key)), key)
		}
	})
}

// gone is a placement that was turned off.
type gone struct {
	Placement
	err error
}

func (g gone) Delete(string) error { return g.err }

// TestDualNewOnlyNeedsNoOldPlacement, which may be turned off before the last process has been rolled out anew.
func TestDualNewOnlyNeedsNoOldPlacement(t *testing.T) {
	onBoth(t, func(t *testing.T, addr func() string) {
		d := newDual(t, []string{addr()}, 1, NewOnly)
		d.old = gone{d.old, errors.New("connection refused")}
		require.NoError(t, d.Set(&memcache.Item{Key: "k", Value: []byte("v")}))
		require.Equal(t, "v 0", text(d.Get("k")))
		require.NoError(t, d.Delete("k"))
		require.Equal(t, memcache.ErrCacheMiss, d.Delete("k"))
	})
}
