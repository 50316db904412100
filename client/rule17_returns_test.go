package client_test

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/memproto"
	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/ring"
)

// onNode is a key whose owner has the name in each of these lists.
func onNode(t *testing.T, names []string, lists ...[]ring.Node) string {
	var rings []*ring.Ring
	for _, l := range lists {
		r := ringOf(t, ring.Config{Nodes: l})
		rings = append(rings, r)
	}
next:
	for i := range 100_000 {
		key := fmt.Sprint("key", i)
		for j, r := range rings {
			if r.Owner(key).Name != names[j] {
				continue next
			}
		}
		return key
	}
	t.Fatal("no such key")
	return ""
}

// What a node has missed while it was in no list that everybody tells of changes is not read from it when it
// is listed again: whenever that is, however often, and under whatever name.
func TestRule17WhatWasMissedIsNotRead(t *testing.T) {
	renamed := func(nodes []ring.Node) []ring.Node {
		nodes[0].Name = "other"
		return nodes
	}
	const window = time.Minute
	for name, test := range map[string]struct {
		away    time.Duration // from the switch to the delete and back
		glimpse bool          // listed for a second in between
		renamed bool
		soon    bool // the newcomer starts while keys still move to the node
	}{
		"gone":                      {away: 10 * window},
		"gone, and just back":       {away: 10 * window, soon: true},
		"listed for a moment":       {away: 10 * window, glimpse: true},
		"under another name":        {away: 10 * window, renamed: true},
		"no longer told":            {away: window + client.DefaultAnnounce + time.Second},
		"others may not tell it":    {away: window + client.DefaultAnnounce - time.Second},
		"not told, and renamed":     {away: window + client.DefaultAnnounce + time.Second, renamed: true},
		"others don't, and renamed": {away: window + time.Second, renamed: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				// It takes until all readers below have looked.
				slow := func(net.Addr, *memproto.Request) nodeserver.Verdict {
					return nodeserver.Verdict{Delay: time.Millisecond}
				}
				f := newMemFleet(t, 3, nodeserver.Config{Intercept: slow})
				c := f.client(client.Config{MigrationWindow: window})
				back := f.nodes()
				if test.renamed {
					back = renamed(back)
				}
				key := onNode(t, []string{"node0", back[0].Name}, f.nodes(), back)
				set(t, c, key, "old")
				require.NoError(t, c.SetNodes(f.nodes()[1:]))
				time.Sleep(client.DefaultAnnounce + test.away)
				_, err := c.Delete(t.Context(), key)
				require.NoError(t, err)
				if test.glimpse {
					require.NoError(t, c.SetNodes(back))
					time.Sleep(time.Second)
					require.NoError(t, c.SetNodes(back[1:]))
					time.Sleep(test.away)
				}
				require.NoError(t, c.SetNodes(back))
				if test.soon {
					time.Sleep(client.DefaultAnnounce + time.Second)
				} else {
					time.Sleep(2 * time.Minute)
				}
				at := slices.IndexFunc(c.Nodes(), func(s client.Status) bool { return s.Node.Name == back[0].Name })
				require.True(t, c.Nodes()[at].DebtOverflow)
				_, err = c.Get(t.Context(), key)
				require.Error(t, err)
				// Nor by who starts now, and hears of another list before it meets a node.
				starts := f.client(client.Config{MigrationWindow: window, Nodes: back})
				heavier := slices.Clone(back)
				heavier[2].Weight = 2
				require.NoError(t, starts.SetNodes(heavier))
				// Many readers: some have looked whether the node may be read when the first connection tells that it may not.
				found := make([]error, 64)
				var wg sync.WaitGroup
				for i := range found {
					wg.Go(func() {
						switch i % 3 {
						case 0:
							_, found[i] = starts.Get(t.Context(), key)
						case 1:
							_, found[i] = starts.Gets(t.Context(), key)
						case 2:
							_, found[i] = starts.Append(t.Context(), client.Item{Key: key, Value: []byte("!")})
							assert.ErrorIs(t, found[i], client.ErrOwnerDown)
						}
					})
				}
				wg.Wait()
				for _, err := range found {
					require.Error(t, err)
				}
				closeFleet(t, f, c, starts)
			})
		})
	}
}

// A node that is listed again while everybody has told it of everything is read as before.
func TestRule17ANodeThatWasToldEverything(t *testing.T) {
	for _, away := range []time.Duration{time.Second, time.Minute - time.Second} {
		synctest.Test(t, func(t *testing.T) {
			f := newMemFleet(t, 3, nodeserver.Config{})
			c := f.client(client.Config{MigrationWindow: time.Minute})
			key := onNode(t, []string{"node0"}, f.nodes())
			set(t, c, key, "kept")
			require.NoError(t, c.SetNodes(f.nodes()[1:]))
			time.Sleep(client.DefaultAnnounce + away)
			require.NoError(t, c.SetNodes(f.nodes()))
			time.Sleep(2 * client.DefaultAnnounce)
			require.False(t, c.Nodes()[0].DebtOverflow)
			require.Equal(t, "up", c.Nodes()[0].State)
			require.Equal(t, "kept", get(t, c, key))
			closeFleet(t, f, c)
		})
	}
}

