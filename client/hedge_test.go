package client_test

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/client/memproto"
	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/ring"
)

// stalling is a fleet of which single replies to reads are late: every so many-th, or all
// of one node.
type stalling struct {
	*memFleet
	every atomic.Int64 // a node's every so many-th read is late; 0 for none
	by    time.Duration
	reads atomic.Int64 // seen by the nodes
}

func newStalling(t *testing.T, by time.Duration) *stalling {
	s := &stalling{by: by}
	s.memFleet = newMemFleet(t, 2, nodeserver.Config{Intercept: func(_ net.Addr, r *memproto.Request) nodeserver.Verdict {
		if r.Cmd != memproto.CmdMetaGet || ofEpoch(r) {
			return nodeserver.Verdict{Delay: 100 * time.Microsecond}
		}
		n := s.reads.Add(1)
		if every := s.every.Load(); every > 0 && n%every == 0 {
			return nodeserver.Verdict{Delay: s.by}
		}
		return nodeserver.Verdict{Delay: 100 * time.Microsecond}
	}})
	return s
}

// Late replies are not waited for where another copy answers, and that costs no more than
// 5 % more requests.
func TestHedgedReads(t *testing.T) {
	for name, c := range map[string]struct {
		after time.Duration
		lease bool
	}{
		"after 2 ms": {2 * time.Millisecond, false},
		"lease":      {2 * time.Millisecond, true},
		"automatic":  {client.HedgeAuto, false},
		"not hedged": {0, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStalling(t, 8*time.Millisecond) // the reads behind it wait, too
				x := s.client(client.Config{ReplicationFactor: 2, HedgeAfter: c.after, Timeout: time.Second})
				for i := range 100 {
					set(t, x, fmt.Sprint("k", i), "v")
				}
				n := max(4000, scaled(t, 20_000))
				read := func(i int) {
					key := fmt.Sprint("k", i%100)
					if c.lease {
						l, err := x.Lease(t.Context(), key, client.LeaseOptions{})
						require.NoError(t, err)
						require.Equal(t, item.LeaseHit, l.State)
						return
					}
					require.Equal(t, "v", get(t, x, key))
				}
				for i := range n { // what there is to measure
					read(i)
				}
				time.Sleep(2 * time.Second)
				s.every.Store(200)
				before := s.reads.Load()
				slow := 0
				for i := range n {
					began := time.Now()
					read(i)
					if time.Since(began) >= s.by*3/4 {
						slow++
					}
				}
				time.Sleep(time.Second) // hedges that were not waited for are still on their way
				extra := s.reads.Load() - before - int64(n)
				counted := x.Counters()
				if c.after == 0 {
					require.Zero(t, counted.Hedged)
					require.Zero(t, extra)
					require.GreaterOrEqual(t, slow, n/200)
				} else {
					require.Less(t, slow, n/200/2) // a hedge may be late, too
					require.NotZero(t, counted.HedgesWon)
					require.LessOrEqual(t, counted.HedgesWon, counted.Hedged)
					require.EqualValues(t, counted.Hedged, extra)
					require.LessOrEqual(t, extra, int64(n/20+64))
					require.Greater(t, counted.HedgesWon, uint64(n/200)*8/10)
				}
				time.Sleep(time.Second)
				closeFleet(t, s.memFleet, x)
			})
		})
	}
}

// When most replies are late, no more than the budget are asked for twice.
func TestHedgesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStalling(t, 20*time.Millisecond)
		x := s.client(client.Config{ReplicationFactor: 2, HedgeAfter: time.Millisecond, Timeout: time.Second})
		set(t, x, "k", "v")
		s.every.Store(1)
		const n = 4000
		for range n {
			get(t, x, "k")
		}
		require.EqualValues(t, n, x.Counters().NodeHits)
		require.LessOrEqual(t, x.Counters().Hedged, uint64(n/20+64))
		require.Greater(t, x.Counters().Hedged, uint64(n/20))

		// What was not spent while all was well is not saved up beyond the burst.
		s.every.Store(0)
		for range 5 * n {
			get(t, x, "k")
		}
		s.every.Store(1)
		before := x.Counters().Hedged
		for range n / 10 {
			get(t, x, "k")
		}
		require.LessOrEqual(t, x.Counters().Hedged-before, uint64(n/10/20+64))
		closeFleet(t, s.memFleet, x)
	})
}

