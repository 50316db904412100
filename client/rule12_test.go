package client_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/memproto"
	"github.com/memherd/memherd/hotkey"
	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/ring"
)

// warmest makes key hot for a client and returns the reads of it that each node has had since.
func warmest(t *testing.T, c *client.Client, key string) {
	t.Helper()
	for range 3000 {
		get(t, c, key)
	}
	require.Equal(t, key, c.HotKeys(1)[0].Key)
	require.Greater(t, c.HotKeys(1)[0].Level, hotkey.LevelCold)
}

// readsByNode counts what each node of a logged fleet was asked for key.
func readsByNode(l *logged, key string) map[string]int {
	out := map[string]int{}
	for _, s := range l.take() {
		var node, cmd, k string
		if n, _ := fmt.Sscan(s, &node, &cmd, &k); n == 3 && k == key && (cmd == "mg" || cmd == "get") {
			out[node]++
		}
	}
	return out
}

func spreading() *hotkey.Config { return &hotkey.Config{Budget: -1, Staleness: -1} }

// A hot key is read from all its copies, a cold one from its owner, and none is without HotKeys.
func TestRule12HotKeysAreReadFromAllCopies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogged(t, 3)
		c := l.client(client.Config{ReplicationFactor: 3, HotKeys: spreading()})
		plain := l.client(client.Config{ReplicationFactor: 3})
		read := map[string]func(c *client.Client, key string) string{
			"Get": func(c *client.Client, key string) string { return get(t, c, key) },
			"GetMulti": func(c *client.Client, key string) string {
				found, err := c.GetMulti(t.Context(), []string{key})
				require.NoError(t, err)
				return string(found[key].Value)
			},
			"Lease": func(c *client.Client, key string) string {
				lease, err := c.Lease(t.Context(), key, client.LeaseOptions{})
				require.NoError(t, err)
				require.Equal(t, "hit", lease.State.String())
				return string(lease.Item.Value)
			},
		}
		set(t, c, "hot", "v")
		warmest(t, c, "hot")
		warmest(t, plain, "hot")
		before := c.Counters().Spread
		for name, r := range read {
			l.take()
			for range 900 {
				require.Equal(t, "v", r(c, "hot"), name)
			}
			for node, n := range readsByNode(l, "hot") {
				require.InDelta(t, 300, n, 90, "%s on %s", name, node)
			}
			set(t, c, "cold"+name, "v")
			for range 10 {
				require.Equal(t, "v", r(c, "cold"+name))
			}
			require.Len(t, readsByNode(l, "cold"+name), 1, name)
			for range 20 {
				require.Equal(t, "v", r(plain, "hot"))
			}
			require.Len(t, readsByNode(l, "hot"), 1, name)
		}
		require.InDelta(t, 3*600, c.Counters().Spread-before, 300)
		require.Zero(t, c.Counters().Steered)
		require.Zero(t, plain.Counters().Spread)
		lease, err := c.Lease(t.Context(), "hot", client.LeaseOptions{Home: true})
		require.NoError(t, err)
		require.Equal(t, "hit", lease.State.String())
		l.closeAll(c, plain)
	})
}

// Of two copies the one with fewer requests under way is asked.
func TestRule12TheLessBusyCopyIsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogged(t, 2)
		c := l.client(client.Config{ReplicationFactor: 2, HotKeys: spreading(), Timeout: time.Minute})
		set(t, c, "hot", "v")
		warmest(t, c, "hot")
		l.take()
		l.decide(func(node string, r *memproto.Request) nodeserver.Verdict {
			if node == "node0" {
				return nodeserver.Verdict{Delay: 9 * time.Millisecond}
			}
			return nodeserver.Verdict{Delay: time.Millisecond}
		})
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				for range 50 {
					get(t, c, "hot")
				}
			})
		}
		wg.Wait()
		n := readsByNode(l, "hot")
		require.Greater(t, n["node1"], 2*n["node0"], "%v", n)
		l.closeAll(c)
	})
}

