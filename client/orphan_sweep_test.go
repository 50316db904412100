package client_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/memproto"
	"github.com/memherd/memherd/nodeserver"
)

// A lease is given back and its stub removed, but that answer is lost with the connection. Somebody wins at once and loads: that
// stub has another token, and is left alone.
func TestASweepLeavesTheNextLeaseAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogged(t, 1)
		var once atomic.Bool
		l.decide(func(_ string, r *memproto.Request) nodeserver.Verdict {
			return nodeserver.Verdict{DropAfter: r.Cmd == memproto.CmdMetaDelete && once.CompareAndSwap(false, true)}
		})
		cfg := client.Config{LeaseTTL: time.Minute}
		a, b, c := l.client(cfg), l.client(cfg), l.client(cfg)
		require.NoError(t, a.Release(t.Context(), won(t, a, "k")))
		lease, _ := patient(t, b, "k")
		require.Equal(t, "won", lease.State.String())
		for began := time.Now(); time.Since(began) < 2*time.Second; time.Sleep(10 * time.Millisecond) {
			other, err := c.Lease(t.Context(), "k", client.LeaseOptions{})
			require.NoError(t, err)
			require.Equal(t, "wait", other.State.String())
		}
		_, err := b.Fill(t.Context(), lease, client.Item{Value: []byte("v")})
		require.NoError(t, err)
		require.Zero(t, a.Counters().Orphans)
		l.closeAll(a, b, c)
	})
}

// Ten thousand are given back on a connection that dies, to a node that takes 20 ms for each 128: they are freed bit by bit.
func TestManyOrphansAreSwept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const keys, takes = 10_000, 20 * time.Millisecond
		l := newLogged(t, 1)
		var drop, slow atomic.Bool
		var asked atomic.Int64
		l.decide(func(_ string, r *memproto.Request) nodeserver.Verdict {
			if r.Cmd == memproto.CmdMetaDelete && drop.CompareAndSwap(true, false) {
				slow.Store(true)
				return nodeserver.Verdict{Delay: 50 * time.Millisecond, Drop: true}
			}
			if slow.Load() && asked.Add(1)%128 == 0 {
				return nodeserver.Verdict{Delay: takes}
			}
			return nodeserver.Verdict{}
		})
		a := l.client(client.Config{LeaseTTL: time.Minute, ConnsPerNode: 1})
		leases := make([]client.Lease, keys)
		for i := range leases {
			leases[i] = won(t, a, fmt.Sprint("k", i))
		}
		drop.Store(true)
		for i := range leases {
			require.NoError(t, a.Release(t.Context(), leases[i]))
		}
		// A request for the token and a delete each, and twice as long for what is between them.
		time.Sleep(2*client.DefaultTimeout + 4*takes*keys/128)
		synctest.Wait()
		require.Greater(t, a.Counters().Orphans, uint64(keys*9/10))
		l.closeAll(a)
	})
}

// Connections die again and again, each with a lease that was given back. The first is freed nevertheless.
func TestOrphansDoNotWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogged(t, 1)
		var first atomic.Bool
		l.decide(func(_ string, r *memproto.Request) nodeserver.Verdict {
			return nodeserver.Verdict{Drop: r.Cmd == memproto.CmdMetaDelete && (string(r.Key) != "k" || first.CompareAndSwap(false, true))}
		})
		cfg := client.Config{LeaseTTL: time.Minute}
		a, b := l.client(cfg), l.client(cfg)
		require.NoError(t, a.Release(t.Context(), won(t, a, "k")))
		free := false
		for i := 0; i < 30 && !free; i++ {
			time.Sleep(400 * time.Millisecond) // sooner than they may be looked for after each
			require.NoError(t, a.Release(t.Context(), won(t, a, fmt.Sprint("other", i))))
			lease, err := b.Lease(t.Context(), "k", client.LeaseOptions{})
			require.NoError(t, err)
			free = lease.State.String() == "won"
		}
		require.True(t, free)
		l.closeAll(a, b)
	})
}
