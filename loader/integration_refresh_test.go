package loader_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/ring"
)

// On real nodes: two processes read a value past its soft time, one of them loads it, nobody
// waits, and what is deleted while a refresh runs stays deleted.
func TestRefreshOnNodes(t *testing.T) {
	onBoth(t, func(t *testing.T, nodes []ring.Node) {
		var loads atomic.Int64
		loading, finish := make(chan struct{}, 16), make(chan struct{})
		cfg := loader.Config[string]{
			TTL: time.Hour, NegativeTTL: -1, Freshness: loader.Freshness{Soft: time.Millisecond, Beta: -1},
			Load: func(_ context.Context, key string) (string, error) {
				if loads.Add(1) == 1 {
					return "1", nil
				}
				loading <- struct{}{}
				<-finish
				return "2", nil
			},
		}
		a, _ := newProcess(t, nodes, cfg)
		b, _ := newProcess(t, nodes, cfg)
		get := func(l *loader.Loader[string]) string {
			v, err := l.Get(context.Background(), "k")
			require.NoError(t, err)
			return v
		}
		require.Equal(t, "1", get(a))
		for loads.Load() == 1 { // until it is due, and somebody's refresh has begun
			require.Equal(t, "1", get(a))
		}
		<-loading
		var wg sync.WaitGroup
		for range 50 {
			for _, l := range []*loader.Loader[string]{a, b} {
				wg.Go(func() {
					if v, err := l.Get(context.Background(), "k"); v != "1" || err != nil {
						t.Errorf("%q %v", v, err)
					}
				})
			}
		}
		wg.Wait() // while the load hangs: nobody waits for it
		require.NoError(t, b.Delete(context.Background(), "k"))
		close(finish)
		require.Equal(t, "2", get(b), "loaded after the delete")
		require.NoError(t, a.Close())
		require.NoError(t, b.Close())
		n := a.Counters()
		require.EqualValues(t, 1, n.LeaseLost+n.Voided, "the fill of the refresh that the delete overtook: %+v", n)
	})
}

// A refresh that fails leaves the value in place for others, on nodes with marks and without.
func TestAFailedRefreshOnNodes(t *testing.T) {
	onBoth(t, func(t *testing.T, nodes []ring.Node) {
		var broken atomic.Bool
		var loads atomic.Int64
		errs := make(chan error, 100)
		cfg := loader.Config[string]{
			TTL: time.Hour, Freshness: loader.Freshness{Soft: time.Millisecond, Beta: -1},
			Load: func(context.Context, string) (string, error) {
				if loads.Add(1); broken.Load() {
					return "", errors.New("down")
				}
				return "v", nil
			},
			Hooks: loader.Hooks{Refresh: func(_ string, _ time.Duration, err error) { errs <- err }},
		}
		a, _ := newProcess(t, nodes, cfg)
		b, c := newProcess(t, nodes, cfg)
		get := func(l *loader.Loader[string]) {
			v, err := l.Get(context.Background(), "k")
			require.NoError(t, err)
			require.Equal(t, "v", v)
		}
		get(a)
		broken.Store(true)
		for len(errs) == 0 {
			get(a)
		}
		require.Error(t, <-errs)
		require.NoError(t, a.Close()) // it would keep the right for a while; like this it hands it on
		require.NoError(t, c.Ping(context.Background()))
		broken.Store(false)
		for len(errs) == 0 {
			get(b)
		}
		require.NoError(t, <-errs)
		require.Zero(t, b.Counters().Misses)
	})
}
