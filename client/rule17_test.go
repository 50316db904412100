package client_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/nodeserver/stock"
	"github.com/memherd/memherd/ring"
)

// changing is a fleet of three nodes of which one is replaced: early's reads have switched
// already, late's go by the list before, and late knows of the new one.
type changing struct {
	early, late *client.Client
	r           int
	before      *ring.Ring
	after       *ring.Ring
}

// key is one whose owner is another after the change; kept says whether the new owner
// was a copy before.
func (c *changing) key(t *testing.T, kept bool) string {
	for i := range 100_000 {
		key := fmt.Sprint("key", i)
		old, now := c.before.Lookup(key), c.after.Lookup(key)
		owner := c.after.Nodes()[now[0]].Name
		was := false
		for _, at := range old {
			was = was || c.before.Nodes()[at].Name == owner
		}
		if c.before.Nodes()[old[0]].Name != owner && was == kept {
			return key
		}
	}
	t.Fatal("no key moves")
	return ""
}

func onChanging(t *testing.T, run func(t *testing.T, c *changing)) {
	for _, r := range []int{1, 2} {
		set := func(t *testing.T, cfg client.Config, nodes []ring.Node) {
			cfg.ReplicationFactor, cfg.Timeout, cfg.DialTimeout = r, 5*time.Second, 5*time.Second
			c := &changing{r: r}
			c.before = ringOf(t, ring.Config{Nodes: nodes[:3], Copies: r})
			c.after = ringOf(t, ring.Config{Nodes: nodes[1:], Copies: r})
			open := func(announce time.Duration) *client.Client {
				cfg := cfg
				cfg.Nodes, cfg.Announce = nodes[:3], announce
				x, err := client.New(cfg)
				require.NoError(t, err)
				t.Cleanup(func() { require.NoError(t, x.Close()) })
				return x
			}
			c.early, c.late = open(client.NoAnnounce), open(time.Hour)
			run(t, c)
		}
		t.Run(fmt.Sprint("memnode/R=", r), func(t *testing.T) {
			f := newMemFleet(t, 4, nodeserver.Config{})
			set(t, client.Config{DialContext: f.dial}, f.nodes())
		})
		t.Run(fmt.Sprint("memcached/R=", r), func(t *testing.T) {
			var addrs []string
			for range 4 {
				addrs = append(addrs, stock.ForTest(t).Addr())
			}
			set(t, client.Config{}, ring.Addrs(addrs...))
		})
	}
}

// change makes both clients learn of the change.
func (c *changing) change(t *testing.T) {
	require.NoError(t, c.late.SetNodes(c.after.Nodes()))
	require.NoError(t, c.early.SetNodes(c.after.Nodes()))
}

// What was stored before the change is found after it, by who has switched and who has not,
// and what anybody writes or deletes is so for the other at once.
func TestRule17BothSeeOneValue(t *testing.T) {
	ctx := context.Background()
	for name, write := range map[string]func(t testing.TB, c *client.Client, key, value string){
		"Set": set,
		"SetMulti": func(t testing.TB, c *client.Client, key, value string) {
			_, err := c.SetMulti(ctx, []client.Item{{Key: key, Value: []byte(value)}})
			require.NoError(t, err)
		},
		"write-through": func(t testing.TB, c *client.Client, key, value string) {
			l, err := c.LeaseWrite(ctx, key)
			require.NoError(t, err)
			_, err = c.Fill(ctx, l, client.Item{Value: []byte(value)})
			require.NoError(t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			onChanging(t, func(t *testing.T, c *changing) {
				for _, kept := range []bool{false, true} {
					if kept && c.r == 1 {
						continue
					}
					key := c.key(t, kept)
					set(t, c.late, key, "v1")
					c.change(t)
					require.Equal(t, "v1", get(t, c.late, key))
					require.Equal(t, "v1", get(t, c.early, key), "migrated")
					require.Equal(t, "v1", get(t, c.early, key))
					write(t, c.late, key, "v2")
					require.Equal(t, "v2", get(t, c.late, key))
					require.Equal(t, "v2", get(t, c.early, key), "written by who has not switched")
					write(t, c.early, key, "v3")
					require.Equal(t, "v3", get(t, c.early, key))
					// Who has not switched misses it, if none of its copies is one of the new.
					if it, err := c.late.Get(ctx, key); err == nil {
						require.Equal(t, "v3", string(it.Value))
					} else {
						require.ErrorIs(t, err, client.ErrCacheMiss)
					}
					many, err := c.early.GetMulti(ctx, []string{key})
					require.NoError(t, err)
					require.Equal(t, "v3", string(many[key].Value))

					// A miss that the other fills, and a delete by either.
					for _, by := range []*client.Client{c.late, c.early} {
						_, err = by.Delete(ctx, key)
						require.NoError(t, err)
						for _, c := range []*client.Client{c.early, c.late} {
							_, err = c.Get(ctx, key)
							require.ErrorIs(t, err, client.ErrCacheMiss)
						}
						l := won(t, c.late, key)
						_, err = c.late.Fill(ctx, l, client.Item{Value: []byte("v4")})
						require.NoError(t, err)
						l, err = c.early.Lease(ctx, key, client.LeaseOptions{})
						require.NoError(t, err)
						require.Equal(t, item.LeaseHit, l.State, "it is on the old copies")
						require.Equal(t, "v4", string(l.Item.Value))
					}
					back := c.before.Nodes()
					require.NoError(t, c.late.SetNodes(back)) // announced only
				}
			})
		})
	}
}

