package client_test

import (
	"context"
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
	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/client/memproto"
	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/nodeserver/stock"
	"github.com/memherd/memherd/ring"
)

// guttered is one node, and a gutter node beside it.
type guttered struct {
	nodes, gutter []ring.Node
	cfg           client.Config
	kill          func()
	restart       func()
}

func (g *guttered) client(t *testing.T, keys client.KeyForm) *client.Client {
	cfg := g.cfg
	cfg.Nodes, cfg.Gutter, cfg.Keys, cfg.Timeout = g.nodes, g.gutter, keys, time.Second
	c, err := client.New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	require.NoError(t, c.Ping(context.Background()))
	return c
}

func onGuttered(t *testing.T, run func(t *testing.T, g *guttered)) {
	t.Run("memnode", func(t *testing.T) {
		f := newMemFleet(t, 2, nodeserver.Config{})
		run(t, &guttered{f.nodes()[:1], f.nodes()[1:], client.Config{DialContext: f.dial},
			func() { f.kill("node0") }, func() { f.restart("node0") }})
	})
	t.Run("memcached", func(t *testing.T) {
		a, b := stock.ForTest(t), stock.ForTest(t)
		run(t, &guttered{ring.Addrs(a.Addr()), ring.Addrs(b.Addr()), client.Config{},
			func() { require.NoError(t, a.Kill()) }, func() { require.NoError(t, a.Restart()) }})
	})
}

// down waits until a client holds the node for down.
func down(t *testing.T, c *client.Client) {
	t.Helper()
	require.Eventually(t, func() bool {
		_ = c.Ping(context.Background())
		for _, s := range c.Nodes() {
			if !s.Gutter && s.State == "down" {
				return true
			}
		}
		return false
	}, time.Minute, time.Millisecond)
}

// With one copy of each key and its node dead, everything goes on, from the gutter: for all
// clients alike, and a delete counts there, too. When the node is back nothing of it is seen.
func TestGutter(t *testing.T) {
	ctx := context.Background()
	for name, form := range map[string]client.KeyForm{"plain": client.PlainKeys, "any": client.AnyKeys} {
		t.Run(name, func(t *testing.T) {
			onGuttered(t, func(t *testing.T, g *guttered) {
				a, b := g.client(t, form), g.client(t, form)
				key := "key"
				if form == client.AnyKeys {
					key = "a key with \x00 and blanks"
				}
				set(t, a, key, "v1")
				g.kill()
				down(t, a)
				down(t, b)
				_, err := a.Get(ctx, key)
				require.ErrorIs(t, err, client.ErrCacheMiss)
				out, err := a.Set(ctx, client.Item{Key: key, Value: []byte("v2"), TTL: time.Hour})
				require.NoError(t, err)
				require.True(t, out.Gutter)
				require.Equal(t, 1, out.Owed)
				for _, c := range []*client.Client{a, b} {
					it, err := c.Get(ctx, key)
					require.NoError(t, err)
					require.Equal(t, "v2", string(it.Value))
					require.Zero(t, it.TTL)
					it, err = c.GetTTL(ctx, key)
					require.NoError(t, err)
					require.Equal(t, "v2", string(it.Value))
					require.Zero(t, it.TTL, "its life there says nothing of the value's")
					many, err := c.GetMulti(ctx, []string{key, "absent"})
					require.NoError(t, err)
					require.Len(t, many, 1)
					require.Equal(t, "v2", string(many[key].Value))
					into, err := c.GetInto(ctx, key, make([]byte, 0, 10))
					require.NoError(t, err)
					require.Equal(t, "v2", string(into.Value))
				}
				outs, err := b.SetMulti(ctx, []client.Item{{Key: key, Value: []byte("v2b"), TTL: time.Hour}, {Key: "other", Value: []byte("w")}})
				require.NoError(t, err)
				for _, out := range outs {
					require.True(t, out.Gutter)
					require.Equal(t, 1, out.Owed)
					require.Equal(t, 1, out.Copies)
				}
				require.Equal(t, "v2b", get(t, a, key))
				require.Equal(t, "w", get(t, a, "other"))
				_, err = b.Delete(ctx, key)
				require.Error(t, err, "no copy confirmed")
				_, err = a.Get(ctx, key)
				require.ErrorIs(t, err, client.ErrCacheMiss)

				l := won(t, a, key)
				again, err := b.Lease(ctx, key, client.LeaseOptions{})
				require.NoError(t, err)
				require.Equal(t, item.LeaseWait, again.State, "one load in the fleet")
				_, err = a.Fill(ctx, l, client.Item{Value: []byte("v3")})
				require.NoError(t, err)
				again, err = b.Lease(ctx, key, client.LeaseOptions{})
				require.NoError(t, err)
				require.Equal(t, item.LeaseHit, again.State)
				require.Equal(t, "v3", string(again.Item.Value))
				_, err = b.DeleteMulti(ctx, []string{key})
				require.Error(t, err)
				l = won(t, a, key)
				_, err = b.Delete(ctx, key)
				require.Error(t, err)
				_, err = a.Fill(ctx, l, client.Item{Value: []byte("old")})
				require.ErrorIs(t, err, client.ErrLeaseLost)
				l = won(t, a, key)
				require.NoError(t, a.Release(ctx, l))
				require.Eventually(t, func() bool { // Release does not wait for the node
					l, err = b.Lease(ctx, key, client.LeaseOptions{})
					return err == nil && l.State == item.LeaseWon
				}, time.Minute, time.Millisecond)

				g.restart()
				back(t, a)
				back(t, b)
				_, err = b.Fill(ctx, l, client.Item{Value: []byte("late")})
				require.ErrorIs(t, err, client.ErrLeaseLost, "the node is back")
				_, err = a.Get(ctx, key)
				require.ErrorIs(t, err, client.ErrCacheMiss)
				set(t, a, key, "v5")
				require.Equal(t, "v5", get(t, b, key))
				require.NotZero(t, a.Counters().GutterReads)
				require.EqualValues(t, 1, a.Counters().GutterWrites)

				// Another outage begins with an empty gutter: the node has another epoch.
				_, err = a.Increment(ctx, "counter", 1)
				require.ErrorIs(t, err, client.ErrCacheMiss)
				g.kill()
				down(t, a)
				_, err = a.Get(ctx, key)
				require.ErrorIs(t, err, client.ErrCacheMiss)
				_, err = a.Increment(ctx, "counter", 1)
				require.ErrorIs(t, err, client.ErrOwnerDown)
			})
		})
	}
}

