package client_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
)

// cutOff is a client that can't reach one node, which others can.
func cutOff(t *testing.T, l *logged, node string, cfg client.Config) *client.Client {
	cfg.Nodes = l.nodes()
	cfg.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if strings.HasPrefix(addr, node+":") {
			return nil, errors.New("no route")
		}
		return l.dial(ctx, network, addr)
	}
	c, err := client.New(cfg)
	require.NoError(t, err)
	return c
}

// deletedBeside are a client that has deleted key, which it could not tell the node it is cut off from, and one that reaches all.
func deletedBeside(t *testing.T, l *logged, key, node string) (a, b *client.Client) {
	a = cutOff(t, l, node, client.Config{ReplicationFactor: 2})
	b = l.client(client.Config{ReplicationFactor: 2})
	set(t, b, key, "old")
	require.Equal(t, "old", get(t, a, key))
	out, err := a.Delete(t.Context(), key)
	require.NoError(t, err)
	require.Equal(t, client.Outcome{Copies: 2, Confirmed: 1, Owed: 1, Found: true}, out)
	_, err = a.Get(t.Context(), key)
	require.ErrorIs(t, err, client.ErrCacheMiss)
	return a, b
}

// readers read a key, each in another way.
var readers = map[string]func(t *testing.T, c *client.Client, key string) (string, error){
	"get": func(t *testing.T, c *client.Client, key string) (string, error) {
		it, err := c.Get(t.Context(), key)
		return string(it.Value), err
	},
	"get many": func(t *testing.T, c *client.Client, key string) (string, error) {
		m, err := c.GetMulti(t.Context(), []string{key})
		return string(m[key].Value), err
	},
	"lease": func(t *testing.T, c *client.Client, key string) (string, error) {
		l, err := c.Lease(t.Context(), key, client.LeaseOptions{})
		return string(l.Item.Value), err
	},
	"lease many": func(t *testing.T, c *client.Client, key string) (string, error) {
		l, err := c.LeaseMulti(t.Context(), []string{key}, client.LeaseOptions{})
		return string(l[0].Item.Value), errors.Join(err...)
	},
	"get with": func(t *testing.T, c *client.Client, key string) (string, error) {
		it, _, err := c.GetWith(t.Context(), key, client.GetOptions{})
		return string(it.Value), err
	},
	"gets": func(t *testing.T, c *client.Client, key string) (string, error) {
		it, err := c.Gets(t.Context(), key)
		return string(it.Value), err
	},
	"add": func(t *testing.T, c *client.Client, key string) (string, error) {
		_, err := c.Add(t.Context(), client.Item{Key: key, Value: []byte("new")})
		if errors.Is(err, client.ErrNotStored) {
			return "old", err
		}
		return "", err
	},
}

// readBack has a client read what it has deleted, after its owner was restarted and another has brought it back there; with wait, the client has met the
// new process before.
func readBack(t *testing.T, wait bool, read func(t *testing.T, c *client.Client, key string) (string, error)) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogged(t, 2)
		key := "k"
		owner, other := l.placed(2, key)[0], l.placed(2, key)[1]
		a, b := deletedBeside(t, l, key, other)
		defer l.closeAll(a, b)

		l.kill(owner)
		l.restart(owner)
		conns := func() int {
			for _, s := range a.Nodes() {
				if s.Node.Name == owner {
					require.Equal(t, "up", s.State)
					return s.Conns
				}
			}
			return -1
		}
		for conns() > 0 {
			time.Sleep(10 * time.Millisecond)
		}
		for b.Ping(t.Context()) != nil {
		}
		require.Equal(t, "old", get(t, b, key)) // brings it back to the owner
		synctest.Wait()
		require.Equal(t, 0, conns())
		if wait {
			time.Sleep(3 * time.Second)
			require.NotZero(t, conns())
			_, err := a.Get(t.Context(), key)
			require.ErrorIs(t, err, client.ErrCacheMiss)
		}
		v, _ := read(t, a, key)
		require.NotEqual(t, "old", v, "this client has deleted it")
	})
}

// readBackEither is readBack whether or not the client has met the new process before.
func readBackEither(t *testing.T, read func(t *testing.T, c *client.Client, key string) (string, error)) {
	for _, wait := range []bool{false, true} {
		readBack(t, wait, read)
	}
}

func TestRule7NothingDeletedIsReadBackByGet(t *testing.T) { readBackEither(t, readers["get"]) }

func TestRule7NothingDeletedIsReadBackByGetMulti(t *testing.T) {
	readBackEither(t, readers["get many"])
}

func TestRule7NothingDeletedIsReadBackByLease(t *testing.T) { readBackEither(t, readers["lease"]) }