// The schedules that break the obvious ways. A key is read by a client that has switched, which
// copies the old owner's value; between its two steps another client, which has not
// switched, deletes it. And: a value is filled by one, and deleted by the other.
func TestRule17ADeleteMeetsAMigration(t *testing.T) {
	ctx := context.Background()
	onChanging(t, func(t *testing.T, c *changing) {
		key := c.key(t, false)
		set(t, c.late, key, "v1")
		c.change(t)
		// The token first; it is voided by the delete that comes before the fill.
		l := won(t, c.early, "other")
		require.NoError(t, c.early.Release(ctx, l))
		_, err := c.late.Delete(ctx, key)
		require.NoError(t, err)
		l = won(t, c.early, key)
		out, err := c.late.Delete(ctx, key)
		require.NoError(t, err)
		require.Equal(t, out.Copies, out.Confirmed)
		_, err = c.early.Fill(ctx, l, client.Item{Value: []byte("v1")})
		require.ErrorIs(t, err, client.ErrLeaseLost, "a delete by who has not switched voids the token on the new owner")
		l = won(t, c.late, key)
		_, err = c.early.Delete(ctx, key)
		require.NoError(t, err)
		_, err = c.late.Fill(ctx, l, client.Item{Value: []byte("v1")})
		require.ErrorIs(t, err, client.ErrLeaseLost, "and the other way about")
		_, err = c.early.DeleteMulti(ctx, []string{key})
		require.NoError(t, err)
		_, err = c.early.Get(ctx, key)
		require.ErrorIs(t, err, client.ErrCacheMiss)
	})
}

// A counter goes on where it was, and while two clients may differ on its owner only those
// count who have not switched.
func TestRule17CountersMove(t *testing.T) {
	ctx := context.Background()
	synctest.Test(t, func(t *testing.T) {
		f := newMemFleet(t, 4, nodeserver.Config{})
		before, after := f.nodes()[:3], f.nodes()[1:]
		const announce = 2 * time.Second
		open := func() *client.Client {
			return f.client(client.Config{Nodes: before, ReplicationFactor: 2, Announce: announce, MigrationWindow: time.Minute})
		}
		early, late := open(), open()
		b := ringOf(t, ring.Config{Nodes: before, Copies: 2})
		a := ringOf(t, ring.Config{Nodes: after, Copies: 2})
		c := &changing{before: b, after: a, r: 2}
		for _, kept := range []bool{false, true} {
			key := c.key(t, kept)
			set(t, early, key, "10")
			require.NoError(t, early.SetNodes(after))
			time.Sleep(announce/2 - time.Nanosecond)
			require.NoError(t, late.SetNodes(after))
			v, err := early.Increment(ctx, key, 1)
			require.NoError(t, err)
			require.EqualValues(t, 11, v)
			time.Sleep(announce/2 + time.Millisecond)
			synctest.Wait()
			_, err = early.Increment(ctx, key, 1)
			require.ErrorIs(t, err, client.ErrOwnerDown, "early has switched, late has not")
			require.ErrorContains(t, err, "moving")
			require.True(t, client.SafeToRetry(err))
			require.Equal(t, "11", get(t, early, key), "it is copied, if the new owner is a new copy")
			v, err = late.Increment(ctx, key, 1)
			require.NoError(t, err)
			require.EqualValues(t, 12, v)
			require.Equal(t, "12", get(t, early, key), "what late wrote is what early reads")
			time.Sleep(announce)
			synctest.Wait()
			_, err = late.Increment(ctx, key, 1)
			require.ErrorIs(t, err, client.ErrOwnerDown)
			v, err = early.Increment(ctx, key, 1)
			require.NoError(t, err)
			require.EqualValues(t, 13, v)
			time.Sleep(announce)
			synctest.Wait()
			v, err = late.Increment(ctx, key, 1)
			require.NoError(t, err)
			require.EqualValues(t, 14, v)
			it, err := early.Gets(ctx, key)
			require.NoError(t, err)
			require.Equal(t, "14", string(it.Value))
			it.Value = []byte("20")
			_, err = early.CompareAndSwap(ctx, it)
			require.NoError(t, err)
			_, err = late.Add(ctx, client.Item{Key: key, Value: []byte("0")})
			require.ErrorIs(t, err, client.ErrNotStored)
			require.NoError(t, early.SetNodes(before))
			require.NoError(t, late.SetNodes(before))
			time.Sleep(3 * announce)
			synctest.Wait()
			v, err = late.Increment(ctx, key, 1) // Gets and CompareAndSwap brought nothing back
			require.NoError(t, err)
			require.EqualValues(t, 21, v, "and back")
		}
		closeFleet(t, f, early, late)
	})
}