// Of two copies with as many requests under way the one is asked that was asked less of late, whatever for: reads of a hot
// key make up for those of cold keys, and a node of three times the weight bears three times as much.
func TestRule12TheCopyThatWasAskedLessIsAsked(t *testing.T) {
	for weight, share := range map[int]float64{1: 0.5, 3: 0.75} {
		t.Run(fmt.Sprint(weight), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLogged(t, 2)
				nodes := l.nodes()
				nodes[0].Weight = weight
				c := l.client(client.Config{Nodes: nodes, ReplicationFactor: 2, HotKeys: spreading()})
				set(t, c, "hot", "v")
				warmest(t, c, "hot")
				first := nodes[0].Name
				var cold []string // of the lighter node
				owners := ringOf(t, ring.Config{Nodes: nodes, Copies: 2})
				for i := 0; len(cold) < 200; i++ {
					if k := fmt.Sprint("cold", i); owners.Owner(k).Name != first {
						cold = append(cold, k)
						set(t, c, k, "v")
					}
				}
				time.Sleep(20 * time.Second) // what was asked so far is forgotten
				before := map[string]uint64{}
				for _, s := range c.Nodes() {
					before[s.Node.Name] = s.Ops
				}
				// Every fourth read is of a cold key, which the lighter node has to bear.
				for i := range 2000 {
					if i%4 == 0 {
						get(t, c, cold[i/4%len(cold)])
					} else {
						get(t, c, "hot")
					}
				}
				ops := map[string]float64{}
				for _, s := range c.Nodes() {
					ops[s.Node.Name] = float64(s.Ops - before[s.Node.Name])
				}
				require.InDelta(t, share, ops[first]/2000, 0.02, "%v", ops)
				l.closeAll(c)
			})
		})
	}
}

// What counts is the last seconds: the copy that was asked less makes up for the moment before, and for nothing that was long ago. A node that was
// away, or just well off, would be asked alone for minutes otherwise.
func TestRule12WhatWasAskedLongAgoIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogged(t, 2)
		c := l.client(client.Config{ReplicationFactor: 2, HotKeys: spreading()})
		set(t, c, "hot", "v")
		warmest(t, c, "hot")
		owners, next := ringOf(t, ring.Config{Nodes: l.nodes(), Copies: 2}), 0
		for _, idle := range []time.Duration{20 * time.Second, 1500 * time.Millisecond} {
			time.Sleep(time.Minute)
			for asked := 0; asked < 2000; next++ { // each once: they are not to be hot
				if k := fmt.Sprint("cold", next); owners.Owner(k).Name == "node0" {
					_, err := c.Get(t.Context(), k)
					require.ErrorIs(t, err, client.ErrCacheMiss)
					asked++
				}
			}
			time.Sleep(idle)
			l.take()
			for range 1000 {
				get(t, c, "hot")
			}
			n := readsByNode(l, "hot")
			// node0 was asked for 2000 more, of which half are forgotten each second.
			if idle > 10*time.Second {
				require.InDelta(t, 500, n["node0"], 50, "%v", n)
			} else {
				require.Greater(t, n["node1"], 700, "%v", n)
			}
		}
		l.closeAll(c)
	})
}

// A copy that is slow is asked for no hot key, whichever of them it is: the others share its reads.
func TestRule12ASlowCopyIsNotAsked(t *testing.T) {
	for at := range 3 {
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLogged(t, 3)
				c := l.client(client.Config{ReplicationFactor: 3, HotKeys: spreading(), Timeout: time.Second})
				set(t, c, "hot", "v")
				warmest(t, c, "hot")
				slow := l.placed(3, "hot")[at]
				l.decide(func(node string, _ *memproto.Request) nodeserver.Verdict {
					if node == slow {
						return nodeserver.Verdict{Delay: 20 * time.Millisecond}
					}
					return nodeserver.Verdict{Delay: 500 * time.Microsecond}
				})
				for began := time.Now(); time.Since(began) < 4*time.Second; {
					get(t, c, "hot")
				}
				l.take()
				for range 640 {
					get(t, c, "hot")
				}
				n := readsByNode(l, "hot")
				require.Less(t, n[slow], 40, "but to see whether it is well again: %v", n)
				l.closeAll(c)
			})
		})
	}
}