// A miss on the other copy is no answer; a failure, a cancelled caller and a lease that is won after
// the hedge has answered leave nothing behind.
func TestHedgesAreNoLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var late, mute atomic.Bool
		f := newMemFleet(t, 2, nodeserver.Config{})
		nodes := f.nodes()
		r := ringOf(t, ring.Config{Nodes: nodes, Copies: 2})
		owner := r.Owner("k").Name
		closeFleet(t, f)
		f = newMemFleet(t, 0, nodeserver.Config{})
		for _, n := range nodes {
			f.names = append(f.names, n.Name)
			f.config.Intercept = func(_ net.Addr, r *memproto.Request) nodeserver.Verdict {
				if n.Name == owner && r.Cmd == memproto.CmdMetaGet && !ofEpoch(r) {
					if mute.Load() {
						return nodeserver.Verdict{Delay: 10 * time.Second}
					}
					if late.Load() {
						return nodeserver.Verdict{Delay: 50 * time.Millisecond}
					}
				}
				return nodeserver.Verdict{}
			}
			f.start(n.Name)
		}
		x := f.client(client.Config{ReplicationFactor: 2, HedgeAfter: 2 * time.Millisecond})
		require.NoError(t, x.Ping(t.Context()))
		late.Store(true)
		began := time.Now()
		_, err := x.Get(t.Context(), "k")
		require.ErrorIs(t, err, client.ErrCacheMiss)
		require.GreaterOrEqual(t, time.Since(began), 50*time.Millisecond, "the home copy has the word")

		// The other copy alone has it, as after an eviction: the lease on the owner is won
		// and nobody wants it.
		late.Store(false)
		set(t, x, "k", "v")
		only := f.client(client.Config{Nodes: []ring.Node{{Name: owner, Addr: owner + ":1"}}})
		_, err = only.Delete(t.Context(), "k")
		require.NoError(t, err)
		late.Store(true)
		l, err := x.Lease(t.Context(), "k", client.LeaseOptions{})
		require.NoError(t, err)
		require.Equal(t, item.LeaseHit, l.State)
		late.Store(false)
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		require.EqualValues(t, 1, x.Counters().LateWins)
		l, err = only.Lease(t.Context(), "k", client.LeaseOptions{})
		require.NoError(t, err)
		require.Equal(t, item.LeaseWon, l.State, "it was given back")
		require.NoError(t, only.Release(t.Context(), l))

		set(t, x, "k", "v")
		late.Store(true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		_, err = x.Get(ctx, "k")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		cancel()
		late.Store(false)

		mute.Store(true) // the owner's reply never comes; the hedge answers
		began = time.Now()
		require.Equal(t, "v", get(t, x, "k"))
		require.Less(t, time.Since(began), 3*time.Millisecond)
		closeFleet(t, f, x, only)
	})
}

