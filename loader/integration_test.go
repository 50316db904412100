package loader_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/hotkey"
	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/nodeserver/stock"
	"github.com/memherd/memherd/ring"
)

// onBoth runs a test with the addresses of three embedded nodes, new, old and of all
// ages, and of three real memcached processes.
func onBoth(t *testing.T, run func(t *testing.T, nodes []ring.Node)) {
	onMeta(t, run)
	for name, profiles := range map[string][3]nodeserver.Profile{
		"memnode 1.5.22":       {nodeserver.Profile15, nodeserver.Profile15, nodeserver.Profile15},
		"memnodes of all ages": {nodeserver.Profile15, nodeserver.Profile1618, nodeserver.ProfileNewest},
	} {
		t.Run(name, func(t *testing.T) { run(t, embedded(t, profiles)) })
	}
}

// onMeta is onBoth without nodes that know no meta commands.
func onMeta(t *testing.T, run func(t *testing.T, nodes []ring.Node)) {
	t.Run("memnode", func(t *testing.T) { run(t, embedded(t, [3]nodeserver.Profile{})) })
	t.Run("memcached", func(t *testing.T) {
		var addrs []string
		for range 3 {
			addrs = append(addrs, stock.ForTest(t).Addr())
		}
		run(t, ring.Addrs(addrs...))
	})
}

func embedded(t *testing.T, profiles [3]nodeserver.Profile) []ring.Node {
	var addrs []string
	for _, p := range profiles {
		n, err := nodeserver.Start(nodeserver.Config{Profile: p})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, n.Close()) })
		addrs = append(addrs, n.Addr().String())
	}
	return ring.Addrs(addrs...)
}

// newProcess makes what one process of a fleet has: a client and a loader of its own.
func newProcess(t *testing.T, nodes []ring.Node, cfg loader.Config[string]) (*loader.Loader[string], *client.Client) {
	// A busy machine must not turn into failed nodes here.
	c, err := client.New(client.Config{Nodes: nodes, ReplicationFactor: 2, HotKeys: &hotkey.Config{}, Timeout: 5 * time.Second, DialTimeout: 5 * time.Second, MaxInFlight: 4096})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	cfg.Codec = loader.String{}
	l, err := loader.New(c, cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	return l, c
}

// One missing key, a thousand callers in one process, then two thousand in two: one
// load.
func TestAStampedeLoadsOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, nodes []ring.Node) {
		for _, processes := range []int{1, 2} {
			var loads atomic.Int64
			start := make(chan struct{})
			var wg sync.WaitGroup
			for range processes {
				l, c := newProcess(t, nodes, loader.Config[string]{
					Prefix: fmt.Sprintf("p%d:", processes),
					Load: func(ctx context.Context, key string) (string, error) {
						loads.Add(1)
						select { // long enough for everybody to be there
						case <-time.After(50 * time.Millisecond):
						case <-ctx.Done():
						}
						return "v:" + key, nil
					},
				})
				require.NoError(t, c.Ping(context.Background()))
				for range 1000 {
					wg.Go(func() {
						<-start
						v, err := l.Get(context.Background(), "k")
						if err != nil || v != "v:k" {
							t.Errorf("%q, %v", v, err)
						}
					})
				}
			}
			close(start)
			wg.Wait()
			require.EqualValues(t, 1, loads.Load(), "%d processes", processes)
		}
	})
}

