package client_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/memproto"
	"github.com/memherd/memherd/nodeserver"
)

// orphaning is a fleet in a bubble whose nodes drop the connection after they have
// executed one request that drop chooses.
func orphaning(t *testing.T, n int, drop func(node string, r *memproto.Request) bool, run func(t *testing.T, l *logged, armed *atomic.Bool)) {
	synctest.Test(t, func(t *testing.T) {
		l, armed := newLogged(t, n), new(atomic.Bool)
		l.decide(func(node string, r *memproto.Request) nodeserver.Verdict {
			return nodeserver.Verdict{DropAfter: drop(node, r) && armed.CompareAndSwap(true, false)}
		})
		run(t, l, armed)
	})
}

// patient asks for the lease until it need not wait any more, and returns how long that
// took.
func patient(t *testing.T, c *client.Client, key string) (client.Lease, time.Duration) {
	start := time.Now()
	for {
		lease, err := c.Lease(context.Background(), key, client.LeaseOptions{})
		if err == nil && lease.State.String() != "wait" {
			return lease, time.Since(start)
		}
		require.Less(t, time.Since(start), time.Minute)
		time.Sleep(10 * time.Millisecond)
	}
}

// A lease request is executed and its reply lost with the connection. Nobody has won, and
// nobody waits for the end of the lease: the stub is removed once what was on its way has
// run.
func TestALeaseLostWithItsConnectionIsFreed(t *testing.T) {
	for _, copies := range []int{1, 2} {
		leaseRead := func(_ string, r *memproto.Request) bool {
			return r.Cmd == memproto.CmdMetaGet && r.Flags.Has(memproto.FlagN)
		}
		orphaning(t, copies, leaseRead, func(t *testing.T, l *logged, armed *atomic.Bool) {
			cfg := client.Config{ReplicationFactor: copies, LeaseTTL: time.Minute}
			a, b := l.client(cfg), l.client(cfg)
			require.NoError(t, a.Ping(t.Context()))
			require.NoError(t, b.Ping(t.Context()))
			armed.Store(true)
			lease, err := a.Lease(t.Context(), "k", client.LeaseOptions{})
			require.NoError(t, err)
			require.False(t, armed.Load())
			if lease.State.String() == "won" {
				// On the other copy; b may be told to wait for it until it is filled.
				require.Equal(t, 2, copies)
				_, err = a.Fill(t.Context(), lease, client.Item{Value: []byte("v")})
				require.NoError(t, err)
			}
			_, took := patient(t, b, "k")
			require.LessOrEqual(t, took, 3*client.DefaultTimeout)
			l.closeAll(a, b)
		})
	}
}

// The same for a caller that had left, for a fill that is lost before it runs, and for a
// win that can't be given back because its connection is dead.
func TestOtherWaysToOrphanAStub(t *testing.T) {
	cfg := client.Config{LeaseTTL: time.Minute}
	free := func(t *testing.T, l *logged, a *client.Client) {
		b := l.client(cfg)
		_, took := patient(t, b, "k")
		require.LessOrEqual(t, took, 4*client.DefaultTimeout)
		synctest.Wait() // b may see the stub gone before a has read that it is
		require.EqualValues(t, 1, a.Counters().Orphans)
		l.closeAll(a, b)
	}
	t.Run("left", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l := newLogged(t, 1)
			var once atomic.Bool
			l.decide(func(_ string, r *memproto.Request) nodeserver.Verdict {
				if r.Cmd == memproto.CmdMetaGet && r.Flags.Has(memproto.FlagN) && once.CompareAndSwap(false, true) {
					return nodeserver.Verdict{Delay: 100 * time.Millisecond, DropAfter: true}
				}
				return nodeserver.Verdict{}
			})
			a := l.client(cfg)
			require.NoError(t, a.Ping(t.Context()))
			_, err := a.Lease(patience(t), "k", client.LeaseOptions{})
			require.ErrorIs(t, err, context.DeadlineExceeded)
			time.Sleep(200 * time.Millisecond)
			free(t, l, a)
		})
	})
	t.Run("fill", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l := newLogged(t, 1)
			l.decide(func(_ string, r *memproto.Request) nodeserver.Verdict {
				return nodeserver.Verdict{Drop: r.Cmd == memproto.CmdMetaSet}
			})
			a := l.client(cfg)
			lease := won(t, a, "k")
			_, err := a.Fill(t.Context(), lease, client.Item{Value: []byte("v")})
			require.ErrorIs(t, err, client.ErrConnLost)
			free(t, l, a)
		})
	})
	t.Run("fill, and another has won since", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l := newLogged(t, 1)
			var once atomic.Bool
			l.decide(func(_ string, r *memproto.Request) nodeserver.Verdict {
				return nodeserver.Verdict{Drop: r.Cmd == memproto.CmdMetaSet && once.CompareAndSwap(false, true)}
			})
			a, b := l.client(cfg), l.client(cfg)
			lease := won(t, a, "k")
			_, err := a.Fill(t.Context(), lease, client.Item{Value: []byte("v")})
			require.ErrorIs(t, err, client.ErrConnLost)
			_, err = b.Delete(t.Context(), "k")
			require.NoError(t, err)
			lease = won(t, b, "k")
			time.Sleep(20 * client.DefaultTimeout) // a has looked
			_, err = b.Fill(t.Context(), lease, client.Item{Value: []byte("v")})
			require.NoError(t, err, "its stub is still there")
			require.Zero(t, a.Counters().Orphans)
			l.closeAll(a, b)
		})
	})
	// The connection takes what gives the lease back, and dies.
	for name, drop := range map[string]nodeserver.Verdict{"handed back, not executed": {Drop: true}, "handed back, executed": {DropAfter: true}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLogged(t, 1)
				var once atomic.Bool
				l.decide(func(_ string, r *memproto.Request) nodeserver.Verdict {
					if r.Cmd == memproto.CmdMetaDelete && once.CompareAndSwap(false, true) {
						return drop
					}
					return nodeserver.Verdict{}
				})
				a, b := l.client(cfg), l.client(cfg)
				require.NoError(t, a.Release(t.Context(), won(t, a, "k")))
				_, took := patient(t, b, "k")
				require.LessOrEqual(t, took, 4*client.DefaultTimeout)
				synctest.Wait()
				if drop.Drop {
					require.EqualValues(t, 1, a.Counters().Orphans)
				}
				l.closeAll(a, b)
			})
		})
	}
	t.Run("release", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l := newLogged(t, 1)
			var drop atomic.Bool
			l.decide(func(_ string, r *memproto.Request) nodeserver.Verdict {
				return nodeserver.Verdict{Drop: drop.Load() && r.Cmd == memproto.CmdMetaGet}
			})
			a := l.client(cfg)
			lease := won(t, a, "k")
			drop.Store(true)
			_, err := a.Get(t.Context(), "other")
			require.Error(t, err)
			drop.Store(false)
			require.NoError(t, a.Release(t.Context(), lease))
			free(t, l, a)
		})
	})
}