// What is owed to a node under one name is not read under another name of the same address.
func TestRule17DebtFollowsTheAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newMemFleet(t, 3, nodeserver.Config{})
		c := f.client(client.Config{Timeout: 100 * time.Millisecond, RejoinDelay: client.NoRejoinDelay})
		again := f.nodes()
		again[0].Name = "other"
		key := onNode(t, []string{"node0", "other"}, f.nodes(), again)
		set(t, c, key, "old")
		f.network.Partition("node0", true)
		out, err := c.Delete(t.Context(), key)
		require.Error(t, err)
		require.NotZero(t, out.Owed)
		require.NoError(t, c.SetNodes(again))
		time.Sleep(2 * client.DefaultAnnounce)
		f.network.Partition("node0", false)
		for range 10_000 {
			it, err := c.Get(t.Context(), key)
			require.Error(t, err, "%q", it.Value)
			time.Sleep(time.Millisecond)
		}
		closeFleet(t, f, c)
	})
}

// Changes that go on, further apart than Announce but never for long enough to be sure of at a glance, do not
// pile up: the lists that everybody must have left end with their windows.
func TestRule17ChangesThatGoOn(t *testing.T) {
	paces := []time.Duration{11 * time.Second, 12 * time.Second, 15 * time.Second, 19 * time.Second, 25 * time.Second}
	if scaled(t, 10) < 10 {
		paces = paces[:1] // for the race detector they are all alike
	}
	for _, every := range paces {
		t.Run(every.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const changes = 50
				f := newMemFleet(t, changes+4, nodeserver.Config{})
				c := f.client(client.Config{Nodes: f.nodes()[:3], MigrationWindow: time.Minute})
				most := 0
				for i := range changes {
					set(t, c, "k", "v")
					require.NoError(t, c.SetNodes(f.nodes()[i+1:i+4]))
					time.Sleep(every)
					_, err := c.Delete(t.Context(), "k")
					require.NoError(t, err)
					most = max(most, len(c.Nodes()))
				}
				// As many as are changed in a window, in what it takes to be sure, and in two Announce.
				require.LessOrEqual(t, most, 3+int((time.Minute+14*client.DefaultAnnounce)/every)+2)
				require.Less(t, most, 45)
				closeFleet(t, f, c)
			})
		})
	}
}

// A node is added and takes a key over; long after that the key is changed, and the node leaves again. Who owned the key
// before still runs, and has forgotten what it had.
func TestRule17AKeyComesBack(t *testing.T) {
	for name, window := range map[string]time.Duration{"told": 0, "not told": client.NoLeftoverWindow} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newMemFleet(t, 4, nodeserver.Config{})
				cfg := client.Config{Nodes: f.nodes()[:3], LeftoverWindow: window}
				a, b := f.client(cfg), f.client(cfg)
				key := onNode(t, []string{"node0", "node3"}, f.nodes()[:3], f.nodes())
				set(t, a, key, "old")
				both := func(nodes []ring.Node) {
					require.NoError(t, a.SetNodes(nodes))
					require.NoError(t, b.SetNodes(nodes))
				}
				both(f.nodes())
				time.Sleep(client.DefaultAnnounce + time.Second)
				require.Equal(t, "old", get(t, b, key)) // copied
				time.Sleep(30 * time.Minute)
				newcomer := f.client(client.Config{Nodes: f.nodes(), LeftoverWindow: window})
				_, err := newcomer.Delete(t.Context(), key)
				require.NoError(t, err)
				require.NoError(t, newcomer.Close())
				both(f.nodes()[:3])
				time.Sleep(client.DefaultAnnounce + time.Second)
				it, err := a.Get(t.Context(), key)
				if window == 0 {
					require.ErrorIs(t, err, client.ErrCacheMiss)
				} else {
					require.Equal(t, "old", string(it.Value), "or nothing is shown by this")
				}
				closeFleet(t, f, a, b)
			})
		})
	}
}

// heardBy starts a fleet whose nodes note who hears of a delete or a write.
func heardBy(t *testing.T, nodes int) (f *memFleet, heard func() []string) {
	var order []string
	var mu sync.Mutex // guards order
	f = newMemFleet(t, 0, nodeserver.Config{})
	for i := range nodes {
		name := fmt.Sprint("node", i)
		f.names = append(f.names, name)
		f.config.Intercept = func(_ net.Addr, r *memproto.Request) nodeserver.Verdict {
			mu.Lock()
			defer mu.Unlock()
			switch {
			case strings.HasPrefix(string(r.Key), client.DefaultEpochKey):
			case r.Cmd == memproto.CmdMetaDelete:
				order = append(order, name)
			case r.Cmd == memproto.CmdMetaSet:
				order = append(order, name+" stores")
			}
			return nodeserver.Verdict{}
		}
		f.start(name)
	}
	return f, func() []string {
		mu.Lock()
		defer mu.Unlock()
		was := order
		order = nil
		return was
	}
}