func TestRule7NothingDeletedIsReadBackByLeaseMulti(t *testing.T) {
	readBackEither(t, readers["lease many"])
}

func TestRule7NothingDeletedIsReadBackByGets(t *testing.T) { readBackEither(t, readers["gets"]) }

func TestRule7NothingDeletedIsReadBackByGetWith(t *testing.T) { readBackEither(t, readers["get with"]) }

func TestRule7NothingDeletedIsReadBackByAdd(t *testing.T) { readBackEither(t, readers["add"]) }

// Nothing is added to what this client has deleted.
func TestRule7NothingDeletedIsReadBackByAppend(t *testing.T) {
	readBackEither(t, func(t *testing.T, c *client.Client, key string) (string, error) {
		_, err := c.Append(t.Context(), client.Item{Key: key, Value: []byte("new")})
		require.ErrorIs(t, err, client.ErrOwnerDown)
		require.True(t, client.SafeToRetry(err))
		return "", err
	})
}

// Another client has revived a cold copy from an owner which this one owes a delete.
func TestRule7NothingDeletedIsReadBackFromALaterCopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogged(t, 2)
		key := "k"
		owner, other := l.placed(2, key)[0], l.placed(2, key)[1]
		a, b := deletedBeside(t, l, key, owner)
		defer l.closeAll(a, b)

		l.kill(other)
		l.restart(other)
		for b.Ping(t.Context()) != nil {
		}
		time.Sleep(5 * time.Second)
		require.Equal(t, "old", get(t, b, key)) // from the owner; it is brought back to the other copy
		time.Sleep(5 * time.Second)
		it, err := a.Get(t.Context(), key)
		require.NotEqual(t, "old", string(it.Value), "this client has deleted it (%v)", err)
		many, err := a.GetMulti(t.Context(), []string{key})
		require.NoError(t, err)
		require.Empty(t, many)
	})
}

// One copy is down and owed, and the other can't be read: that is no miss, of one key or of many.
func TestGetMultiTwoLostNodesAreAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogged(t, 2)
		a := l.client(client.Config{ReplicationFactor: 2})
		defer l.closeAll(a)
		set(t, a, "k", "1")
		owner, other := l.placed(2, "k")[0], l.placed(2, "k")[1]
		l.network.Partition(owner, true)
		time.Sleep(2 * time.Second)
		set(t, a, "k", "2")
		l.network.Partition(other, true)
		time.Sleep(2 * time.Second)
		_, err := a.Get(t.Context(), "k")
		require.Error(t, err)
		require.False(t, errors.Is(err, client.ErrCacheMiss))
		found, err := a.GetMulti(t.Context(), []string{"k"})
		require.Error(t, err, "%v", found)
	})
}

// What this client has deleted another one has brought back, from the owner, to the copy that is in this one's zone, and was restarted.
func TestRule7NothingDeletedIsReadBackFromTheOwnZone(t *testing.T) {
	for _, name := range []string{"get", "get many", "lease"} {
		read := readers[name]
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLogged(t, 2)
				nodes := l.nodes()
				nodes[0].Zone, nodes[1].Zone = "here", "there"
				key := onNode(t, []string{"node1"}, nodes)
				b := l.client(client.Config{Nodes: nodes, ReplicationFactor: 2})
				var slow atomic.Bool
				a, err := client.New(client.Config{Nodes: nodes, ReplicationFactor: 2, ReadZone: "here", DialTimeout: time.Second, DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
					if strings.HasPrefix(addr, "node1:") {
						return nil, errors.New("no route")
					}
					if slow.Load() {
						time.Sleep(400 * time.Millisecond)
					}
					return l.dial(ctx, network, addr)
				}})
				require.NoError(t, err)
				defer l.closeAll(a, b)
				set(t, b, key, "old")
				require.Equal(t, "old", get(t, a, key))
				out, err := a.Delete(t.Context(), key)
				require.NoError(t, err)
				require.Equal(t, client.Outcome{Copies: 2, Confirmed: 1, Owed: 1, Found: true}, out)

				time.Sleep(1010 * time.Millisecond) // a has just looked after its connections
				slow.Store(true)
				l.kill("node0")
				l.restart("node0")
				for b.Ping(t.Context()) != nil {
				}
				require.Equal(t, "old", get(t, b, key)) // it is brought back to node0 a little more than a second later
				time.Sleep(1100 * time.Millisecond)
				require.Equal(t, 0, a.Nodes()[0].Conns, "it is being dialled")
				v, _ := read(t, a, key)
				require.NotEqual(t, "old", v)
			})
		})
	}
}
