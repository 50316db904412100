package client_test

import (
	"context"
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

// hedgedReads are the reads that may be hedged.
var hedgedReads = map[string]func(t *testing.T, c *client.Client, key string) string{
	"Get":      func(t *testing.T, c *client.Client, key string) string { return get(t, c, key) },
	"GetMulti": func(t *testing.T, c *client.Client, key string) string { return getMany(t, c, key)[key] },
	"Lease": func(t *testing.T, c *client.Client, key string) string {
		l, err := c.Lease(t.Context(), key, client.LeaseOptions{})
		require.NoError(t, err)
		return string(l.Item.Value)
	},
}

// A hedge is a read of another copy, and keeps off those that reads keep off (consistency rule 12): one that has not confirmed a write of the key, one
// that has lost its memory or is new to the key, and one that is slow itself. Nor is a home copy hedged that has lost its memory: it is restored.
func TestRule12NoHedgeOnACopyInDoubt(t *testing.T) {
	for name, doubt := range map[string]func(t *testing.T, l *logged, c *client.Client, slow *atomic.Bool, owner, other string){
		"a write under way": func(t *testing.T, l *logged, c *client.Client, _ *atomic.Bool, _, _ string) {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
			defer cancel()
			out, err := c.Set(ctx, client.Item{Key: "k", Value: []byte("new")})
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.Equal(t, 1, out.Confirmed)
		},
		"another copy without memory": func(t *testing.T, l *logged, c *client.Client, _ *atomic.Bool, _, other string) {
			set(t, c, "k", "new")
			l.kill(other)
			l.restart(other)
			require.Eventually(t, func() bool { return stateOf(c, other) == "up" && c.Ping(t.Context()) == nil }, time.Minute, 10*time.Millisecond)
			time.Sleep(2 * time.Second)
		},
		"a home copy without memory": func(t *testing.T, l *logged, c *client.Client, _ *atomic.Bool, owner, _ string) {
			l.kill(owner)
			l.restart(owner)
			require.Eventually(t, func() bool { return stateOf(c, owner) == "up" && c.Ping(t.Context()) == nil }, time.Minute, 10*time.Millisecond)
			time.Sleep(2 * time.Second)
			set(t, c, "k", "new")
		},
		"a slow copy": func(t *testing.T, l *logged, c *client.Client, slow *atomic.Bool, _, other string) {
			set(t, c, "k", "new")
			slow.Store(true)
			for began := time.Now(); time.Since(began) < 3*time.Second; time.Sleep(time.Millisecond) {
				for _, key := range keys("some") {
					_, _ = c.Get(t.Context(), key)
				}
			}
			for _, n := range c.Nodes() {
				require.Equal(t, n.Node.Name == other, n.Slow, n.Node.Name)
			}
			for range 1000 { // what hedges may cost is earned anew
				get(t, c, "k")
			}
		},
		"a copy that is back": func(t *testing.T, l *logged, c *client.Client, _ *atomic.Bool, _, other string) {
			set(t, c, "k", "new")
			l.network.Partition(other, true)
			for _, key := range keys("some") {
				set(t, c, key, "v")
			}
			require.Equal(t, "down", stateOf(c, other))
			l.network.Partition(other, false)
			require.Eventually(t, func() bool {
				for _, n := range c.Nodes() {
					if n.Node.Name == other {
						return n.Quarantined && n.Conns > 0
					}
				}
				return false
			}, time.Minute, 10*time.Millisecond)
		},
	} {
		for kind, read := range hedgedReads {
			t.Run(name+", "+kind, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l := newLogged(t, 3)
					c := l.client(client.Config{ReplicationFactor: 2, HedgeAfter: 2 * time.Millisecond, Timeout: time.Second, RejoinDelay: 5 * time.Second})
					set(t, c, "k", "old")
					owner, other := l.placed(2, "k")[0], l.placed(2, "k")[1]
					var slow, late atomic.Bool
					l.decide(func(node string, r *memproto.Request) (v nodeserver.Verdict) {
						v.Delay = 100 * time.Microsecond
						switch {
						case node == owner && late.Load() && string(r.Key) == "k" && (r.Cmd == memproto.CmdMetaGet || r.Cmd == memproto.CmdGet):
							v.Delay = 20 * time.Millisecond
						case node == other && slow.Load():
							v.Delay = 30 * time.Millisecond
						case name == "a write under way" && node == other && r.Cmd == memproto.CmdMetaSet:
							v.Delay = 300 * time.Millisecond
						}
						return v
					})
					doubt(t, l, c, &slow, owner, other)
					late.Store(true)
					before := c.Counters()
					l.take()
					require.Equal(t, "new", read(t, c, "k"))
					require.Equal(t, before.Hedged, c.Counters().Hedged)
					require.Equal(t, []string{owner + " mg k"}, l.take())
					time.Sleep(time.Second)
					l.closeAll(c)
				})
			})
		}
	}
}

