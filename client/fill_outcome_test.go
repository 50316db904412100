package client_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/item"
)

// A delete between a lease and its fill voids the token of the copy that it has reached. On another copy than the home copy that is counted, and
// no error; on the home copy the lease is lost, whatever the others took, and it is told.
func TestAFillTellsWhatBecameOfEachCopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogged(t, 3)
		var lost []string
		c := l.client(client.Config{ReplicationFactor: 2, Hooks: client.Hooks{LeaseLost: func(node string) { lost = append(lost, node) }}})
		for i, voids := range [][]int{{}, {1}, {0}, {0, 1}} {
			key := "key" + strings.Repeat("x", i)
			at := l.placed(2, key)
			lease := won(t, c, key)
			for _, void := range voids {
				l.line(at[void], "md "+key+"\r\n")
			}
			lost = nil
			before := c.Counters()
			out, err := c.Fill(t.Context(), lease, client.Item{Value: []byte("v")})
			require.Equal(t, client.Outcome{Copies: 2, Confirmed: 2 - len(voids), Refused: len(voids)}, out)
			home := len(voids) > 0 && voids[0] == 0
			if home {
				require.ErrorIs(t, err, client.ErrLeaseLost)
				require.False(t, client.SafeToRetry(err))
				require.Equal(t, []string{at[0]}, lost)
			} else {
				require.NoError(t, err)
				require.Empty(t, lost)
			}
			after := c.Counters()
			require.Equal(t, home, after.LeasesLost == before.LeasesLost+1)
			require.Equal(t, before.Fills+1, after.Fills)
			for j, name := range at {
				want := "HD"
				for _, void := range voids {
					if void == j {
						want = "EN"
					}
				}
				require.Equal(t, want+"\r\n", l.line(name, "mg "+key+"\r\n"))
			}
		}
		l.closeAll(c)
	})
}

// A lease from before a change of the fleet is void: what is stored by it would be on copies that are none any more. It is given back.
func TestRule17ALeaseEndsWithItsPlacement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogged(t, 4)
		c := l.client(client.Config{Nodes: l.nodes()[:3], ReplicationFactor: 2, LeaseTTL: time.Minute})
		leases := map[string]client.Lease{}
		for _, key := range keys("k") {
			leases[key] = won(t, c, key)
		}
		require.NoError(t, c.SetNodes(l.nodes()))
		time.Sleep(client.DefaultAnnounce + time.Second)
		l.take()
		for _, lease := range leases {
			_, err := c.Fill(t.Context(), lease, client.Item{Value: []byte("v")})
			require.ErrorIs(t, err, client.ErrLeaseLost)
		}
		time.Sleep(10 * time.Millisecond)
		for _, asked := range l.take() {
			require.NotContains(t, asked, " ms ")
		}
		for key := range leases {
			for _, name := range l.names {
				require.Equal(t, "EN\r\n", l.line(name, "mg "+key+"\r\n"), "of %s on %s", key, name)
			}
		}
		l.closeAll(c)
	})
}

// A copy that is down when its lease is filled keeps the stub that the lease has made there. When it is back somebody removes it: whoever reads there
// would wait for the rest of the lease.
func TestAFillRemembersTheStubOfACopyThatIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogged(t, 2)
		c := l.client(client.Config{ReplicationFactor: 2, LeaseTTL: time.Minute, Timeout: 100 * time.Millisecond})
		owner, other := l.placed(2, "k")[0], l.placed(2, "k")[1]
		lease := won(t, c, "k")
		require.Len(t, lease.Tokens, 2)
		l.network.Partition(other, true)
		_, err := c.Set(t.Context(), client.Item{Key: "found", Value: []byte("v")})
		require.NoError(t, err)
		require.Equal(t, "down", stateOf(c, other))
		out, err := c.Fill(t.Context(), lease, client.Item{Value: []byte("v")})
		require.NoError(t, err)
		require.Equal(t, 1, out.Confirmed)
		l.network.Partition(other, false)
		time.Sleep(10 * time.Second)
		require.Equal(t, "EN\r\n", l.line(other, "mg k\r\n"))
		require.Equal(t, "HD\r\n", l.line(owner, "mg k\r\n"))
		require.EqualValues(t, 1, c.Counters().Orphans)
		l.closeAll(c)
	})
}

// Only what was won is filled: the lease of one who has found a value, or is to wait, is nobody's right to store, and nothing is sent.
func TestALeaseThatWasNotWonIsNotFilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogged(t, 2)
		a, b := l.client(client.Config{ReplicationFactor: 2}), l.client(client.Config{ReplicationFactor: 2})
		set(t, a, "hit", "v")
		won(t, a, "wait")
		for key, state := range map[string]item.LeaseState{"hit": item.LeaseHit, "wait": item.LeaseWait} {
			lease, err := b.Lease(t.Context(), key, client.LeaseOptions{})
			require.NoError(t, err)
			require.Equal(t, state, lease.State)
			l.take()
			before := b.Counters()
			_, err = b.Fill(t.Context(), lease, client.Item{Value: []byte("mine")})
			require.ErrorIs(t, err, client.ErrLeaseLost)
			require.True(t, client.SafeToRetry(err), "nothing was sent")
			require.Equal(t, before, b.Counters())
			require.Empty(t, l.take())
		}
		l.closeAll(a, b)
	})
}