// A node that was cut off and comes back with its memory is not read before it has heard what
// was written meanwhile, and reads go to the gutter for so long.
func TestGutterDuringAPartition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newMemFleet(t, 2, nodeserver.Config{})
		c := f.client(client.Config{Nodes: f.nodes()[:1], Gutter: f.nodes()[1:]})
		for i := range 50 {
			set(t, c, fmt.Sprint("k", i), "v1")
		}
		time.Sleep(5 * time.Second)
		for round := range 3 {
			f.network.Partition("node0", true)
			until(c, 0, "down")
			value := fmt.Sprint("v", round+2)
			for i := range 50 {
				set(t, c, fmt.Sprint("k", i), value)
			}
			f.network.Partition("node0", false)
			for range 300 {
				for i := range 50 {
					it, err := c.Get(t.Context(), fmt.Sprint("k", i))
					if err == nil {
						require.Equal(t, value, string(it.Value))
					} else {
						require.ErrorIs(t, err, client.ErrCacheMiss)
					}
				}
				time.Sleep(50 * time.Millisecond)
			}
			require.Equal(t, "up", c.Nodes()[0].State)
			for i := range 50 {
				_, err := c.Get(t.Context(), fmt.Sprint("k", i))
				require.ErrorIs(t, err, client.ErrCacheMiss, "it was deleted on the node, and the gutter's is forgotten")
				set(t, c, fmt.Sprint("k", i), "after")
			}
		}
		closeFleet(t, f, c)
	})
}

// at is a context that does something when it is asked for its error for the n-th time.
type at struct {
	context.Context
	n  int
	do func()
}

func (c *at) Err() error {
	if c.n--; c.n == 0 {
		c.do()
	}
	return c.Context.Err()
}

// A node may come up between a read's look at it and the read's turn to the gutter, at whatever step: the read
// has an answer all the same.
func TestGutterWhileTheNodeComesUp(t *testing.T) {
	reads := map[string]func(ctx context.Context, c *client.Client, key string) error{
		"Get": func(ctx context.Context, c *client.Client, key string) error { _, err := c.Get(ctx, key); return err },
		"GetInto": func(ctx context.Context, c *client.Client, key string) error {
			_, err := c.GetInto(ctx, key, nil)
			return err
		},
		"Lease": func(ctx context.Context, c *client.Client, key string) error {
			l, err := c.Lease(ctx, key, client.LeaseOptions{})
			if err == nil {
				require.Equal(t, item.LeaseWon, l.State)
			}
			return err
		},
		"GetMulti": func(ctx context.Context, c *client.Client, key string) error {
			found, err := c.GetMulti(ctx, []string{key})
			require.Empty(t, found)
			return err
		},
	}
	for name, read := range reads {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newMemFleet(t, 2, nodeserver.Config{})
				c := f.client(client.Config{Nodes: f.nodes()[:1], Gutter: f.nodes()[1:]})
				set(t, c, "first", "v")
				time.Sleep(5 * time.Second)
				up := 0
				for step := 1; step < 8; step++ {
					f.network.Partition("node0", true)
					until(c, 0, "down")
					ctx := &at{t.Context(), step, func() {
						f.network.Partition("node0", false)
						time.Sleep(20 * time.Second)
						require.Equal(t, "up", c.Nodes()[0].State)
						up++
					}}
					if err := read(ctx, c, fmt.Sprint("k", step)); !errors.Is(err, client.ErrCacheMiss) {
						require.NoError(t, err, "step %d", step)
					}
					f.network.Partition("node0", false)
					time.Sleep(20 * time.Second)
				}
				require.Greater(t, up, 1)
				closeFleet(t, f, c)
			})
		})
	}
}

