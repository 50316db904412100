package client_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
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

// load runs reads, writes and deletes from several goroutines until stop is closed, and
// counts what went wrong. Values carry their keys.
type load struct {
	ops, errs, wrong atomic.Int64
	first            atomic.Value // the first error's text
	rounds           rounds
	stop             chan struct{}
	wg               sync.WaitGroup
}

// rounds count, for each of some goroutines, the operations that it has finished.
type rounds []atomic.Int64

// pass waits until nothing is under way any more that was when it was called: a goroutine that the machine had no time for
// may have looked at a node long ago.
func (r rounds) pass(t *testing.T) {
	begun := make([]int64, len(r))
	for i := range r {
		begun[i] = r[i].Load()
	}
	for i := range r {
		require.Eventually(t, func() bool { return r[i].Load() > begun[i] }, time.Minute, time.Millisecond)
	}
}

func startLoad(c *client.Client) *load {
	l := &load{stop: make(chan struct{}), rounds: make(rounds, 8)}
	for g := range l.rounds {
		l.wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-l.stop:
					return
				default:
				}
				l.one(c, fmt.Sprintf("key:%d", (i*7+g)%500), i)
				l.rounds[g].Add(1)
			}
		})
	}
	return l
}

func (l *load) one(c *client.Client, key string, i int) {
	ctx := context.Background()
	var err error
	switch i % 5 {
	case 0:
		_, err = c.Set(ctx, client.Item{Key: key, Value: []byte("value of " + key)})
	case 1:
		_, err = c.Delete(ctx, key)
	case 2:
		var found map[string]client.Item
		found, err = c.GetMulti(ctx, []string{key, key + "x", "key:0"})
		for k, it := range found {
			l.check(k, it)
		}
	default:
		var it client.Item
		it, err = c.Get(ctx, key)
		if errors.Is(err, client.ErrCacheMiss) {
			err = nil
		} else if err == nil {
			l.check(key, it)
		}
	}
	l.ops.Add(1)
	if err != nil {
		l.errs.Add(1)
		l.first.CompareAndSwap(nil, err.Error())
	}
}

func (l *load) check(key string, it client.Item) {
	if string(it.Value) != "value of "+key {
		l.wrong.Add(1)
	}
}

// after waits until n more operations are done.
func (l *load) after(t *testing.T, n int64) {
	goal := l.ops.Load() + n
	require.Eventually(t, func() bool { return l.ops.Load() >= goal }, time.Minute, time.Millisecond)
}

func (l *load) finish(t *testing.T) {
	close(l.stop)
	l.wg.Wait()
	require.Zero(t, l.wrong.Load())
	require.Zero(t, l.errs.Load(), "of %d operations; the first: %v", l.ops.Load(), l.first.Load())
}

func stateOf(c *client.Client, name string) string {
	for _, n := range c.Nodes() {
		if n.Node.Name == name {
			return n.State
		}
	}
	return "no such node"
}

// soon is a RejoinDelay for tests that are busy meanwhile and in which nobody else owes a node anything.
const soon = 100 * time.Millisecond

func awaitState(t *testing.T, c *client.Client, name, state string) {
	t.Helper()
	require.Eventually(t, func() bool { return stateOf(c, name) == state }, time.Minute, time.Millisecond, "%s is %s, not %s", name, stateOf(c, name), state)
}