// The copy that a change of the fleet has given a key lacks what was stored before, or has something older: it is asked for no hedge.
func TestRule12NoHedgeOnACopyThatIsNew(t *testing.T) {
	for kind, read := range hedgedReads {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLogged(t, 4)
				old := ringOf(t, ring.Config{Nodes: l.nodes(), Copies: 2})
				now := ringOf(t, ring.Config{Nodes: l.nodes()[1:], Copies: 2})
				// node0 leaves: a key of which it has the other copy.
				key := ""
				for i := 0; key == ""; i++ {
					k := fmt.Sprint("k", i)
					if old.Owner(k).Name == now.Owner(k).Name && old.Nodes()[old.Lookup(k)[1]].Name == "node0" {
						key = k
					}
				}
				owner, other := now.Owner(key).Name, now.Nodes()[now.Lookup(key)[1]].Name
				c := l.client(client.Config{ReplicationFactor: 2, HedgeAfter: 2 * time.Millisecond, Timeout: time.Second})
				set(t, c, key, "new")
				l.line(other, "set "+key+" 1 0 3\r\nold\r\n") // from an earlier time
				require.NoError(t, c.SetNodes(l.nodes()[1:]))
				time.Sleep(client.DefaultAnnounce + time.Second)
				l.decide(func(node string, r *memproto.Request) (v nodeserver.Verdict) {
					if node == owner && (r.Cmd == memproto.CmdMetaGet || r.Cmd == memproto.CmdGet) && string(r.Key) == key {
						v.Delay = 20 * time.Millisecond
					}
					return v
				})
				require.Equal(t, "new", read(t, c, key))
				require.Zero(t, c.Counters().Hedged)
				time.Sleep(5 * time.Second)
				l.closeAll(c)
			})
		})
	}
}

// A hedge opens no connection: dialling takes longer than it saves, and nobody is to wait for that when the home copy has answered meanwhile.
func TestAHedgeDialsNobody(t *testing.T) {
	for kind, read := range hedgedReads {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLogged(t, 2)
				owner, other := l.placed(2, "k")[0], l.placed(2, "k")[1]
				set(t, l.client(client.Config{ReplicationFactor: 2}), "k", "v")
				l.decide(func(node string, r *memproto.Request) (v nodeserver.Verdict) {
					if node == owner && string(r.Key) == "k" {
						v.Delay = 20 * time.Millisecond
					}
					return v
				})
				var dialled atomic.Int64
				c, err := client.New(client.Config{
					Nodes: l.nodes(), ReplicationFactor: 2, HedgeAfter: 2 * time.Millisecond, Timeout: time.Second,
					DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
						if strings.HasPrefix(addr, other) {
							dialled.Add(1)
							<-ctx.Done()
							return nil, ctx.Err()
						}
						return l.dial(ctx, network, addr)
					},
				})
				require.NoError(t, err)
				began := time.Now()
				require.Equal(t, "v", read(t, c, "k"))
				require.Equal(t, 20*time.Millisecond, time.Since(began))
				require.Zero(t, c.Counters().Hedged)
				require.Zero(t, dialled.Load())
				l.closeAll(c)
			})
		})
	}
}

// HedgeAuto waits for twice as long as all but a twentieth of the replies of the last second took.
func TestHedgeAutoFollowsTheSlowestTwentieth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogged(t, 2)
		c := l.client(client.Config{ReplicationFactor: 2, HedgeAfter: client.HedgeAuto, Timeout: time.Second})
		set(t, c, "k", "v")
		var takes atomic.Int64
		l.decide(func(node string, r *memproto.Request) nodeserver.Verdict {
			if r.Cmd != memproto.CmdMetaGet || string(r.Key) != "k" {
				return nodeserver.Verdict{Delay: 4 * time.Millisecond}
			}
			return nodeserver.Verdict{Delay: time.Duration(takes.Load())}
		})
		for began, i := time.Now(), 0; time.Since(began) < 4*time.Second; i++ {
			takes.Store(int64(4 * time.Millisecond))
			if i%10 == 0 {
				takes.Store(int64(6 * time.Millisecond))
			}
			get(t, c, "k")
		}
		require.Zero(t, c.Counters().Hedged)
		for _, then := range []struct {
			takes time.Duration
			hedge uint64
		}{{11 * time.Millisecond, 0}, {13 * time.Millisecond, 1}} {
			takes.Store(int64(then.takes))
			get(t, c, "k")
			require.Equal(t, then.hedge, c.Counters().Hedged, then.takes)
			time.Sleep(20 * time.Millisecond)
		}
		l.closeAll(c)
	})
}