// A list that is over is still told what its nodes hold that stay. In what order they hear of a delete says the list in
// force alone: the owner last, because a reader that misses there copies from the others without waiting.
func TestRule17TheOwnerOfNowIsDeletedLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, heard := heardBy(t, 4)
		before, after := f.nodes()[:3], f.nodes()[1:]
		old := ringOf(t, ring.Config{Nodes: before, Copies: 2})
		now := ringOf(t, ring.Config{Nodes: after, Copies: 2})
		key := ""
		for i := 0; key == ""; i++ {
			k := fmt.Sprint("key", i)
			was, is := old.Lookup(k), now.Lookup(k)
			// Its second copy has become the first, and the other node has none any more.
			if old.Nodes()[was[1]].Name == now.Nodes()[is[0]].Name && old.Nodes()[was[0]].Name == "node0" {
				key = k
			}
		}
		c := f.client(client.Config{Nodes: before, ReplicationFactor: 2})
		set(t, c, key, "v")
		require.NoError(t, c.SetNodes(after))
		time.Sleep(time.Hour)
		heard()
		_, err := c.Delete(t.Context(), key)
		require.NoError(t, err)
		order := heard()
		require.NotEmpty(t, order)
		require.Equal(t, now.Owner(key).Name, order[len(order)-1])
		closeFleet(t, f, c)
	})
}

// A key that goes from one node to another and back: who still goes by the list between copies it from the former to the
// latter, when it is missing there. So a write deletes it on the one before it does on the other.
func TestRule17AKeyThatComesBackIsClearedFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, heard := heardBy(t, 4)
		c := f.client(client.Config{Nodes: f.nodes()[:3]})
		key := onNode(t, []string{"node0", "node3"}, f.nodes()[:3], f.nodes())
		for _, list := range [][]ring.Node{f.nodes(), f.nodes()[:3]} {
			require.NoError(t, c.SetNodes(list))
			time.Sleep(client.DefaultAnnounce + time.Second)
		}
		it := client.Item{Key: key, Value: []byte("new")}
		for name, write := range map[string]func() error{
			"Set":      func() error { _, err := c.Set(t.Context(), it); return err },
			"SetKeep":  func() error { _, _, err := c.SetKeep(t.Context(), it); return err },
			"SetMulti": func() error { _, err := c.SetMulti(t.Context(), []client.Item{it}); return err },
			"write-through": func() error {
				l, err := c.LeaseWrite(t.Context(), key)
				if err == nil {
					_, err = c.Fill(t.Context(), l, it)
				}
				return err
			},
		} {
			heard()
			require.NoError(t, write(), name)
			order := heard()
			first := slices.Index(order, "node0")
			require.NotEqual(t, -1, first, name)
			require.Less(t, first, slices.Index(order, "node3"), name)
			require.Equal(t, "node0 stores", order[len(order)-1], name)
			require.Equal(t, "new", get(t, c, key), name)
		}
		closeFleet(t, f, c)
	})
}

// The copy of a key becomes its owner. Who still goes by the list before copies it from there to the old owner, if that
// has come up empty. So a write deletes it on the new owner before it does on the old one.
func TestRule17ACopyThatBecomesTheOwnerIsClearedFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, heard := heardBy(t, 4)
		before, after := f.nodes()[:3], f.nodes()[1:]
		old := ringOf(t, ring.Config{Nodes: before, Copies: 2})
		now := ringOf(t, ring.Config{Nodes: after, Copies: 2})
		key, owner := "", ""
		for i := 0; key == ""; i++ {
			k := fmt.Sprint("key", i)
			was := old.Lookup(k)
			if owner = old.Nodes()[was[1]].Name; owner == now.Owner(k).Name && old.Nodes()[was[0]].Name == "node0" {
				key = k
			}
		}
		c := f.client(client.Config{Nodes: before, ReplicationFactor: 2})
		require.NoError(t, c.SetNodes(after))
		time.Sleep(client.DefaultAnnounce + time.Second)
		l, err := c.LeaseWrite(t.Context(), key)
		require.NoError(t, err)
		_, err = c.Fill(t.Context(), l, client.Item{Value: []byte("new")})
		require.NoError(t, err)
		order := heard()
		require.Contains(t, order, owner)
		require.Less(t, slices.Index(order, owner), slices.Index(order, "node0"))
		require.Equal(t, owner+" stores", order[len(order)-1])
		closeFleet(t, f, c)
	})
}