// A node is killed under load and comes back empty: with two copies no caller sees an
// error, neither then nor when it returns.
func TestALostNodeIsNoError(t *testing.T) {
	t.Run("memnode", func(t *testing.T) {
		f := newMemFleet(t, 3, nodeserver.Config{})
		c := f.client(client.Config{ReplicationFactor: 2, Timeout: 5 * time.Second})
		l := startLoad(c)
		for range 3 {
			l.after(t, 2000)
			f.kill("node1")
			awaitState(t, c, "node1", "down")
			l.after(t, 2000)
			f.restart("node1")
			awaitState(t, c, "node1", "up")
		}
		l.after(t, 2000)
		l.finish(t)
		require.NotZero(t, c.Counters().Owed)
	})
	t.Run("memcached", func(t *testing.T) {
		var servers []*stock.Server
		var addrs []string
		for range 3 {
			s := stock.ForTest(t)
			servers, addrs = append(servers, s), append(addrs, s.Addr())
		}
		c := newClient(t, client.Config{Nodes: ring.Addrs(addrs...), ReplicationFactor: 2, Timeout: 5 * time.Second, DialTimeout: 5 * time.Second})
		l := startLoad(c)
		l.after(t, 2000)
		require.NoError(t, servers[1].Kill())
		awaitState(t, c, addrs[1], "down")
		l.after(t, 2000)
		require.NoError(t, servers[1].Restart())
		awaitState(t, c, addrs[1], "up")
		l.after(t, 2000)
		l.finish(t)
	})
}

// A node hangs: it takes requests and answers none. The calls that were waiting fail
// over when their reply is overdue, later ones at once.
func TestAHungNodeIsNoError(t *testing.T) {
	t.Parallel() // it mostly waits
	s := stock.ForTest(t)
	other := stock.ForTest(t)
	c := newClient(t, client.Config{Nodes: ring.Addrs(s.Addr(), other.Addr()), ReplicationFactor: 2, RejoinDelay: soon, Timeout: time.Second})
	require.NoError(t, c.Ping(context.Background()))
	l := startLoad(c)
	l.after(t, 1000)
	require.NoError(t, s.Pause())
	awaitState(t, c, s.Addr(), "down")
	l.after(t, 5000)
	require.NoError(t, s.Resume())
	awaitState(t, c, s.Addr(), "up")
	l.after(t, 1000)
	l.finish(t)
}

// One copy: errors name the node and say that nothing was sent; when the node is back
// everything works again.
func TestALostNodeWithOneCopy(t *testing.T) {
	f := newMemFleet(t, 1, nodeserver.Config{})
	c := f.client(client.Config{})
	set(t, c, "k", "v")
	f.kill("node0")
	var err error
	require.Eventually(t, func() bool {
		_, err = c.Get(context.Background(), "k")
		return errors.Is(err, client.ErrNodeDown)
	}, time.Minute, time.Millisecond)
	require.ErrorContains(t, err, "node0")
	require.NotContains(t, err.Error(), `"k"`)
	// The connection of the first Get may have been alive when it was sent.
	_, err = c.Get(context.Background(), "k")
	require.ErrorIs(t, err, client.ErrNodeDown)
	require.True(t, client.SafeToRetry(err))
	_, err = c.Set(context.Background(), client.Item{Key: "k", Value: []byte("w")})
	require.ErrorIs(t, err, client.ErrNodeDown)
	require.Zero(t, c.Nodes()[0].Debt, "a write that reached nobody is not owed")
	_, err = c.Delete(context.Background(), "k")
	require.Error(t, err)
	require.Equal(t, 1, c.Nodes()[0].Debt, "a delete is")
	f.restart("node0")
	awaitState(t, c, "node0", "up")
	set(t, c, "k", "w")
	require.Equal(t, "w", get(t, c, "k"))
}

// While a node is down it is dialled seldom, and not by callers.
func TestDialsOfADownNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dials atomic.Int64
		c, err := client.New(client.Config{
			Nodes: ring.Addrs("10.0.0.1:1"),
			DialContext: func(context.Context, string, string) (net.Conn, error) {
				dials.Add(1)
				return nil, errors.New("refused")
			},
		})
		require.NoError(t, err)
		for range 1000 {
			_, err := c.Get(t.Context(), "k")
			require.ErrorIs(t, err, client.ErrNodeDown)
			time.Sleep(time.Millisecond)
		}
		require.LessOrEqual(t, dials.Load(), int64(10), "in the first second")
		dials.Store(0)
		time.Sleep(10 * time.Second)
		require.LessOrEqual(t, dials.Load(), int64(90), "it may be a restart")
		require.GreaterOrEqual(t, dials.Load(), int64(40), "and is found at once")
		time.Sleep(21 * time.Second)
		dials.Store(0)
		time.Sleep(10 * time.Second)
		require.LessOrEqual(t, dials.Load(), int64(25), "it is no restart")
		require.GreaterOrEqual(t, dials.Load(), int64(8))
		require.NoError(t, c.Close())
	})
}