// What another copy does not have the owner is asked for: a miss there is none.
func TestRule12AMissIsTheOwnersToTell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogged(t, 2)
		c := l.client(client.Config{ReplicationFactor: 2, HotKeys: spreading()})
		set(t, c, "hot", "v")
		warmest(t, c, "hot")
		second := l.placed(2, "hot")[1]
		at := slices.Index(l.names, second)
		one := l.client(client.Config{Nodes: l.nodes()[at : at+1]})
		_, err := one.Delete(t.Context(), "hot")
		require.NoError(t, err)
		for range 200 {
			require.Equal(t, "v", get(t, c, "hot"))
		}
		require.Zero(t, c.Counters().Misses)
		_, err = c.Delete(t.Context(), "hot")
		require.NoError(t, err)
		_, err = c.Get(t.Context(), "hot")
		require.ErrorIs(t, err, client.ErrCacheMiss)
		l.closeAll(c, one)
	})
}

// A copy that has not confirmed a write of the key is not read, whatever else it has, nor is one that has lost its
// memory: rule 7's exclusion and the cold window.
func TestRule12ACopyInDoubtIsNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogged(t, 2)
		c := l.client(client.Config{ReplicationFactor: 2, HotKeys: spreading(), Timeout: 50 * time.Millisecond})
		set(t, c, "hot", "old")
		warmest(t, c, "hot")
		second := l.placed(2, "hot")[1]
		// The second copy keeps a set to itself and answers reads.
		l.decide(func(node string, r *memproto.Request) nodeserver.Verdict {
			if node == second && r.Cmd == memproto.CmdMetaSet {
				return nodeserver.Verdict{Delay: 40 * time.Millisecond}
			}
			return nodeserver.Verdict{}
		})
		set(t, c, "hot", "new")
		for range 200 {
			require.Equal(t, "new", get(t, c, "hot"), "a write that has returned is seen")
		}

		// A write that the copy has not confirmed within the Timeout is owed, and the copy not read.
		l.decide(func(node string, r *memproto.Request) nodeserver.Verdict {
			if node == second && (r.Cmd == memproto.CmdMetaSet || r.Cmd == memproto.CmdMetaDelete) {
				return nodeserver.Verdict{Drop: true}
			}
			return nodeserver.Verdict{}
		})
		_, _ = c.Set(t.Context(), client.Item{Key: "hot", Value: []byte("newest")})
		for range 200 {
			// Once the debt is paid the key is gone from every copy.
			if it, err := c.Get(t.Context(), "hot"); err == nil {
				require.Equal(t, "newest", string(it.Value))
			} else {
				require.ErrorIs(t, err, client.ErrCacheMiss)
			}
			time.Sleep(time.Millisecond)
		}
		l.decide(func(string, *memproto.Request) nodeserver.Verdict { return nodeserver.Verdict{} })
		require.Eventually(t, func() bool { return stateOf(c, second) == "up" }, time.Minute, 10*time.Millisecond)

		time.Sleep(time.Second) // what was owed may be deleted twice
		set(t, c, "hot", "newest")
		l.kill(second)
		l.restart(second)
		require.Eventually(t, func() bool { return stateOf(c, second) == "up" && c.Ping(t.Context()) == nil }, time.Minute, 10*time.Millisecond)
		get(t, c, "hot")
		time.Sleep(2 * time.Second)
		l.take()
		for range 200 {
			require.Equal(t, "newest", get(t, c, "hot"))
		}
		require.Zero(t, readsByNode(l, "hot")[second], "it is cold")
		l.closeAll(c)
	})
}