// A winner whose caller leaves in the middle of the load blocks nobody: the load goes
// on, and fills.
func TestACancelledCallersLoadServesTheOthers(t *testing.T) {
	onBoth(t, func(t *testing.T, nodes []ring.Node) {
		var loads atomic.Int64
		loading, finish := make(chan struct{}), make(chan struct{})
		cfg := loader.Config[string]{Load: func(context.Context, string) (string, error) {
			loads.Add(1)
			close(loading)
			<-finish
			return "v", nil
		}}
		a, _ := newProcess(t, nodes, cfg)
		b, _ := newProcess(t, nodes, cfg)
		ctx, cancel := context.WithCancel(context.Background())
		left := make(chan error, 1)
		go func() {
			_, err := a.Get(ctx, "k")
			left <- err
		}()
		<-loading
		cancel()
		require.ErrorIs(t, <-left, context.Canceled, "the caller does not wait for the load")
		got := make(chan string, 1)
		go func() {
			v, err := b.Get(context.Background(), "k")
			if err != nil {
				v = err.Error()
			}
			got <- v
		}()
		close(finish)
		require.Equal(t, "v", <-got)
		require.EqualValues(t, 1, loads.Load())
	})
}

// A load that fails hands the lease on at once.
func TestAFailedLoadHandsTheLeaseOn(t *testing.T) {
	onBoth(t, func(t *testing.T, nodes []ring.Node) {
		broken := errors.New("database is down")
		a, _ := newProcess(t, nodes, loader.Config[string]{LeaseTTL: time.Minute, Load: func(context.Context, string) (string, error) { return "", broken }})
		b, _ := newProcess(t, nodes, loader.Config[string]{LeaseTTL: time.Minute, Load: func(context.Context, string) (string, error) { return "v", nil }})
		_, err := a.Get(context.Background(), "k")
		require.ErrorIs(t, err, broken)
		v, err := b.Get(context.Background(), "k") // would wait for a minute otherwise
		require.NoError(t, err)
		require.Equal(t, "v", v)
	})
}

// Puts and Gets of two processes at once, both policies: a Get that starts after a Put
// has returned never sees an older value, in either process.
func TestNoStaleReadAfterAPut(t *testing.T) {
	onBoth(t, func(t *testing.T, nodes []ring.Node) {
		for _, policy := range []loader.WritePolicy{loader.WriteAround, loader.WriteThrough} {
			var mu sync.Mutex // guards origin
			origin := map[string]int{}
			cfg := loader.Config[string]{
				Write: policy, Prefix: fmt.Sprintf("w%d:", policy),
				Load: func(_ context.Context, key string) (string, error) {
					mu.Lock()
					defer mu.Unlock()
					return fmt.Sprint(origin[key]), nil
				},
				Store: func(_ context.Context, key, v string) error {
					mu.Lock()
					defer mu.Unlock()
					n, err := strconv.Atoi(v)
					origin[key] = n
					return err
				},
			}
			var ls [2]*loader.Loader[string]
			for i := range ls {
				// No near-cache: its staleness bound would hide what is tested here.
				c, err := client.New(client.Config{Nodes: nodes, ReplicationFactor: 2, Timeout: 5 * time.Second, DialTimeout: 5 * time.Second})
				require.NoError(t, err)
				t.Cleanup(func() { require.NoError(t, c.Close()) })
				cfg := cfg
				cfg.Codec = loader.String{}
				ls[i], err = loader.New(c, cfg)
				require.NoError(t, err)
				t.Cleanup(func() { require.NoError(t, ls[i].Close()) })
			}
			var wg sync.WaitGroup
			for key := range 4 {
				key := fmt.Sprint("k", key)
				var confirmed atomic.Int64 // the version that the last Put to return has written
				wg.Go(func() {
					for i := range 50 {
						if err := ls[i%2].Put(context.Background(), key, strconv.Itoa(i+1)); err != nil {
							t.Errorf("put: %v", err)
						}
						confirmed.Store(int64(i + 1))
					}
				})
				for _, l := range ls {
					wg.Go(func() {
						for confirmed.Load() < 50 {
							floor := confirmed.Load()
							v, err := l.Get(context.Background(), key)
							n, bad := strconv.ParseInt(v, 10, 64)
							if err != nil || bad != nil {
								t.Errorf("get: %q %v", v, err)
								return
							}
							if n < floor {
								t.Errorf("read version %d after version %d was confirmed", n, floor)
								return
							}
						}
					})
				}
			}
			wg.Wait()
		}
	})
}