// A node is cut off with its memory, keys are deleted and set meanwhile, and it heals:
// this client never reads from it what it missed (rule 14).
func TestRule14DebtIsPaidBeforeReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newMemFleet(t, 2, nodeserver.Config{})
		var owed, up atomic.Int64
		c := f.client(client.Config{ReplicationFactor: 2, Timeout: 50 * time.Millisecond, RejoinDelay: soon, Hooks: client.Hooks{
			Owed:   func(string, int) { owed.Add(1) },
			NodeUp: func(_ string, paid int) { up.Add(int64(paid)) },
		}})
		ctx := context.Background()
		const n = 300
		for i := range n {
			set(t, c, fmt.Sprint("k", i), "old")
		}
		f.network.Partition("node0", true)
		for i := range n {
			key := fmt.Sprint("k", i)
			var err error
			if i%2 == 0 {
				_, err = c.Delete(ctx, key)
			} else {
				_, err = c.Set(ctx, client.Item{Key: key, Value: []byte("new")})
			}
			require.NoError(t, err)
		}
		require.GreaterOrEqual(t, owed.Load(), int64(n))
		require.Equal(t, n, c.Nodes()[0].Debt)
		f.network.Partition("node0", false)
		for stateOf(c, "node0") != "up" || c.Nodes()[0].Debt > 0 {
			for i := range n {
				it, err := c.Get(ctx, fmt.Sprint("k", i))
				if err == nil {
					require.Equal(t, "new", string(it.Value))
				}
			}
			time.Sleep(time.Millisecond)
		}
		require.Eventually(t, func() bool { return up.Load() >= int64(n) }, time.Minute, time.Millisecond) // the hook runs after the node is read again
		for i := range n {
			it, err := c.Get(ctx, fmt.Sprint("k", i))
			if err == nil {
				require.Equal(t, "new", string(it.Value))
			} else {
				require.ErrorIs(t, err, client.ErrCacheMiss)
			}
		}
		closeFleet(t, f, c)
	})
}

// More debt than can be remembered: the node is not read until it is readmitted.
func TestDebtOverflow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newMemFleet(t, 2, nodeserver.Config{})
		overflowed := make(chan string, 100)
		c := f.client(client.Config{ReplicationFactor: 2, Timeout: 50 * time.Millisecond, DebtLimit: 5,
			Hooks: client.Hooks{DebtOverflow: func(node string) { overflowed <- node }}})
		for i := range 20 {
			set(t, c, fmt.Sprint("k", i), "old")
		}
		f.network.Partition("node0", true)
		for i := range 20 {
			_, err := c.Delete(context.Background(), fmt.Sprint("k", i))
			require.NoError(t, err)
		}
		require.Equal(t, "node0", <-overflowed)
		f.network.Partition("node0", false)
		awaitState(t, c, "node0", "mending")
		require.Eventually(t, func() bool { return c.Nodes()[0].Debt == 0 }, time.Minute, time.Millisecond)
		for i := range 20 {
			_, err := c.Get(context.Background(), fmt.Sprint("k", i))
			require.ErrorIs(t, err, client.ErrCacheMiss)
		}
		require.Equal(t, "mending", stateOf(c, "node0"))
		require.True(t, c.Nodes()[0].DebtOverflow)
		require.ErrorIs(t, c.Readmit("nobody"), client.ErrConfig)
		require.NoError(t, c.Readmit("node0"))
		awaitState(t, c, "node0", "up")
		require.False(t, strings.Contains(stateOf(c, "node0"), "mending"))
		closeFleet(t, f, c)
	})
}
