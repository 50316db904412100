package client_test

import (
	"fmt"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/memproto"
	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/ring"
)

// The steps of a change, seen from outside.
func TestRule17Steps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newMemFleet(t, 4, nodeserver.Config{})
		announced := make(chan [2][]string, 10)
		changed := make(chan int, 10)
		c := f.client(client.Config{Nodes: f.nodes()[:3], ReplicationFactor: 2, Hooks: client.Hooks{
			TopologyAnnounced: func(joining, leaving []string) { announced <- [2][]string{joining, leaving} },
			TopologyChanged:   func(n int) { changed <- n },
		}})
		phases := func() (out []string) {
			for _, s := range c.Nodes() {
				switch {
				case s.Joining:
					out = append(out, s.Node.Name+" joining")
				case s.Leaving:
					out = append(out, s.Node.Name+" leaving")
				default:
					out = append(out, s.Node.Name)
				}
			}
			return out
		}
		for i := range 200 {
			set(t, c, fmt.Sprint("k", i), strconv.Itoa(i))
		}
		require.NoError(t, c.SetNodes(f.nodes()[1:]))
		require.Len(t, announced, 1)
		require.Equal(t, [2][]string{{"node3"}, {"node0"}}, <-announced)
		require.Equal(t, []string{"node0 leaving", "node1", "node2", "node3 joining"}, phases())
		require.NoError(t, c.SetNodes(f.nodes()[1:]), "the same again")
		time.Sleep(client.DefaultAnnounce - time.Nanosecond)
		synctest.Wait()
		require.Empty(t, changed)
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		require.Len(t, changed, 1)
		<-changed
		require.Equal(t, []string{"node0 leaving", "node1", "node2", "node3"}, phases())
		for i := range 200 {
			require.Equal(t, strconv.Itoa(i), get(t, c, fmt.Sprint("k", i)))
		}
		require.NotZero(t, c.Counters().Restored)
		time.Sleep(2 * time.Second) // the copies that are made behind the reader's back
		for i := range 200 {
			require.Equal(t, strconv.Itoa(i), get(t, c, fmt.Sprint("k", i)))
		}
		time.Sleep(client.DefaultMigration + client.DefaultAnnounce)
		synctest.Wait()
		require.Len(t, c.Nodes(), 4, "for one announce more it hears of deletes")
		time.Sleep(client.DefaultAnnounce)
		synctest.Wait()
		require.Equal(t, []string{"node1", "node2", "node3"}, phases())
		require.Empty(t, announced)
		closeFleet(t, f, c)
	})
}

// Changes that come faster than they can be announced are one.
func TestRule17ChangesAreCoalesced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newMemFleet(t, 6, nodeserver.Config{})
		changed := make(chan int, 100)
		c := f.client(client.Config{Nodes: f.nodes()[:3], ReplicationFactor: 2, Hooks: client.Hooks{TopologyChanged: func(n int) { changed <- n }}})
		set(t, c, "k", "v")
		for i := range 62 {
			require.NoError(t, c.SetNodes(f.nodes()[:3+(i+2)%4]))
			time.Sleep(200 * time.Millisecond)
			require.Equal(t, "v", get(t, c, "k"))
		}
		synctest.Wait()
		require.Empty(t, changed)
		time.Sleep(client.DefaultAnnounce)
		synctest.Wait()
		require.Len(t, changed, 1)
		require.Equal(t, 6, <-changed)
		require.Equal(t, "v", get(t, c, "k"))
		closeFleet(t, f, c)
	})
}

