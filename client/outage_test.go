package client_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/memproto"
	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/nodeserver/stock"
	"github.com/memherd/memherd/ring"
)

// A node hangs. The calls that wait for it are done Timeout later, on the other copy;
// from then on nobody waits; a probe finds that it answers again.
func TestAHungNodeTripsAfterTimeout(t *testing.T) {
	for _, copies := range []int{1, 2} {
		t.Run(fmt.Sprint("R=", copies), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLogged(t, 2)
				var downs, ups atomic.Int64
				c := l.client(client.Config{ReplicationFactor: copies, Timeout: 200 * time.Millisecond, Hooks: client.Hooks{
					NodeDown: func(string, error) { downs.Add(1) },
					NodeUp:   func(string, int) { ups.Add(1) },
				}})
				key := "k"
				set(t, c, key, "v")
				owner := l.placed(1, key)[0]
				l.network.Partition(owner, true)
				read := func() (time.Duration, error) {
					began := time.Now()
					_, err := c.Get(context.Background(), key)
					return time.Since(began), err
				}
				var wg sync.WaitGroup
				for range 20 {
					wg.Go(func() {
						took, err := read()
						if copies == 2 && err != nil || copies == 1 && !errors.Is(err, client.ErrTimeout) && !errors.Is(err, client.ErrConnLost) {
							t.Errorf("%v", err)
						}
						if took < 100*time.Millisecond || took > 400*time.Millisecond {
							t.Errorf("it took %v", took)
						}
					})
				}
				wg.Wait()
				require.EqualValues(t, 1, downs.Load())
				for range 100 {
					took, err := read()
					require.Zero(t, took, "nobody waits for a node that is down")
					if copies == 2 {
						require.NoError(t, err)
					} else {
						require.ErrorIs(t, err, client.ErrNodeDown)
						require.ErrorContains(t, err, owner)
						require.True(t, client.SafeToRetry(err))
					}
				}
				l.network.Partition(owner, false)
				time.Sleep(1500 * time.Millisecond) // the longest pause between probes, and one
				require.Zero(t, ups.Load(), "others may owe it something, too")
				time.Sleep(client.DefaultRejoinDelay)
				require.EqualValues(t, 1, ups.Load())
				require.Equal(t, "v", get(t, c, key))
				l.closeAll(c)
			})
		})
	}
}

// The same with a real process, stopped for a second: a Get waits no longer than its
// context, a Set is owed, and nothing is an error.
func TestAStoppedProcessBoundsEveryCall(t *testing.T) {
	t.Parallel() // it mostly waits
	s, other := stock.ForTest(t), stock.ForTest(t)
	c := newClient(t, client.Config{Nodes: ring.Addrs(s.Addr(), other.Addr()), ReplicationFactor: 2, RejoinDelay: soon, Timeout: time.Second})
	var all []string
	for i := range 50 {
		all = append(all, fmt.Sprint("k", i))
		set(t, c, all[i], "v")
	}
	require.NoError(t, s.Pause())
	for _, key := range all {
		_, err := c.Set(context.Background(), client.Item{Key: key, Value: []byte("w")})
		require.NoError(t, err)
		require.Equal(t, "w", get(t, c, key))
	}
	found, err := c.GetMulti(context.Background(), all)
	require.NoError(t, err)
	require.Len(t, found, len(all))
	require.NoError(t, s.Resume())
	awaitState(t, c, s.Addr(), "up")
	for _, key := range all {
		it, err := c.Get(context.Background(), key)
		if !errors.Is(err, client.ErrCacheMiss) {
			require.NoError(t, err)
			require.Equal(t, "w", string(it.Value))
		}
	}
}

// Nodes go and come back one after the other, with and without their memory, and the
// next one goes as soon as the last one is up: no caller sees an error, and nobody
// sees a value that was deleted or overwritten.
func TestFlappingNodesAreNoError(t *testing.T) {
	f := newMemFleet(t, 3, nodeserver.Config{})
	c := f.client(client.Config{ReplicationFactor: 2, Timeout: 5 * time.Second, RejoinDelay: soon})
	l := startLoad(c)
	watch := startVersions(c)
	for i := range scaled(t, 12) {
		name := f.names[i%3]
		l.after(t, 300)
		if i%2 == 0 {
			f.kill(name)
		} else {
			f.network.Kill(name)
		}
		awaitState(t, c, name, "down")
		l.after(t, 300)
		if i%2 == 0 {
			f.restart(name)
		} else {
			f.network.Revive(name)
		}
		awaitState(t, c, name, "up")
		l.rounds.pass(t)
		watch.rounds.pass(t)
	}
	watch.finish(t)
	l.finish(t)
}

// versions writes rising numbers to keys of its own, one writer a key, and reads them:
// what a Set or Delete has confirmed or owes is never undone for this client.
type versions struct {
	stop   chan struct{}
	wg     sync.WaitGroup
	rounds rounds
	old    atomic.Int64
	errs   atomic.Int64
	text   atomic.Value
}

