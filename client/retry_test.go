package client_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/client/memproto"
	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/nodeserver/stock"
	"github.com/memherd/memherd/ring"
)

// everyCall is calls, with those that take no key: all that can fail on a node.
func everyCall(t *testing.T, c *client.Client, key string) map[string]func() error {
	ctx := context.Background()
	out := calls(c, ctx, key)
	out["Ping"] = func() error { return c.Ping(ctx) }
	out["Stats"] = func() error { _, err := c.Stats(ctx); return err }
	out["StatsOf"] = func() error { _, err := c.StatsOf(ctx, client.StatsItems); return err }
	out["Versions"] = func() error { _, err := c.Versions(ctx); return err }
	out["FlushAll"] = func() error { return c.FlushAll(ctx) }
	out["FlushAllAfter"] = func() error { return c.FlushAllAfter(ctx, time.Hour) }
	out["FlushNode"] = func() error { return c.FlushNode(ctx, c.Nodes()[0].Node.Name, 0) }
	out["Get with Touch"] = func() error {
		_, _, err := c.GetWith(ctx, key, client.GetOptions{Touch: true, TTL: time.Minute})
		return err
	}
	delete(out, "Fill") // needs a lease that was good: see TestFillTellsHowFarItGot
	return out
}

// silent is the call that reports no failure of a node by contract: a write-through
// without tokens deletes instead.
const silent = "LeaseWrite"

// (a) Nobody takes the connection: nothing was sent, and every call says so.
func TestARefusedDialIsSafeToRetry(t *testing.T) {
	for copies := 1; copies <= 2; copies++ {
		dial := func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("refused") }
		nodes := ring.Addrs("cache0:1", "cache1:1")
		names := everyCall(t, newClient(t, client.Config{Nodes: nodes, DialContext: dial}), "k")
		for name := range names {
			// A client each: none inherits another's open breaker.
			c := newClient(t, client.Config{Nodes: nodes, ReplicationFactor: copies, DialContext: dial})
			err := everyCall(t, c, "k")[name]()
			if name == silent {
				require.NoError(t, err)
				continue
			}
			require.Error(t, err, name)
			require.True(t, client.SafeToRetry(err), "R=%d %s: %v", copies, name, err)
			require.True(t, errors.Is(err, client.ErrNodeDown) || errors.Is(err, client.ErrOwnerDown), "%s: %v", name, err)
			for range 2 { // and again, with the breaker open
				err = everyCall(t, c, "k")[name]()
				require.True(t, client.SafeToRetry(err), "R=%d %s: %v", copies, name, err)
			}
		}
	}
}

// (b) The connection is cut after the request has run, or before: nobody can know.
func TestACutConnectionIsUnknown(t *testing.T) {
	for copies, verdict := range map[int]nodeserver.Verdict{1: {DropAfter: true}, 2: {Drop: true}} {
		names := everyCall(t, noDial(t), "k")
		for name := range names {
			l := newLogged(t, 2)
			c := l.client(client.Config{ReplicationFactor: copies, MinWriteAcks: copies})
			set(t, c, "k", "1")
			set(t, c, "good", "1")
			require.NoError(t, c.Ping(t.Context()))
			l.decide(func(_ string, r *memproto.Request) nodeserver.Verdict { return verdict })
			err := everyCall(t, c, "k")[name]()
			if name == silent {
				require.NoError(t, err)
				continue
			}
			require.Error(t, err, name)
			require.False(t, client.SafeToRetry(err), "R=%d %s: %v", copies, name, err)
			var failure *client.Error
			require.ErrorAs(t, err, &failure, name)
			require.Equal(t, item.SentUnknown, failure.Sent, "R=%d %s: %v", copies, name, err)
			require.Contains(t, err.Error(), "node", name)
		}
	}
}

func TestFillTellsHowFarItGot(t *testing.T) {
	for _, copies := range []int{1, 2} {
		l := newLogged(t, 2)
		c := l.client(client.Config{ReplicationFactor: copies})
		lease := won(t, c, "k")
		l.decide(func(string, *memproto.Request) nodeserver.Verdict { return nodeserver.Verdict{DropAfter: true} })
		_, err := c.Fill(context.Background(), lease, client.Item{Value: []byte("v")})
		require.Error(t, err)
		require.False(t, client.SafeToRetry(err), "%v", err)
		// The first may have got there, as it has, and the node's memory is what it was.
		l.decide(func(string, *memproto.Request) nodeserver.Verdict { return nodeserver.Verdict{} })
		require.Eventually(t, func() bool { return c.Ping(context.Background()) == nil }, time.Minute, time.Millisecond)
		_, err = c.Fill(context.Background(), lease, client.Item{Value: []byte("v")})
		require.ErrorIs(t, err, client.ErrLeaseLost)
		require.False(t, client.SafeToRetry(err))
	}
}

// Counters and the like reach a node once at most, whatever becomes of the answer.
func TestWhatMustNotRunTwiceIsSentOnce(t *testing.T) {
	for _, verdict := range []nodeserver.Verdict{{DropAfter: true}, {Drop: true}} {
		for _, name := range []string{"Add", "Replace", "Append", "Prepend", "CompareAndSwap", "Increment", "Decrement", "Count"} {
			l := newLogged(t, 2)
			c := l.client(client.Config{ReplicationFactor: 2})
			set(t, c, "k", "1")
			var sent atomic.Int64
			l.decide(func(_ string, r *memproto.Request) nodeserver.Verdict {
				if r.Cmd != memproto.CmdMetaSet && r.Cmd != memproto.CmdMetaArith {
					return nodeserver.Verdict{}
				}
				sent.Add(1)
				return verdict
			})
			err := calls(c, context.Background(), "k")[name]()
			require.False(t, client.SafeToRetry(err), "%s: %v", name, err)
			require.EqualValues(t, 1, sent.Load(), name)
		}
	}
}