// until waits, in a bubble, until a client holds the node at i for what state says.
func until(c *client.Client, i int, state string) {
	for c.Nodes()[i].State != state {
		time.Sleep(10 * time.Millisecond)
	}
}

func TestGutterBadInput(t *testing.T) {
	nodes := ring.Addrs("a", "b")
	for name, cfg := range map[string]client.Config{
		"a member":       {Nodes: nodes, Gutter: nodes[:1]},
		"a short life":   {Nodes: nodes, Gutter: ring.Addrs("c"), GutterTTL: time.Second},
		"no sentinel":    {Nodes: nodes, Gutter: ring.Addrs("c"), EpochKey: client.NoEpoch},
		"twice the same": {Nodes: nodes, Gutter: ring.Addrs("c", "c")},
	} {
		_, err := client.New(cfg)
		require.ErrorIs(t, err, client.ErrConfig, name)
	}
}

// Every write that a node has taken while its gutter may hold an older value undoes that one there: it may be asked again
// a moment later, in the next outage of one epoch. A gutter node that doesn't hear of it is owed it.
func TestGutterHearsOfEveryWrite(t *testing.T) {
	writes := map[string]func(c *client.Client, it client.Item) error{
		"Set": func(c *client.Client, it client.Item) error { _, err := c.Set(context.Background(), it); return err },
		"Add": func(c *client.Client, it client.Item) error { _, err := c.Add(context.Background(), it); return err },
		"SetMulti": func(c *client.Client, it client.Item) error {
			_, err := c.SetMulti(context.Background(), []client.Item{it})
			return err
		},
		"write-through": func(c *client.Client, it client.Item) error {
			l, err := c.LeaseWrite(context.Background(), it.Key)
			if err == nil {
				_, err = c.Fill(context.Background(), l, it)
			}
			return err
		},
		"SetKeep": func(c *client.Client, it client.Item) error {
			_, _, err := c.SetKeep(context.Background(), it)
			return err
		},
		"FillKeepMulti": func(c *client.Client, it client.Item) error {
			l, err := c.LeaseWrite(context.Background(), it.Key)
			if err != nil {
				return err
			}
			_, _, errs := c.FillKeepMulti(context.Background(), []client.Lease{l}, []client.Item{it})
			return errs[0]
		},
		"Delete": func(c *client.Client, it client.Item) error {
			_, err := c.Delete(context.Background(), it.Key)
			return err
		},
		"DeleteMulti": func(c *client.Client, it client.Item) error {
			_, err := c.DeleteMulti(context.Background(), []string{it.Key})
			return err
		},
	}
	for name, write := range writes {
		for _, fails := range []string{"", "no answer", "down"} {
			t.Run(name+"/"+fails, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var drop atomic.Bool
					f := newMemFleet(t, 2, nodeserver.Config{Intercept: func(_ net.Addr, r *memproto.Request) nodeserver.Verdict {
						return nodeserver.Verdict{Drop: r.Cmd == memproto.CmdMetaDelete && strings.HasSuffix(string(r.Key), ":k") && drop.CompareAndSwap(true, false)}
					}})
					c := f.client(client.Config{Nodes: f.nodes()[:1], Gutter: f.nodes()[1:]})
					set(t, c, "k", "v0")
					time.Sleep(5 * time.Second)
					f.network.Partition("node0", true)
					until(c, 0, "down")
					set(t, c, "k", "v1")
					require.Equal(t, "v1", get(t, c, "k"))
					f.network.Partition("node0", false)
					until(c, 0, "up")
					switch fails {
					case "no answer":
						drop.Store(true)
					case "down":
						f.network.Partition("node1", true)
						until(c, 1, "down")
					}
					require.NoError(t, write(c, client.Item{Key: "k", Value: []byte("v2")}))
					f.network.Partition("node0", true)
					until(c, 0, "down")
					f.network.Partition("node1", false)
					for range 300 {
						it, err := c.Get(t.Context(), "k")
						require.False(t, err == nil && string(it.Value) == "v1", "the write was acknowledged")
						time.Sleep(10 * time.Millisecond)
					}
					_, err := c.Get(t.Context(), "k")
					require.ErrorIs(t, err, client.ErrCacheMiss, "the gutter serves again")
					require.Zero(t, c.Nodes()[1].Debt)
					closeFleet(t, f, c)
				})
			})
		}
	}
}