// A node that is dead is waited for like any other. It may start again while others have yet to hear that it leaves: they
// take it for the one copy of its keys, and what they delete there was read on their next owner if somebody had
// switched at once.
func TestRule17TheDeadMayComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newMemFleet(t, 3, nodeserver.Config{})
		began := time.Now()
		var took time.Duration
		early := f.client(client.Config{ReplicationFactor: 1, Hooks: client.Hooks{TopologyChanged: func(int) { took = time.Since(began) }}})
		late := f.client(client.Config{ReplicationFactor: 1})
		fleet := ringOf(t, ring.Config{Nodes: f.nodes()})
		key := ""
		for i := 0; key == "" || fleet.Owner(key).Name != "node0"; i++ {
			key = fmt.Sprint("k", i)
		}
		for _, c := range []*client.Client{early, late} {
			require.NoError(t, c.Ping(t.Context()))
		}
		f.kill("node0")
		require.NoError(t, early.SetNodes(f.nodes()[1:]))
		time.Sleep(2 * time.Second)
		_, _ = early.Set(t.Context(), client.Item{Key: key, Value: []byte("old")})
		f.restart("node0")
		time.Sleep(2 * time.Second)
		out, err := late.Delete(t.Context(), key)
		require.NoError(t, err)
		require.Equal(t, 1, out.Confirmed)
		_, err = early.Get(t.Context(), key)
		require.ErrorIs(t, err, client.ErrCacheMiss)
		require.NoError(t, late.SetNodes(f.nodes()[1:]))
		time.Sleep(2 * client.DefaultAnnounce)
		synctest.Wait()
		require.Equal(t, client.DefaultAnnounce, took)
		closeFleet(t, f, early, late)
	})
}

// A node that was taken out and comes back may hold anything: it is read again only if it is
// another process, or the operator says so.
func TestRule17ANodeThatComesBack(t *testing.T) {
	for _, renewed := range []bool{true, false} {
		t.Run(fmt.Sprint("renewed=", renewed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newMemFleet(t, 3, nodeserver.Config{})
				overflowed := make(chan string, 10)
				c := f.client(client.Config{ReplicationFactor: 2, MigrationWindow: client.NoMigrationWindow, Hooks: client.Hooks{
					DebtOverflow: func(name string) { overflowed <- name },
				}})
				for i := range 50 {
					set(t, c, fmt.Sprint("k", i), "old")
				}
				time.Sleep(time.Minute)
				require.NoError(t, c.SetNodes(f.nodes()[1:]))
				time.Sleep(time.Minute)
				synctest.Wait()
				require.Len(t, c.Nodes(), 2)
				for i := range 50 {
					set(t, c, fmt.Sprint("k", i), "new")
				}
				if renewed {
					f.kill("node0")
					f.restart("node0")
					time.Sleep(5 * time.Second)
				}
				require.NoError(t, c.SetNodes(f.nodes()))
				time.Sleep(time.Minute)
				synctest.Wait()
				require.Len(t, overflowed, 1)
				require.Equal(t, "node0", <-overflowed)
				state := func() client.Status { return c.Nodes()[0] }
				require.Equal(t, renewed, state().State == "up")
				require.Equal(t, !renewed, state().DebtOverflow)
				for i := range 50 {
					require.Equal(t, "new", get(t, c, fmt.Sprint("k", i)))
				}
				if !renewed {
					require.NoError(t, c.FlushNode(t.Context(), "node0", 0))
					require.NoError(t, c.Readmit("node0"))
					time.Sleep(time.Minute)
					synctest.Wait()
					require.Equal(t, "up", state().State)
					for i := range 50 {
						require.Equal(t, "new", get(t, c, fmt.Sprint("k", i)))
					}
				}
				closeFleet(t, f, c)
			})
		})
	}
}

// A node that moves to where one was that has missed changes is held back there, and is at two addresses for a while: an operator who has
// flushed it says so by its name, and is heard whenever that is.
func TestReadmitOfANodeThatMoves(t *testing.T) {
	for _, switched := range []bool{false, true} {
		t.Run(fmt.Sprint("after the switch ", switched), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newMemFleet(t, 3, nodeserver.Config{})
				held := make(chan string, 1)
				c := f.client(client.Config{MigrationWindow: time.Minute, Hooks: client.Hooks{DebtOverflow: func(node string) { held <- node }}})
				defer closeFleet(t, f, c)
				set(t, c, "k", "v")
				nodes := f.nodes()
				require.NoError(t, c.Ping(t.Context()))
				require.NoError(t, c.SetNodes(nodes[:2]))
				time.Sleep(5 * time.Minute)
				other := f.client(client.Config{Nodes: nodes[2:], EpochKey: client.NoEpoch})
				defer other.Close()
				set(t, other, "left", "v")
				nodes[0].Addr = nodes[2].Addr
				require.NoError(t, c.SetNodes(nodes[:2]))
				require.Equal(t, "node0", <-held)
				time.Sleep(time.Second)
				if switched {
					time.Sleep(client.DefaultAnnounce)
				}
				require.NoError(t, c.FlushNode(t.Context(), "node0", 0))
				require.NoError(t, c.Readmit("node0"))
				time.Sleep(time.Minute)
				for _, s := range c.Nodes() {
					require.Equal(t, "up", s.State, s.Node)
				}
				_, err := other.Get(t.Context(), "left")
				require.ErrorIs(t, err, client.ErrCacheMiss, "it was flushed at both addresses")
			})
		})
	}
}

