package pipe

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// Batches of many callers, beside single calls, some of which leave: every call is
// either complete, with its own value, or its Settler's, and nothing is in flight in the
// end.
func TestBatches(t *testing.T) {
	for seed := range scaled(200) {
		synctest.Test(t, func(t *testing.T) {
			g := newRig(t)
			rng := rand.New(rand.NewPCG(uint64(seed), 7))
			g.echo(func(int) time.Duration { return time.Duration(rng.IntN(500)) * time.Microsecond })
			var left settled
			var abandoned, done sync.Map
			var callers sync.WaitGroup
			for id := range 6 {
				rng := rand.New(rand.NewPCG(uint64(seed), uint64(id)))
				callers.Go(func() {
					for round := range 5 {
						ks := make([]*Call, 1+rng.IntN(8))
						for i := range ks {
							ks[i] = g.call(get())
							ks[i].Req.Key = fmt.Appendf(nil, "k%d-%d-%d", id, round, i)
							ks[i].Settler = &left
						}
						ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rng.IntN(10_000))*time.Microsecond)
						require.NoError(t, g.c.StartBatch(ctx, ks))
						all := g.c.WaitBatch(ctx, ks)
						for i, k := range ks {
							key := fmt.Sprintf("k%d-%d-%d", id, round, i)
							if k == nil {
								require.False(t, all)
								abandoned.Store(key, true)
								continue
							}
							require.NoError(t, k.Err)
							require.Equal(t, "value of "+key, string(k.Value))
							done.Store(key, true)
							k.Free()
						}
						cancel()
					}
				})
			}
			callers.Wait()
			time.Sleep(rigTimeout / 2)
			synctest.Wait()
			n := 0
			abandoned.Range(func(any, any) bool { n++; return true })
			require.EqualValues(t, n, left.n.Load(), "seed %d", seed)
			require.Zero(t, g.c.Pending())
			require.Zero(t, g.c.cfg.InFlight.Load())
			require.False(t, g.c.Dead())
			g.close()
		})
	}
}

// A batch whose connection dies half way through its replies: the first calls have
// theirs, the others an error, and nobody waits.
func TestABatchOfWhichTheConnectionDies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		g.wg.Go(func() {
			for range 3 {
				r, err := g.request()
				if err != nil {
					return
				}
				_, _ = g.peer.Write([]byte(answer(r)))
			}
			g.peer.Close()
		})
		ks := make([]*Call, 5)
		for i := range ks {
			ks[i] = g.call(get())
		}
		require.NoError(t, g.c.StartBatch(t.Context(), ks))
		require.True(t, g.c.WaitBatch(t.Context(), ks))
		for i, k := range ks {
			if i < 3 {
				require.NoError(t, k.Err)
				require.Equal(t, "value of key", string(k.Value))
			} else {
				require.Error(t, k.Err)
			}
			k.Free()
		}
		require.Zero(t, g.c.cfg.InFlight.Load())
		g.close()
	})
}

// A batch counts as one call in flight.
func TestABatchCountsAsOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		ks := make([]*Call, 5)
		for i := range ks {
			ks[i] = g.call(get())
		}
		g.echo(func(int) time.Duration { return time.Millisecond })
		require.NoError(t, g.c.StartBatch(t.Context(), ks))
		require.EqualValues(t, 1, g.c.cfg.InFlight.Load())
		require.EqualValues(t, 5, g.c.Pending())
		require.True(t, g.c.WaitBatch(t.Context(), ks))
		require.Zero(t, g.c.cfg.InFlight.Load())
		g.close()
	})
}
