package client_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/nodeserver/stock"
	"github.com/memherd/memherd/ring"
)

// moved is a fleet whose list changes, and a client that has known it all along.
type moved struct {
	t             *testing.T
	r             int
	before, after []ring.Node
	cfg           client.Config
	old           *client.Client
	keys          []string // whose owner is another after the change
}

func (m *moved) client(nodes []ring.Node) *client.Client {
	cfg := m.cfg
	cfg.Nodes, cfg.ReplicationFactor = nodes, m.r
	c, err := client.New(cfg)
	require.NoError(m.t, err)
	m.t.Cleanup(func() { require.NoError(m.t, c.Close()) })
	return c
}

// key is the i-th whose owner is another after the change.
func (m *moved) key(i int) string {
	if m.keys != nil {
		return m.keys[i]
	}
	before := ringOf(m.t, ring.Config{Nodes: m.before, Copies: m.r})
	after := ringOf(m.t, ring.Config{Nodes: m.after, Copies: m.r})
	for j := 0; len(m.keys) < 10; j++ {
		key := fmt.Sprint("key", j)
		if before.Owner(key).Name != after.Owner(key).Name {
			m.keys = append(m.keys, key)
		}
	}
	return m.keys[i]
}

func (m *moved) change() { require.NoError(m.t, m.old.SetNodes(m.after)) }

func onMoved(t *testing.T, run func(t *testing.T, m *moved)) {
	for _, r := range []int{1, 2} {
		t.Run(fmt.Sprint("memnode/R=", r), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newMemFleet(t, 4, nodeserver.Config{})
				m := &moved{t: t, r: r, before: f.nodes()[:3], after: f.nodes()[1:], cfg: client.Config{DialContext: f.dial}}
				m.old = m.client(m.before)
				run(t, m)
				closeFleet(t, f)
			})
		})
		t.Run(fmt.Sprint("memcached/R=", r), func(t *testing.T) {
			t.Parallel() // it mostly waits
			var nodes []ring.Node
			for range 4 {
				nodes = append(nodes, ring.Addrs(stock.ForTest(t).Addr())...)
			}
			m := &moved{t: t, r: r, before: nodes[:3], after: nodes[1:], cfg: client.Config{Timeout: 5 * time.Second, DialTimeout: 5 * time.Second, Announce: 500 * time.Millisecond}}
			m.old = m.client(m.before)
			run(t, m)
		})
	}
}

// switched waits until the change is in force, and every node keeps lists for newcomers.
func (m *moved) switched() {
	dial := m.cfg.DialContext
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	kept := func(n ring.Node) bool {
		conn, err := dial(context.Background(), "tcp", n.Addr)
		require.NoError(m.t, err)
		defer conn.Close()
		_, err = conn.Write([]byte("mg " + client.DefaultEpochKey + ":lists\r\n"))
		require.NoError(m.t, err)
		line, err := bufio.NewReader(conn).ReadString('\n')
		require.NoError(m.t, err)
		return strings.HasPrefix(line, "HD")
	}
	done := func() bool {
		for _, s := range m.old.Nodes() {
			if s.Joining {
				return false
			}
		}
		return !slices.ContainsFunc(m.after, func(n ring.Node) bool { return !kept(n) })
	}
	for !done() {
		time.Sleep(50 * time.Millisecond)
	}
}

// A process that starts within a migration window: the first thing it does reaches the old copies of a key, where
// everybody else looks for what has not been read since.
func TestRule17ANewcomerWrites(t *testing.T) {
	t.Parallel() // it mostly waits
	ctx := context.Background()
	writes := map[string]func(c *client.Client, key string) error{
		"Delete":      func(c *client.Client, key string) error { _, err := c.Delete(ctx, key); return err },
		"DeleteMulti": func(c *client.Client, key string) error { _, err := c.DeleteMulti(ctx, []string{key}); return err },
		"Set": func(c *client.Client, key string) error {
			_, err := c.Set(ctx, client.Item{Key: key, Value: []byte("new")})
			return err
		},
		"SetMulti": func(c *client.Client, key string) error {
			_, err := c.SetMulti(ctx, []client.Item{{Key: key, Value: []byte("new")}})
			return err
		},
		"write-through": func(c *client.Client, key string) error {
			l, err := c.LeaseWrite(ctx, key)
			if err == nil {
				_, err = c.Fill(ctx, l, client.Item{Value: []byte("new")})
			}
			return err
		},
	}
	onMoved(t, func(t *testing.T, m *moved) {
		keys := map[string]string{}
		for name := range writes {
			keys[name] = m.key(len(keys))
			set(t, m.old, keys[name], "old")
		}
		m.change()
		m.switched()
		for name, write := range writes {
			c := m.client(m.after)
			key := keys[name]
			require.NoError(t, write(c, key), name)
			for _, reader := range []*client.Client{m.old, c, m.client(m.after)} {
				it, err := reader.Get(ctx, key)
				if err != nil {
					require.ErrorIs(t, err, client.ErrCacheMiss, name)
				} else {
					require.Equal(t, "new", string(it.Value), name)
				}
			}
			require.NoError(t, c.Close())
		}
	})
}

