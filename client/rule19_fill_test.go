package client_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/hotkey"
	"github.com/memherd/memherd/nodeserver"
)

// An own fill is seen at once: what memory holds from before is forgotten if it can't be replaced.
func TestRule19AFillReplacesWhatMemoryHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newMemFleet(t, 1, nodeserver.Config{})
		a := f.client(client.Config{HotKeys: &hotkey.Config{NearAll: true, Staleness: time.Second}})
		b := f.client(client.Config{})
		defer closeFleet(t, f, a, b)
		require.NoError(t, a.Ping(t.Context()))
		set(t, b, "k", "1")
		require.Equal(t, "1", get(t, a, "k"))
		_, err := b.Delete(t.Context(), "k")
		require.NoError(t, err)
		l, err := a.Lease(t.Context(), "k", client.LeaseOptions{NoNear: true})
		require.NoError(t, err)
		require.Equal(t, "won", l.State.String())
		for i := range 3000 { // one of them has its generation in common with k
			set(t, a, fmt.Sprint("other", i), "v")
		}
		_, err = a.Fill(t.Context(), l, client.Item{Value: []byte("2")})
		require.NoError(t, err)
		require.Equal(t, "2", get(t, a, "k"), "own writes are seen at once")
	})
}

func TestRule19AFillEndsARememberedMiss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newMemFleet(t, 1, nodeserver.Config{})
		a := f.client(client.Config{HotKeys: &hotkey.Config{Budget: -1, Staleness: time.Second}})
		defer closeFleet(t, f, a)
		require.NoError(t, a.Ping(t.Context()))
		for range 3 {
			for range 3000 {
				_, _ = a.Get(t.Context(), "k")
			}
		}
		before := a.NearStats().Misses
		_, err := a.Get(t.Context(), "k")
		require.ErrorIs(t, err, client.ErrCacheMiss)
		require.NotEqual(t, before, a.NearStats().Misses, "the miss is remembered")
		l, err := a.Lease(t.Context(), "k", client.LeaseOptions{})
		require.NoError(t, err)
		require.Equal(t, "won", l.State.String())
		for i := range 3000 {
			set(t, a, fmt.Sprint("other", i), "v")
		}
		_, err = a.Fill(t.Context(), l, client.Item{Value: []byte("2")})
		require.NoError(t, err)
		require.Equal(t, "2", get(t, a, "k"), "own writes are seen at once")
	})
}

// A remembered miss answers nobody who may load: it is not counted for who asks the node in spite of it.
func TestLeasesCountNoRememberedMisses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newMemFleet(t, 1, nodeserver.Config{})
		a := f.client(client.Config{HotKeys: &hotkey.Config{Budget: -1, Staleness: time.Second}})
		defer closeFleet(t, f, a)
		for range 9000 {
			_, _ = a.Get(t.Context(), "k")
		}
		for name, lease := range map[string]func(o client.LeaseOptions) (client.Lease, error){
			"Lease": func(o client.LeaseOptions) (client.Lease, error) { return a.Lease(t.Context(), "k", o) },
			"LeaseMulti": func(o client.LeaseOptions) (client.Lease, error) {
				ls, errs := a.LeaseMulti(t.Context(), []string{"k"}, o)
				return ls[0], errs[0]
			},
		} {
			misses := a.NearStats().Misses
			_, err := a.Get(t.Context(), "k")
			require.ErrorIs(t, err, client.ErrCacheMiss)
			require.Equal(t, misses+1, a.NearStats().Misses, "the miss is remembered")
			before := a.Counters()
			l, err := lease(client.LeaseOptions{})
			require.NoError(t, err)
			require.Equal(t, "won", l.State.String())
			after := a.Counters()
			require.Equal(t, before.Gets+1, after.Gets, name)
			require.Equal(t, before.Misses+1, after.Misses, name)
			require.Equal(t, misses+1, a.NearStats().Misses, name)
			require.NoError(t, a.Release(t.Context(), l))
			synctest.Wait()
		}
	})
}

// A miss of a hot key that another copy makes good is not remembered: who has just been given the value is not told that there is none.
func TestRule19AMissThatIsMadeGoodIsNotHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogged(t, 2)
		cfg := hot()
		cfg.NearAll, cfg.Staleness = true, time.Hour
		c := l.client(client.Config{ReplicationFactor: 2, HotKeys: cfg})
		defer l.closeAll(c)
		set(t, c, "k", "v")
		for range 20_000 { // until the detector is sure
			require.Equal(t, "v", get(t, c, "k"))
		}
		owner := l.placed(2, "k")[0]
		l.kill(owner)
		l.restart(owner)
		for c.Ping(t.Context()) != nil {
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(1100 * time.Millisecond)
		found, err := c.GetMulti(t.Context(), []string{"k"})
		require.NoError(t, err)
		require.Equal(t, "v", string(found["k"].Value), "from the other copy")
		require.Equal(t, "v", get(t, c, "k"))
	})
}
