package journal_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/loader/journal"
	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/nodeserver/stock"
	"github.com/memherd/memherd/ring"
)

// onBoth runs a test on three embedded nodes, on three that know no meta commands, and on
// three real memcached processes.
func onBoth(t *testing.T, run func(t *testing.T, nodes []ring.Node)) {
	for name, profile := range map[string]nodeserver.Profile{"memnode": nodeserver.ProfileNewest, "memnode 1.5.22": nodeserver.Profile15} {
		t.Run(name, func(t *testing.T) {
			var addrs []string
			for range 3 {
				n, err := nodeserver.Start(nodeserver.Config{Profile: profile})
				require.NoError(t, err)
				t.Cleanup(func() { require.NoError(t, n.Close()) })
				addrs = append(addrs, n.Addr().String())
			}
			run(t, ring.Addrs(addrs...))
		})
	}
	t.Run("memcached", func(t *testing.T) {
		var addrs []string
		for range 3 {
			addrs = append(addrs, stock.ForTest(t).Addr())
		}
		run(t, ring.Addrs(addrs...))
	})
}

// versioned is an origin that refuses to overwrite what is newer, and can be down.
type versioned struct {
	down atomic.Bool
	mu   sync.Mutex // guards rows
	rows map[string]versionedRow
}

type versionedRow struct {
	value   string
	version loader.Version
}

func (o *versioned) load(_ context.Context, key string) (string, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	r, ok := o.rows[key]
	if !ok {
		return "", loader.ErrNotFound
	}
	return r.value, nil
}

func (o *versioned) store(ctx context.Context, key, value string) error {
	v, ok := loader.VersionOf(ctx)
	if o.down.Load() || !ok {
		return errors.New("origin is down")
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if r, ok := o.rows[key]; ok && r.version.Compare(v) > 0 {
		return loader.ErrSuperseded
	}
	o.rows[key] = versionedRow{value, v}
	return nil
}

// backProcess is a client, a journal and a loader that writes back.
type backProcess struct {
	l *loader.Loader[string]
	c *client.Client
	j *journal.Journal
}

func newBackProcess(t testing.TB, nodes []ring.Node, path string, store func(context.Context, string, string) error, load func(context.Context, string) (string, error)) *backProcess {
	c, err := client.New(client.Config{Nodes: nodes, ReplicationFactor: min(2, len(nodes)), Timeout: 5 * time.Second, DialTimeout: 5 * time.Second})
	require.NoError(t, err)
	j, err := journal.Open(path)
	require.NoError(t, err)
	l, err := loader.New(c, loader.Config[string]{
		Load: load, Store: store, Codec: loader.String{}, Prefix: "back:", Write: loader.WriteBack,
		Back: loader.BackConfig[string]{Journal: j, DrainTimeout: -1, MinBackoff: time.Millisecond, MaxBackoff: 10 * time.Millisecond, MaxAttempts: 1 << 20},
	})
	require.NoError(t, err)
	return &backProcess{l, c, j}
}

func (p *backProcess) stop(t testing.TB) {
	if err := p.l.Close(); err != nil {
		require.ErrorIs(t, err, loader.ErrPending)
	}
	require.NoError(t, p.j.Close())
	require.NoError(t, p.c.Close())
}

// The schedule of rule 8: a process accepts a write, the nodes evict it, the process dies,
// another process writes something newer, and the first is started again and replays what
// it had. The origin keeps the newer value, and both processes read it. In between every
// process reads its own newest write.
func TestReplayBehindAForeignWrite(t *testing.T) {
	onBoth(t, func(t *testing.T, nodes []ring.Node) {
		ctx, o := t.Context(), &versioned{rows: map[string]versionedRow{}}
		dir := t.TempDir()
		start := func(name string) *backProcess {
			return newBackProcess(t, nodes, filepath.Join(dir, name), o.store, o.load)
		}
		read := func(p *backProcess, key, want string) {
			t.Helper()
			v, err := p.l.Get(ctx, key)
			require.NoError(t, err)
			require.Equal(t, want, v, key)
		}
		const keys = 50
		key := func(i int) string { return fmt.Sprint("k", i) }
		a, b := start("a"), start("b")
		for i := range keys {
			require.NoError(t, a.l.Put(ctx, key(i), "first"))
		}
		require.NoError(t, a.l.Flush(ctx))
		o.down.Store(true)
		for i := range keys {
			require.NoError(t, a.l.Put(ctx, key(i), "a's"))
			read(b, key(i), "a's") // from the nodes
		}
		for i := range keys {
			_, err := a.c.Delete(ctx, "back:"+key(i)) // as if evicted
			require.NoError(t, err)
			read(a, key(i), "a's")
			read(b, key(i), "first") // what the origin has
		}
		a.stop(t)
		o.down.Store(false)
		for i := range keys {
			if i%2 == 0 {
				require.NoError(t, b.l.Put(ctx, key(i), "b's"))
			}
		}
		require.NoError(t, b.l.Flush(ctx))
		a = start("a")
		require.EqualValues(t, keys, a.l.Counters().Back.Replayed)
		require.NoError(t, a.l.Flush(ctx))
		for i := range keys {
			want := "a's"
			if i%2 == 0 {
				want = "b's"
			}
			require.Equal(t, want, o.rows[key(i)].value)
			read(a, key(i), want)
			read(b, key(i), want)
		}
		require.EqualValues(t, keys/2, a.l.Counters().Back.Refused)
		a.stop(t)
		b.stop(t)
	})
}

// A value stays cached after it has reached the origin, where the nodes tell their tokens.
func TestStaysCachedAfterTheFlush(t *testing.T) {
	onBoth(t, func(t *testing.T, nodes []ring.Node) {
		ctx, o := t.Context(), &versioned{rows: map[string]versionedRow{}}
		var loads atomic.Int64
		p := newBackProcess(t, nodes, filepath.Join(t.TempDir(), "j"), o.store, func(ctx context.Context, key string) (string, error) {
			loads.Add(1)
			return o.load(ctx, key)
		})
		const keys = 50
		for i := range keys {
			require.NoError(t, p.l.Put(ctx, fmt.Sprint(i), "v"))
		}
		require.NoError(t, p.l.Flush(ctx))
		for i := range keys {
			v, err := p.l.Get(ctx, fmt.Sprint(i))
			require.NoError(t, err)
			require.Equal(t, "v", v)
		}
		if t.Name() == "TestStaysCachedAfterTheFlush/memnode_1.5.22" {
			require.EqualValues(t, keys, loads.Load(), "no tokens, so it is deleted")
		} else {
			require.Zero(t, loads.Load())
		}
		p.stop(t)
	})
}

func benchClient(b testing.TB, nodes []ring.Node) *client.Client {
	c, err := client.New(client.Config{Nodes: nodes, Timeout: 5 * time.Second, DialTimeout: 5 * time.Second})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, c.Close()) })
	return c
}
