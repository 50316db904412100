package client_test

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/memproto"
	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/ring"
)

// A counter that meets the stub of another client is not told that it is no number: nothing was
// counted, and it may be a moment later. Who meets it need not know why the stub is there.
func TestACounterMeetsAStub(t *testing.T) {
	onEveryHerd(t, func(t *testing.T, h *herd) {
		c, other := h.client(), h.client()
		l := won(t, other, "k")
		_, err := c.Increment(t.Context(), "k", 1)
		require.ErrorIs(t, err, client.ErrOwnerDown)
		require.NotErrorIs(t, err, client.ErrNotNumber)
		require.True(t, client.SafeToRetry(err))
		_, err = other.Fill(t.Context(), l, client.Item{Key: "k", Value: []byte("41")})
		require.NoError(t, err)
		sum, err := c.Increment(t.Context(), "k", 1)
		require.NoError(t, err)
		require.EqualValues(t, 42, sum)
		set(t, c, "k", "4x")
		_, err = c.Increment(t.Context(), "k", 1)
		require.ErrorIs(t, err, client.ErrNotNumber)
	})
}

// A lock that the old owner holds is not granted a second time, whatever keeps this client from seeing it there.
func TestRule10ALockThatCannotBeSeen(t *testing.T) {
	for name, unseen := range map[string]struct {
		verdict nodeserver.Verdict // of the old owner to reads
		cut     bool               // the old owner is cut off
		ttl     time.Duration
		tier0   bool
	}{
		"no answer":                          {verdict: nodeserver.Verdict{Drop: true}},
		"late answer":                        {verdict: nodeserver.Verdict{Delay: time.Minute}},
		"cut off":                            {cut: true},
		"about to end":                       {ttl: client.DefaultAnnounce + time.Second},
		"a node that can't say when it ends": {tier0: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var unable atomic.Bool
				old := "node0"
				f := newMemFleet(t, 0, nodeserver.Config{})
				for i := range 3 {
					name := fmt.Sprint("node", i)
					f.names = append(f.names, name)
					f.config.Profile = nodeserver.ProfileNewest
					if unseen.tier0 && name == old {
						f.config.Profile = nodeserver.Profile15
					}
					f.config.Intercept = func(_ net.Addr, r *memproto.Request) nodeserver.Verdict {
						if name == old && r.Cmd == memproto.CmdMetaGet && strings.HasPrefix(string(r.Key), "key") && unable.Load() {
							return unseen.verdict
						}
						return nodeserver.Verdict{}
					}
					f.start(name)
				}
				c := f.client(client.Config{Nodes: f.nodes()[:2]})
				key := onNode(t, []string{old}, f.nodes()[:2])
				lock := client.Item{Key: key, Value: []byte("holder"), TTL: cmp.Or(unseen.ttl, time.Hour)}
				_, err := c.Add(t.Context(), lock)
				require.NoError(t, err)
				require.NoError(t, c.SetNodes(f.nodes()[1:]))
				time.Sleep(client.DefaultAnnounce)
				if unseen.ttl == 0 {
					time.Sleep(client.DefaultAnnounce + time.Second) // before, it is refused anyway
				}
				unable.Store(true)
				if unseen.cut {
					f.network.Partition(old, true)
				}
				_, err = c.Add(t.Context(), lock)
				if !errors.Is(err, client.ErrNotStored) { // it has been brought just before its end
					require.ErrorIs(t, err, client.ErrOwnerDown)
					require.True(t, client.SafeToRetry(err))
				}
				closeFleet(t, f, c)
			})
		})
	}
}

// A counter moves to a node that was a copy of it before, whatever other keys have been brought there.
func TestRule10ACounterIsBroughtWhateverElseWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newMemFleet(t, 4, nodeserver.Config{})
		c := f.client(client.Config{Nodes: f.nodes()[:3], ReplicationFactor: 2})
		before := ringOf(t, ring.Config{Nodes: f.nodes()[:3], Copies: 2})
		after := ringOf(t, ring.Config{Nodes: f.nodes()[1:], Copies: 2})
		// Two keys that the client takes for one where it remembers what it has brought.
		const bits = 1 << 18
		seen := map[uint64]string{}
		var first, counter string
		for i := 0; counter == ""; i++ {
			key := fmt.Sprint("key", i)
			was := before.Lookup(key)
			if before.Nodes()[was[0]].Name != "node0" || before.Nodes()[was[1]].Name != "node1" || after.Owner(key).Name != "node1" {
				continue
			}
			bit := after.Hash(key) % bits
			if other, ok := seen[bit]; ok {
				first, counter = other, key
			}
			seen[bit] = key
		}
		set(t, c, first, "v")
		set(t, c, counter, "1")
		sum, err := c.Increment(t.Context(), counter, 1) // now on its owner alone
		require.NoError(t, err)
		require.EqualValues(t, 2, sum)
		only := f.client(client.Config{Nodes: f.nodes()[1:2]})
		_, err = only.Delete(t.Context(), first)
		require.NoError(t, err)
		require.NoError(t, c.SetNodes(f.nodes()[1:]))
		time.Sleep(30 * time.Second)
		require.Equal(t, "v", get(t, c, first)) // brought back, which takes the bit
		time.Sleep(5 * time.Second)
		sum, err = c.Increment(t.Context(), counter, 1)
		require.NoError(t, err)
		require.EqualValues(t, 3, sum)
		closeFleet(t, f, c, only)
	})
}