// It reads what has moved, counts on, and takes no lock that is held.
func TestRule17ANewcomerReads(t *testing.T) {
	t.Parallel() // it mostly waits
	ctx := context.Background()
	onMoved(t, func(t *testing.T, m *moved) {
		value, counter, lock := m.key(0), m.key(1), m.key(2)
		set(t, m.old, value, "v")
		_, err := m.old.Count(ctx, client.Counter{Key: counter, Create: true, Initial: 7})
		require.NoError(t, err)
		_, err = m.old.Add(ctx, client.Item{Key: lock, Value: []byte("held")})
		require.NoError(t, err)
		m.change()
		m.switched()
		require.Equal(t, "v", get(t, m.client(m.after), value))
		_, err = m.client(m.after).Add(ctx, client.Item{Key: lock, Value: []byte("mine")})
		require.Error(t, err)
		again := m.client(m.after)
		for {
			sum, err := again.Increment(ctx, counter, 1)
			if err == nil {
				require.EqualValues(t, 8, sum)
				break
			}
			require.ErrorIs(t, err, client.ErrOwnerDown, "not for as long as others may count elsewhere")
			time.Sleep(50 * time.Millisecond)
		}
	})
}

// A process that starts with a list that has only been announced reads by the one that is in force, until all do.
func TestRule17ANewcomerIsAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newMemFleet(t, 4, nodeserver.Config{})
		m := &moved{t: t, r: 1, before: f.nodes()[:3], after: f.nodes()[1:], cfg: client.Config{DialContext: f.dial}}
		m.old = m.client(m.before)
		key, other := m.key(0), m.key(1)
		set(t, m.old, key, "v1")
		m.change()
		time.Sleep(time.Second)
		c := m.client(m.after)
		require.NoError(t, c.Ping(t.Context()))
		require.Equal(t, "v1", get(t, c, key))
		set(t, c, other, "v2")
		require.Equal(t, "v2", get(t, m.old, other))
		set(t, m.old, other, "v3")
		require.Equal(t, "v3", get(t, c, other))
		phase := func() (joining, leaving int) {
			for _, s := range c.Nodes() {
				if s.Joining {
					joining++
				}
				if s.Leaving {
					leaving++
				}
			}
			return joining, leaving
		}
		joining, leaving := phase()
		require.Equal(t, 1, joining)
		require.Equal(t, 1, leaving)
		time.Sleep(client.DefaultAnnounce - time.Second + time.Millisecond)
		synctest.Wait()
		joining, leaving = phase()
		require.Zero(t, joining)
		require.Equal(t, 1, leaving)
		require.Equal(t, "v1", get(t, c, key))
		require.Equal(t, "v3", get(t, c, other))
		_, err := c.Delete(t.Context(), key)
		require.NoError(t, err)
		_, err = m.old.Get(t.Context(), key)
		require.ErrorIs(t, err, client.ErrCacheMiss)
		time.Sleep(client.DefaultMigration + 3*client.DefaultAnnounce)
		synctest.Wait()
		require.Len(t, c.Nodes(), 3)
		_, _ = phase()
		closeFleet(t, f, m.old, c)
	})
}

// Who places keys differently, or knows another password, takes no lists, and what is no lists is none. A node that
// has lost them is given them again.
func TestRule17WhoseLists(t *testing.T) {
	for name, cfg := range map[string]client.Config{
		"another service's": {ReplicationFactor: 2},
		"other tags":        {KeyTag: "{}"},
		"another sentinel":  {EpochKey: "other:epoch"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newMemFleet(t, 4, nodeserver.Config{})
				old := f.client(client.Config{Nodes: f.nodes()[:3]})
				require.NoError(t, old.SetNodes(f.nodes()[1:]))
				time.Sleep(client.DefaultAnnounce + time.Second)
				cfg.Nodes = f.nodes()[1:]
				c := f.client(cfg)
				require.NoError(t, c.Ping(t.Context()))
				require.Len(t, c.Nodes(), 3)
				closeFleet(t, f, old, c)
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		f := newMemFleet(t, 4, nodeserver.Config{})
		old := f.client(client.Config{Nodes: f.nodes()[:3]})
		require.NoError(t, old.SetNodes(f.nodes()[1:]))
		time.Sleep(client.DefaultAnnounce + time.Second)
		for _, n := range f.nodes() {
			require.NoError(t, old.FlushNode(t.Context(), n.Name, 0))
		}
		time.Sleep(3 * time.Second)
		c := f.client(client.Config{Nodes: f.nodes()[1:]})
		require.NoError(t, c.Ping(t.Context()))
		require.Len(t, c.Nodes(), 4)
		closeFleet(t, f, old, c)
	})
}

// A client that remembers lists for longer writes down ones that this client has let go of. They are no news: their nodes
// would be called on without end.
func TestRule17WhatIsOverIsNoNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newMemFleet(t, 4, nodeserver.Config{})
		var dials atomic.Int64 // of the node that has left
		cfg := client.Config{Nodes: f.nodes()[:3], LeftoverWindow: time.Minute, MigrationWindow: time.Minute}
		forgets := f.client(cfg)
		cfg.LeftoverWindow = 0
		remembers := f.client(cfg)
		cfg.LeftoverWindow, cfg.DialContext = time.Minute, func(ctx context.Context, network, addr string) (net.Conn, error) {
			if strings.HasPrefix(addr, "node0") {
				dials.Add(1)
			}
			return f.dial(ctx, network, addr)
		}
		counted, err := client.New(cfg)
		require.NoError(t, err)
		all := []*client.Client{remembers, forgets, counted}
		for i := range 20 {
			for _, c := range all {
				set(t, c, fmt.Sprint("key", i), "v")
			}
		}
		change := func(list []ring.Node) {
			for _, c := range all {
				require.NoError(t, c.SetNodes(list))
				time.Sleep(2 * time.Second) // it writes down what it knows
			}
		}
		change(f.nodes()[1:3])
		time.Sleep(10 * time.Minute)
		require.NotZero(t, dials.Swap(0))
		change(f.nodes()[1:])
		time.Sleep(10 * time.Minute)
		require.Zero(t, dials.Load())
		closeFleet(t, f, all...)
	})
}
