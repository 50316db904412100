package client_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/memproto"
	"github.com/memherd/memherd/nodeserver"
)

// A write-through that takes longer than hold may have passed who restores a copy meanwhile: it ends in a delete. With one copy nobody restores any, unless the
// key is moving.
func TestRule4AWriteThroughThatTakesLongIsADelete(t *testing.T) {
	for name, x := range map[string]struct {
		copies int
		takes  time.Duration
		moving bool
		stored bool
	}{
		"two copies":        {2, 1200 * time.Millisecond, false, false},
		"two copies, quick": {2, 800 * time.Millisecond, false, true},
		"one copy":          {1, 1200 * time.Millisecond, false, true},
		"one copy, moving":  {1, 1200 * time.Millisecond, true, false},
	} {
		for _, how := range []string{"Fill", "FillKeep", "SetKeep"} {
			if x.moving && how == "SetKeep" {
				continue // it takes tokens then, and is FillKeep
			}
			t.Run(name+", "+how, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l := newLogged(t, 4)
					c := l.client(client.Config{Nodes: l.nodes()[:3], ReplicationFactor: x.copies, Timeout: 5 * time.Second})
					set(t, c, "k", "old")
					if x.moving {
						require.NoError(t, c.SetNodes(l.nodes()))
					}
					lease, err := c.LeaseWrite(t.Context(), "k")
					require.NoError(t, err)
					l.decide(func(_ string, r *memproto.Request) (v nodeserver.Verdict) {
						if r.Cmd == memproto.CmdMetaSet && string(r.Key) == "k" {
							v.Delay = x.takes
							if how != "SetKeep" {
								v.Delay /= time.Duration(x.copies) // one after the other
							}
						}
						return v
					})
					switch it := (client.Item{Key: "k", Value: []byte("new")}); how {
					case "Fill":
						_, err = c.Fill(t.Context(), lease, it)
					case "FillKeep":
						_, _, err = c.FillKeep(t.Context(), lease, it)
					case "SetKeep":
						_, _, err = c.SetKeep(t.Context(), it)
					}
					want := "HD\r\n"
					if x.stored {
						require.NoError(t, err)
					} else {
						require.ErrorIs(t, err, client.ErrLeaseLost)
						want = "EN\r\n"
					}
					r := c.Ring()
					for _, at := range r.Lookup("k") {
						require.Equal(t, want, l.line(r.Nodes()[at].Name, "mg k\r\n"))
					}
					l.closeAll(c)
				})
			})
		}
	}
}

// Tokens for a write-through from before a change of the fleet store nothing after it: the key is deleted.
func TestRule17ALeaseForWriteEndsWithItsPlacement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogged(t, 4)
		c := l.client(client.Config{Nodes: l.nodes()[:3], ReplicationFactor: 2})
		leases := map[string]client.Lease{}
		for _, key := range keys("k") {
			set(t, c, key, "old")
			lease, err := c.LeaseWrite(t.Context(), key)
			require.NoError(t, err)
			leases[key] = lease
		}
		require.NoError(t, c.SetNodes(l.nodes()))
		time.Sleep(client.DefaultAnnounce + time.Second)
		for key, lease := range leases {
			_, err := c.Fill(t.Context(), lease, client.Item{Value: []byte("new")})
			require.ErrorIs(t, err, client.ErrLeaseLost)
			for _, name := range l.names {
				require.Equal(t, "EN\r\n", l.line(name, "mg "+key+"\r\n"))
			}
		}
		l.closeAll(c)
	})
}

// A copy that is down counts: it is owed a delete of what it has missed.
func TestRule8AWriteThroughCountsACopyThatIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogged(t, 2)
		c := l.client(client.Config{ReplicationFactor: 2, Timeout: 100 * time.Millisecond})
		set(t, c, "k", "old")
		other := l.placed(2, "k")[1]
		l.network.Partition(other, true)
		set(t, c, "found", "v")
		require.Equal(t, "down", stateOf(c, other))
		lease, err := c.LeaseWrite(t.Context(), "k")
		require.NoError(t, err)
		require.Len(t, lease.Tokens, 1)
		out, err := c.Fill(t.Context(), lease, client.Item{Value: []byte("new")})
		require.NoError(t, err)
		require.Equal(t, client.Outcome{Copies: 2, Confirmed: 1, Owed: 1}, out)
		require.Equal(t, "new", get(t, c, "k"))
		l.network.Partition(other, false)
		time.Sleep(10 * time.Second)
		require.Equal(t, "EN\r\n", l.line(other, "mg k\r\n"), "it has heard of it")
		l.closeAll(c)
	})
}

// A home copy that has as much to do as it may have is not sent the fill. The caller is told that nothing was sent only if no other copy was, either.
func TestAFillThatAnyCopyHasHeardIsNotSafeToRetry(t *testing.T) {
	for _, heard := range []bool{true, false} {
		t.Run(fmt.Sprint(heard), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLogged(t, 2)
				c := l.client(client.Config{ReplicationFactor: 2, MaxInFlight: 1, Timeout: 5 * time.Second})
				lease := won(t, c, "k")
				busy := l.placed(2, "k")
				if heard {
					busy = busy[:1]
				}
				l.decide(func(_ string, r *memproto.Request) (v nodeserver.Verdict) {
					if r.Cmd == memproto.CmdMetaGet {
						v.Delay = time.Second
					}
					return v
				})
				var wg sync.WaitGroup
				for _, name := range busy {
					key := "read"
					for l.placed(2, key)[0] != name {
						key += "x"
					}
					wg.Go(func() { _, _ = c.Get(context.Background(), key) })
				}
				synctest.Wait()
				l.take()
				_, err := c.Fill(t.Context(), lease, client.Item{Value: []byte("v")})
				require.ErrorIs(t, err, client.ErrBusy)
				require.Equal(t, !heard, client.SafeToRetry(err), "%v", err)
				require.Equal(t, heard, len(l.take()) > 0)
				wg.Wait()
				time.Sleep(5 * time.Second)
				l.closeAll(c)
			})
		})
	}
}