func startVersions(c *client.Client) *versions {
	v := &versions{stop: make(chan struct{}), rounds: make(rounds, 4)}
	for g := range v.rounds {
		v.wg.Go(func() {
			key := fmt.Sprint("version:", g)
			floor := 0 // an older one than this must not be read
			for n := 1; ; n++ {
				v.rounds[g].Add(1)
				select {
				case <-v.stop:
					return
				default:
				}
				var err error
				if n%3 == 0 {
					_, err = c.Delete(context.Background(), key)
				} else {
					_, err = c.Set(context.Background(), client.Item{Key: key, Value: fmt.Append(nil, n)})
				}
				if err != nil {
					v.errs.Add(1)
					v.text.CompareAndSwap(nil, err.Error())
				}
				floor = n
				for range 3 {
					it, err := c.Get(context.Background(), key)
					if errors.Is(err, client.ErrCacheMiss) {
						continue
					}
					var got int
					if _, bad := fmt.Sscan(string(it.Value), &got); err != nil || bad != nil {
						v.errs.Add(1)
						v.text.CompareAndSwap(nil, fmt.Sprint(err, bad))
					} else if got < floor {
						v.old.Add(1)
						v.text.CompareAndSwap(nil, fmt.Sprintf("%d after %d", got, floor))
					}
				}
			}
		})
	}
	return v
}

func (v *versions) finish(t *testing.T) {
	close(v.stop)
	v.wg.Wait()
	require.Zero(t, v.old.Load(), v.text.Load())
	require.Zero(t, v.errs.Load(), v.text.Load())
}

// A write whose copy is down says so.
func TestRule7AWriteWithOneCopyDownIsOwed(t *testing.T) {
	onEveryHerd(t, func(t *testing.T, h *herd) {
		hooked := make(chan string, 100)
		c := newClient(t, client.Config{Nodes: append(h.nodes[:1:1], ring.Node{Name: "gone", Addr: "127.0.0.1:1"}),
			DialContext: h.dial, ReplicationFactor: 2, Hooks: client.Hooks{Owed: func(node string, _ int) { hooked <- node }}})
		for name, write := range map[string]func() (client.Outcome, error){
			"set":    func() (client.Outcome, error) { return c.Set(context.Background(), client.Item{Key: "k"}) },
			"delete": func() (client.Outcome, error) { return c.Delete(context.Background(), "k") },
		} {
			out, err := write()
			require.NoError(t, err, name)
			out.Found = false
			require.Equal(t, client.Outcome{Copies: 2, Confirmed: 1, Owed: 1}, out, name)
			require.Equal(t, "gone", <-hooked)
		}
		out, err := c.SetMulti(context.Background(), []client.Item{{Key: "a"}, {Key: "b"}})
		require.NoError(t, err)
		require.Equal(t, []client.Outcome{{Copies: 2, Confirmed: 1, Owed: 1}, {Copies: 2, Confirmed: 1, Owed: 1}}, out)
		lease, err := c.LeaseWrite(context.Background(), "k")
		require.NoError(t, err)
		filled, err := c.Fill(context.Background(), lease, client.Item{Value: []byte("v")})
		require.NoError(t, err)
		require.Equal(t, client.Outcome{Copies: 2, Confirmed: 1, Owed: 1}, filled)
		require.Equal(t, "v", get(t, c, "k"))
	})
}

// One copy, and the reply is lost: the error says that nobody knows.
func TestALostReplyIsUnknown(t *testing.T) {
	l := newLogged(t, 1)
	c := l.client(client.Config{})
	set(t, c, "k", "old")
	l.decide(func(_ string, r *memproto.Request) nodeserver.Verdict {
		return nodeserver.Verdict{DropAfter: r.Cmd == memproto.CmdMetaSet || r.Cmd == memproto.CmdMetaDelete}
	})
	_, err := c.Set(context.Background(), client.Item{Key: "k", Value: []byte("new")})
	require.ErrorIs(t, err, client.ErrConnLost)
	require.ErrorContains(t, err, "node0")
	require.False(t, client.SafeToRetry(err))
	// The key is owed a delete; meanwhile the node may even be down, since it drops the
	// connections of those who pay.
	_, err = c.Get(context.Background(), "k")
	require.True(t, errors.Is(err, client.ErrCacheMiss) || errors.Is(err, client.ErrNodeDown), "%v", err)
}

// A client that waits for replies for ever, as good as, pays what it owes all the same.
func TestTheLongestTimeoutPaysDebt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newMemFleet(t, 2, nodeserver.Config{})
		c := f.client(client.Config{ReplicationFactor: 2, Timeout: 100 * 365 * 24 * time.Hour, DialTimeout: math.MaxInt64})
		defer closeFleet(t, f, c)
		set(t, c, "k", "v")
		f.kill("node0")
		time.Sleep(3 * time.Second)
		out, err := c.Delete(t.Context(), "k")
		require.NoError(t, err)
		require.Equal(t, 1, out.Owed)
		f.restart("node0")
		time.Sleep(10 * time.Second)
		for _, s := range c.Nodes() {
			require.Equal(t, "up", s.State)
			require.Zero(t, s.Debt)
		}
	})
}