// Of a node that moves to another address the statistics are those of the address in force, whichever answers first.
func TestStatsOfANodeThatMoves(t *testing.T) {
	for _, slow := range []string{"node0", "node1"} {
		t.Run(slow+" is slow", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLogged(t, 2)
				l.decide(func(node string, r *memproto.Request) (v nodeserver.Verdict) {
					if node == slow && (r.Cmd == memproto.CmdStats || r.Cmd == memproto.CmdVersion) {
						v.Delay = 10 * time.Millisecond
					}
					return v
				})
				nodes := l.nodes()
				c := l.client(client.Config{Nodes: nodes[:1]})
				defer l.closeAll(c)
				for i := range 10 {
					set(t, c, fmt.Sprint("k", i), "v")
				}
				nodes[0].Addr = nodes[1].Addr
				require.NoError(t, c.SetNodes(nodes[:1]))
				for _, first := range []bool{true, false} { // where the keys are, and where nothing is
					stats, err := c.Stats(t.Context())
					require.NoError(t, err)
					require.Len(t, stats, 1)
					require.Equal(t, first, len(stats["node0"]["cmd_set"]) > 1, stats["node0"]["cmd_set"])
					time.Sleep(client.DefaultAnnounce + time.Second)
				}
			})
		})
	}
}

// The schedule that breaks filling an owner at once that was a copy before: a delete of somebody who takes it for a copy still has passed
// it, and is on its way to the old owner, when a reader misses the key there and finds it with the old owner. At every moment
// from before the reader goes by the new list until the deleter does, too.
func TestRule17ADeleteThatHasPassedTheNewOwner(t *testing.T) {
	old := 0
	for at := -100 * time.Millisecond; at < 2*time.Second; at += 50 * time.Millisecond {
		synctest.Test(t, func(t *testing.T) {
			l := newLogged(t, 3)
			cfg := client.Config{ReplicationFactor: 2, Timeout: 2 * time.Second}
			reader, deleter := l.client(cfg), l.client(cfg)
			key := l.keyOn("node0", "node1")
			store(t, deleter, key, "old", time.Hour)
			require.NoError(t, reader.SetNodes(l.nodes()[1:]))
			time.Sleep(client.DefaultAnnounce + at)
			require.Equal(t, "old", get(t, reader, key))
			l.decide(func(node string, r *memproto.Request) nodeserver.Verdict {
				if r.Cmd == memproto.CmdMetaDelete && node == "node0" {
					return nodeserver.Verdict{Delay: 300 * time.Millisecond}
				}
				return nodeserver.Verdict{}
			})
			done := make(chan struct{})
			go func() {
				defer close(done)
				_, err := deleter.Delete(t.Context(), key)
				require.NoError(t, err)
			}()
			time.Sleep(100 * time.Millisecond) // node1 has heard of it
			if found, err := reader.Get(t.Context(), key); err == nil {
				require.Equal(t, "old", string(found.Value), "not acknowledged yet")
				old++
			}
			<-done
			time.Sleep(3 * time.Second)
			only := l.client(client.Config{Nodes: []ring.Node{{Name: "node1", Addr: "node1:1"}}})
			for _, c := range []*client.Client{only, reader, deleter} {
				_, err := c.Get(t.Context(), key)
				require.ErrorIs(t, err, client.ErrCacheMiss, "%v after the reader's switch", at)
			}
			l.closeAll(reader, deleter, only)
		})
	}
	require.Positive(t, old, "no reader found it with the old owner: this tests nothing")
}