// Who has left by the time that a hedge is due, or before, needs none: nothing is asked of another copy, and nothing taken from the budget.
func TestNobodyHedgesForACallerWhoHasLeft(t *testing.T) {
	read := map[string]func(ctx context.Context, c *client.Client) error{
		"Get": func(ctx context.Context, c *client.Client) error { _, err := c.Get(ctx, "k"); return err },
		"GetMulti": func(ctx context.Context, c *client.Client) error {
			_, err := c.GetMulti(ctx, []string{"k"})
			return err
		},
		"Lease": func(ctx context.Context, c *client.Client) error {
			_, err := c.Lease(ctx, "k", client.LeaseOptions{})
			return err
		},
	}
	for name, read := range read {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLogged(t, 2)
				c := l.client(client.Config{ReplicationFactor: 2, HedgeAfter: 5 * time.Millisecond, Timeout: time.Second})
				set(t, c, "k", "v")
				owner, other := l.placed(2, "k")[0], l.placed(2, "k")[1]
				l.decide(func(node string, r *memproto.Request) nodeserver.Verdict {
					if node == owner && string(r.Key) == "k" {
						return nodeserver.Verdict{Delay: 20 * time.Millisecond}
					}
					return nodeserver.Verdict{}
				})
				for _, leaves := range []time.Duration{0, time.Millisecond, 4 * time.Millisecond} {
					l.take()
					ctx, cancel := context.WithTimeout(t.Context(), leaves)
					require.ErrorIs(t, read(ctx, c), context.DeadlineExceeded)
					cancel()
					time.Sleep(100 * time.Millisecond)
					require.NotContains(t, l.take(), other+" mg k")
					require.Zero(t, c.Counters().Hedged)
				}
				// One who stays is served by the other copy.
				ctx, cancel := context.WithTimeout(t.Context(), 15*time.Millisecond)
				require.NoError(t, read(ctx, c))
				cancel()
				require.EqualValues(t, 1, c.Counters().HedgesWon)
				l.closeAll(c)
			})
		})
	}
}

// What was surely not sent to one copy may always be asked of another: that costs no node anything.
func TestRetriesOfWhatWasNotSentAreFree(t *testing.T) {
	for kind, read := range hedgedReads {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLogged(t, 2)
				set(t, l.client(client.Config{ReplicationFactor: 2}), "k", "v")
				c := l.client(client.Config{ReplicationFactor: 2, RetryBudget: client.NoRetries})
				l.network.Kill(l.placed(2, "k")[0])
				require.Equal(t, "v", read(t, c, "k"))
				require.Zero(t, c.Counters().RetriesRefused)
				require.EqualValues(t, 1, c.Counters().Failovers)
				l.closeAll(c)
			})
		})
	}
}

// Retries are a share of the reads, once the burst is used up.
func TestRetryBudget(t *testing.T) {
	for _, budget := range []float64{0, client.NoRetries, 1} {
		t.Run(fmt.Sprint(budget), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newMemFleet(t, 0, nodeserver.Config{})
				nodes := []ring.Node{{Name: "node0", Addr: "node0:1"}, {Name: "node1", Addr: "node1:1"}}
				r := ringOf(t, ring.Config{Nodes: nodes, Copies: 2})
				for _, n := range nodes {
					f.names = append(f.names, n.Name)
					f.config.Intercept = func(_ net.Addr, r2 *memproto.Request) nodeserver.Verdict {
						return nodeserver.Verdict{Drop: n.Name == r.Owner("k").Name && r2.Cmd == memproto.CmdMetaGet && string(r2.Key) == "k"}
					}
					f.start(n.Name)
				}
				x := f.client(client.Config{ReplicationFactor: 2, RetryBudget: budget, ConnsPerNode: 1})
				set(t, x, "k", "v")
				const reads = 2000
				answered := uint64(0)
				for range reads {
					require.NoError(t, x.Ping(t.Context())) // a connection that has served may break without its node being ill
					if it, err := x.Get(t.Context(), "k"); err == nil {
						require.Equal(t, "v", string(it.Value))
						answered++
					} else {
						require.ErrorIs(t, err, client.ErrConnLost)
					}
					time.Sleep(300 * time.Millisecond) // within what may be dialled
				}
				counters := x.Counters()
				require.Equal(t, answered, counters.Failovers, "one each, and none that came to nothing")
				require.EqualValues(t, reads, counters.Failovers+counters.RetriesRefused)
				switch budget {
				case 1:
					require.EqualValues(t, reads, answered)
				case client.NoRetries:
					require.Zero(t, answered)
				default: // the burst, and a tenth of what was answered
					require.InDelta(t, float64(client.DefaultMaxInFlight)/0.9, float64(answered), 2)
				}
				closeFleet(t, f, x)
			})
		})
	}
}