// One node did it and the other refuses connections: the call as a whole was sent.
func TestAPartialFailureIsNotSafeToRetry(t *testing.T) {
	for name, copies := range map[string]int{
		"Set": 2, "Delete": 2, "SetMulti": 1, "DeleteMulti": 1, "FlushAll": 1, "FlushAllAfter": 1,
	} {
		f := newMemFleet(t, 2, nodeserver.Config{})
		c := f.client(client.Config{ReplicationFactor: copies, MinWriteAcks: copies})
		l := &logged{memFleet: f}
		key := "k"
		for l.placed(copies, key)[0] != "node1" || l.placed(copies, "good")[0] == "node1" && copies == 1 {
			key += "k"
		}
		f.network.Kill("node1")
		err := everyCall(t, c, key)[name]()
		require.Error(t, err, name)
		require.False(t, client.SafeToRetry(err), "%s: %v", name, err)
		require.ErrorContains(t, err, "node1", name)
		require.NotContains(t, err.Error(), "on node0", name)
	}
}

// The first copy's answer was lost, the second takes no connections.
func TestALostAnswerIsNotHiddenByARefusedDial(t *testing.T) {
	for _, name := range []string{"Get", "GetInto", "GetWith", "GetMulti", "GetsMulti", "GetAndTouch", "Touch", "Lease", "Inspect"} {
		l := newLogged(t, 2)
		c := l.client(client.Config{ReplicationFactor: 2})
		first := l.placed(2, "k")
		alone := l.client(client.Config{Nodes: l.nodes()})
		require.NoError(t, alone.Ping(t.Context()))
		l.kill(first[1])
		l.decide(func(_ string, r *memproto.Request) nodeserver.Verdict {
			// A dial asks who is there, and is told.
			return nodeserver.Verdict{Drop: r.Cmd != memproto.CmdVersion && r.Cmd != memproto.CmdMetaNoop && r.Cmd != memproto.CmdStats}
		})
		err := calls(c, context.Background(), "k")[name]()
		require.Error(t, err, name)
		require.False(t, client.SafeToRetry(err), "%s: %v", name, err)
		require.ErrorContains(t, err, first[0], name)
	}
}

// (c) A node says no: nothing is unknown, and the same request would be refused again.
func TestARefusalIsAnAnswer(t *testing.T) {
	limits := client.Config{MaxValueBytes: 4 << 20, Timeout: 10 * time.Second, DialTimeout: 10 * time.Second} // a busy machine is no refusal
	for what, nodes := range map[string]func(t *testing.T) *client.Client{
		"memcached": func(t *testing.T) *client.Client {
			cfg := limits
			cfg.Nodes = ring.Addrs(stock.ForTest(t, "-F").Addr())
			return newClient(t, cfg)
		},
		"memnode": func(t *testing.T) *client.Client {
			l := newLogged(t, 1)
			l.decide(func(_ string, r *memproto.Request) nodeserver.Verdict {
				if r.Cmd == memproto.CmdFlushAll {
					return nodeserver.Verdict{Reply: []byte("CLIENT_ERROR flush_all not allowed\r\n")}
				}
				return nodeserver.Verdict{}
			})
			return l.client(limits)
		},
	} {
		t.Run(what, func(t *testing.T) {
			c := nodes(t)
			ctx := context.Background()
			big := client.Item{Key: "k", Value: make([]byte, 2<<20)}
			set(t, c, "k", "word")
			outcome := func(_ client.Outcome, err error) error { return err }
			refused := map[string]func() error{
				"Set":      func() error { return outcome(c.Set(ctx, big)) },
				"Add":      func() error { return outcome(c.Add(ctx, big)) },
				"Replace":  func() error { return outcome(c.Replace(ctx, big)) },
				"SetMulti": func() error { _, err := c.SetMulti(ctx, []client.Item{{Key: "good"}, big}); return err },
				"FlushAll": func() error { return c.FlushAll(ctx) },
				"FlushNode": func() error {
					return c.FlushNode(ctx, c.Nodes()[0].Node.Name, 0)
				},
				"Fill": func() error {
					_, err := c.Delete(ctx, "k")
					require.NoError(t, err)
					return outcome(c.Fill(ctx, won(t, c, "k"), big))
				},
			}
			for name, call := range refused {
				err := call()
				require.Error(t, err, name)
				var failure *client.Error
				require.ErrorAs(t, err, &failure, name)
				require.Equal(t, item.Answered, failure.Sent, "%s: %v", name, err)
				require.False(t, client.SafeToRetry(err), name)
				if !strings.HasPrefix(name, "Flush") {
					require.ErrorIs(t, err, client.ErrTooLarge, name)
				}
			}
			set(t, c, "k", "word")
			_, err := c.Increment(ctx, "k", 1)
			require.ErrorIs(t, err, client.ErrNotNumber)
			require.False(t, client.SafeToRetry(err))
		})
	}
}
