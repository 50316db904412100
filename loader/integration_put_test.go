package loader_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/ring"
)

// rounds is n times the environment's MEMHERD_SCALE, at least 1.
func rounds(n int) int {
	if f, err := strconv.ParseFloat(os.Getenv("MEMHERD_SCALE"), 64); err == nil {
		return max(1, int(f*float64(n)))
	}
	return n
}

// database is an origin whose accesses take a moment, so that others come in between.
type database struct {
	mu   sync.Mutex // guards rows
	rows map[string]string
}

func (d *database) load(_ context.Context, key string) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	v, ok := d.rows[key]
	if !ok {
		return "", loader.ErrNotFound
	}
	return v, nil
}

func (d *database) store(_ context.Context, key, v string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.rows[key] = v
	return nil
}

// processes makes n loaders, each with a client of its own and without a near-cache,
// whose staleness would hide what is tested.
func processes(t *testing.T, n int, nodes []ring.Node, cfg loader.Config[string]) []*loader.Loader[string] {
	var ls []*loader.Loader[string]
	for range n {
		c, err := client.New(client.Config{Nodes: nodes, ReplicationFactor: 2, Timeout: 5 * time.Second, DialTimeout: 5 * time.Second})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, c.Close()) })
		cfg.Codec = loader.String{}
		l, err := loader.New(c, cfg)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, l.Close()) })
		ls = append(ls, l)
	}
	return ls
}

// held returns what each node by itself has of key, as a loader would read it: "" for
// nothing. A fleet of one node each reads that node's copy, if it has one.
func held(t *testing.T, nodes []ring.Node, cfg loader.Config[string]) func(key string) []string {
	absent := errors.New("absent")
	cfg.Load = func(context.Context, string) (string, error) { return "", absent }
	var ls []*loader.Loader[string]
	for _, n := range nodes {
		c, err := client.New(client.Config{Nodes: []ring.Node{n}, Timeout: 5 * time.Second, DialTimeout: 5 * time.Second})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, c.Close()) })
		cfg.Codec = loader.String{}
		l, err := loader.New(c, cfg)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, l.Close()) })
		ls = append(ls, l)
	}
	return func(key string) (out []string) {
		for _, l := range ls {
			v, err := l.Get(context.Background(), key)
			if !errors.Is(err, absent) {
				require.NoError(t, err)
			}
			out = append(out, v)
		}
		return out
	}
}

// Two writers and a reader race, in three processes: when all have returned, no copy
// holds anything but what the origin has, by either policy.
func TestRule8RacingPutsLeaveNoOlderValue(t *testing.T) {
	onBoth(t, func(t *testing.T, nodes []ring.Node) {
		for _, policy := range []loader.WritePolicy{loader.WriteThrough, loader.WriteAround} {
			db := &database{rows: map[string]string{}}
			cfg := loader.Config[string]{Load: db.load, Store: db.store, Write: policy, Prefix: fmt.Sprintf("r%d:", policy)}
			ls := processes(t, 3, nodes, cfg)
			copies := held(t, nodes, cfg)
			for i := range rounds(200) {
				key := fmt.Sprint("k", i)
				start := make(chan struct{})
				var wg sync.WaitGroup
				for w := range 2 {
					wg.Go(func() {
						<-start
						for n := range 2 {
							if err := ls[w].Put(context.Background(), key, fmt.Sprintf("%d.%d", w, n)); err != nil {
								t.Error(err)
							}
						}
					})
				}
				wg.Go(func() {
					<-start
					for range 3 {
						if _, err := ls[2].Get(context.Background(), key); err != nil && !errors.Is(err, loader.ErrNotFound) {
							t.Error(err)
						}
					}
				})
				close(start)
				wg.Wait()
				want, err := db.load(context.Background(), key)
				require.NoError(t, err)
				for n, v := range copies(key) {
					require.Contains(t, []string{"", want}, v, "node %d, round %d", n, i)
				}
				for p, l := range ls {
					v, err := l.Get(context.Background(), key)
					require.NoError(t, err)
					require.Equal(t, want, v, "process %d", p)
				}
			}
		}
	})
}

// A Put whose caller leaves while the origin is written tells the copies all the same.
func TestRule8APutThatIsCancelledLeavesNoOlderValue(t *testing.T) {
	onBoth(t, func(t *testing.T, nodes []ring.Node) {
		for _, policy := range []loader.WritePolicy{loader.WriteThrough, loader.WriteAround} {
			db := &database{rows: map[string]string{}}
			ctx, cancel := context.WithCancel(context.Background())
			cfg := loader.Config[string]{Load: db.load, Write: policy, Prefix: fmt.Sprintf("c%d:", policy),
				Store: func(_ context.Context, key, v string) error {
					if v == "new" {
						cancel()
					}
					return db.store(context.Background(), key, v)
				}}
			ls := processes(t, 2, nodes, cfg)
			copies := held(t, nodes, cfg)
			require.NoError(t, ls[0].Put(context.Background(), "k", "old"))
			_, err := ls[0].Get(context.Background(), "k")
			require.NoError(t, err)
			_ = ls[0].Put(ctx, "k", "new") // may or may not say that ctx has ended
			for _, v := range copies("k") {
				require.NotEqual(t, "old", v)
			}
			v, err := ls[1].Get(context.Background(), "k")
			require.NoError(t, err)
			require.Equal(t, "new", v)
		}
	})
}
