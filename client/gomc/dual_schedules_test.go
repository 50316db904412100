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

// paced is a placement on which something else happens after its Set and after its Delete.
type paced struct {
	Placement
	set, deleted func()
}

func (p paced) Set(it *memcache.Item) error {
	defer p.set()
	return p.Placement.Set(it)
}

func (p paced) Delete(key string) error {
	defer p.deleted()
	return p.Placement.Delete(key)
}

// TestDualSetBringsNothingBack: a Set at OldFirst that another process overtakes, once its value is in the old placement, does not put
// that there again.
func TestDualSetBringsNothingBack(t *testing.T) {
	onBoth(t, func(t *testing.T, addr func() string) {
		before, servers := []string{addr()}, []string{addr(), addr()}
		for _, stage := range []Stage{OldFirst, NewFirst} {
			slow, other := newDualOf(t, before, servers, 2, OldFirst), newDualOf(t, before, servers, 2, stage)
			key, overtaken := stage.String(), slow.old
			slow.old = paced{Placement: overtaken, set: func() { require.NoError(t, other.Delete(key)) }}
			require.NoError(t, slow.Set(&memcache.Item{Key: key, Value: []byte("slow")}))
			require.Equal(t, memcache.ErrCacheMiss.Error(), text(slow.Get(key)), "deleted by one at %v", stage)

			// One after whose delete the slow one goes on.
			in, out := make(chan struct{}), make(chan struct{})
			slow.old = paced{Placement: overtaken, set: func() { in <- struct{}{}; <-in }}
			other.old = paced{Placement: other.old, deleted: func() { in <- struct{}{}; <-out }}
			go func() {
				defer close(out)
				if err := slow.Set(&memcache.Item{Key: key, Value: []byte("slow")}); err != nil {
					t.Error(err)
				}
			}()
			<-in
			require.NoError(t, other.SetStage(NewFirst))
			require.NoError(t, other.Set(&memcache.Item{Key: key, Value: []byte("last")}))
			require.Equal(t, "last 0", text(other.Get(key)))
			require.Equal(t, memcache.ErrCacheMiss.Error(), text(slow.Get(key)), "a load, no value from before")
		}
	})
}
