package client_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/memproto"
	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/ring"
)

// While a list that others may go by is told, a key's owner then and now hears of a delete before its new copy, and who fills
// the owner from that waits for hold. For one Announce more he does, for the sake of who hears of changes later; in that time the
// owner is deleted last, or those who are later would go on with the order when the others have stopped with the waiting.
// (Found by the simulated changes with kills, seeds 119 and 327.)
func TestRule17TheOrderEndsBeforeTheWaiting(t *testing.T) {
	const announce, window = 2 * time.Second, 5 * time.Second
	// The other copy was on a node that has left, or on one that is still there and hears of deletes for as long as the list is remembered.
	for _, other := range []string{"node0", "node1", "node2"} {
		t.Run(other, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, heard := heardBy(t, 4)
				before, after := f.nodes()[:3], f.nodes()[1:]
				old := ringOf(t, ring.Config{Nodes: before, Copies: 2})
				now := ringOf(t, ring.Config{Nodes: after, Copies: 2})
				key := ""
				for i := 0; key == ""; i++ {
					k := fmt.Sprint("key", i)
					if copies := now.Lookup(k); old.Owner(k).Name == now.Owner(k).Name && now.Nodes()[copies[1]].Name == "node3" && old.Nodes()[old.Lookup(k)[1]].Name == other {
						key = k
					}
				}
				c := f.client(client.Config{Nodes: before, ReplicationFactor: 2, Announce: announce, MigrationWindow: window})
				set(t, c, key, "v")
				order := func() []string {
					heard()
					_, err := c.Delete(t.Context(), key)
					require.NoError(t, err)
					return heard()
				}
				require.NoError(t, c.SetNodes(after))
				time.Sleep(announce + window + announce/2)
				told := order()
				require.Equal(t, "node3", told[len(told)-1])
				time.Sleep(announce)
				waited := order()
				require.Contains(t, waited, "node3")
				require.Equal(t, now.Owner(key).Name, waited[len(waited)-1])
				closeFleet(t, f, c)
			})
		})
	}
}

// A reader who has looked whether a node may be read, before the first connection told that it has missed something, and who comes to
// send his request when another caller has made the next connection, looks once more.
func TestRule17ALookBeforeTheNodeWasMet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newMemFleet(t, 3, nodeserver.Config{})
		const window = time.Minute
		c := f.client(client.Config{MigrationWindow: window})
		key := onNode(t, []string{"node0", "node0"}, f.nodes(), f.nodes())
		set(t, c, key, "old")
		require.NoError(t, c.SetNodes(f.nodes()[1:]))
		time.Sleep(client.DefaultAnnounce + 10*window)
		_, err := c.Delete(t.Context(), key)
		require.NoError(t, err)
		require.NoError(t, c.SetNodes(f.nodes()))
		time.Sleep(2 * time.Minute)
		require.True(t, c.Nodes()[0].DebtOverflow, "it is known to have missed something")
		met := 0
		for step := 1; step < 6; step++ {
			starts := f.client(client.Config{MigrationWindow: window})
			heavier := slices.Clone(f.nodes())
			heavier[2].Weight = 2
			require.NoError(t, starts.SetNodes(heavier)) // or it would wait for the nodes first
			ctx := &at{t.Context(), step, func() {
				_, err := starts.Get(t.Context(), key)
				require.Error(t, err)
				for starts.Nodes()[0].Conns == 0 {
					_, _ = starts.Delete(t.Context(), key+"2")
					_, _ = starts.Delete(t.Context(), "another")
					time.Sleep(time.Millisecond)
				}
				met++
			}}
			found, _ := starts.GetMulti(ctx, []string{key})
			require.Empty(t, found, "step %d", step)
			require.NoError(t, starts.Close())
		}
		require.NotZero(t, met)
		closeFleet(t, f, c)
	})
}

// switchedFirst has early hear of the whole fleet four seconds before late, and waits until it has switched and late has not.
func switchedFirst(t *testing.T, f *memFleet, early, late *client.Client) {
	require.NoError(t, early.Ping(t.Context()))
	require.NoError(t, early.SetNodes(f.nodes()))
	time.Sleep(4 * time.Second)
	require.NoError(t, late.SetNodes(f.nodes()))
	time.Sleep(client.DefaultAnnounce - 4*time.Second + 100*time.Millisecond)
}

// A read-modify-write whose caller has left while a list is announced: what another client, which has switched, has copied to the new owner
// before it was carried out does not stay.
func TestRule17AnAbandonedReadModifyWriteInTheSkew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newMemFleet(t, 2, nodeserver.Config{Intercept: func(_ net.Addr, r *memproto.Request) (v nodeserver.Verdict) {
			if r.Cmd == memproto.CmdMetaArith {
				v.Delay = 600 * time.Millisecond
			}
			return v
		}})
		cfg := client.Config{Nodes: f.nodes()[:1], Timeout: 2 * time.Second}
		late, early := f.client(cfg), f.client(cfg)
		defer closeFleet(t, f, late, early)
		key := onNode(t, []string{"node0", "node1"}, f.nodes()[:1], f.nodes())
		set(t, late, key, "41")
		switchedFirst(t, f, early, late)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, err := late.Increment(ctx, key, 1)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, "41", get(t, early, key), "not counted yet; it is brought to the new owner")
		time.Sleep(2 * client.DefaultAnnounce)
		require.Equal(t, "42", get(t, late, key))
		require.Equal(t, "42", get(t, early, key))
	})
}

// A set whose caller has left while a list is announced: what another client, which has switched, has copied to the new owner before it was
// carried out does not stay.
func TestRule17AnAbandonedSetInTheSkew(t *testing.T) {
	for name, write := range setters {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				newer := strings.Repeat("new", 20<<10) // it goes out on another connection than deletes
				f := newMemFleet(t, 2, nodeserver.Config{Intercept: func(_ net.Addr, r *memproto.Request) (v nodeserver.Verdict) {
					if r.Cmd == memproto.CmdMetaSet && string(r.Value) == newer {
						v.Delay = 600 * time.Millisecond
					}
					return v
				}})
				cfg := client.Config{Nodes: f.nodes()[:1], Timeout: 2 * time.Second}
				late, early := f.client(cfg), f.client(cfg)
				defer closeFleet(t, f, late, early)
				key := onNode(t, []string{"node0", "node1"}, f.nodes()[:1], f.nodes())
				older := strings.Repeat("old", 20<<10)
				set(t, late, key, older)
				switchedFirst(t, f, early, late)
				ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
				defer cancel()
				require.ErrorIs(t, write(ctx, late, client.Item{Key: key, Value: []byte(newer)}), context.DeadlineExceeded)
				_, _ = early.Get(t.Context(), key) // not carried out yet; what is there is brought to the new owner
				time.Sleep(2 * client.DefaultAnnounce)
				for _, c := range []*client.Client{late, early} {
					it, err := c.Get(t.Context(), key)
					if !errors.Is(err, client.ErrCacheMiss) {
						require.NoError(t, err)
						require.True(t, newer == string(it.Value), "%.3s", it.Value)
					}
				}
			})
		})
	}
}
