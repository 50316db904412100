package loader_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/hotkey"
	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/loader/internal/fakecache"
	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/nodeserver/stock"
	"github.com/memherd/memherd/ring"
)

// strongOp is a Put or Delete of value ("" for a Delete), or a Get.
type strongOp struct {
	write bool
	value string
}

// register is what a key is: the last value written, "" for none.
var register = porcupine.Model{
	Init: func() any { return "" },
	Step: func(state, in, out any) (bool, any) {
		if op := in.(strongOp); op.write {
			return true, op.value
		}
		return out == state, state
	},
	DescribeOperation: func(in, out any) string { return fmt.Sprint(in, " → ", out) },
}

// strongHistory collects operations of one key.
type strongHistory struct {
	clock atomic.Int64
	mu    sync.Mutex // guards ops
	ops   []porcupine.Operation
}

// do runs one operation. A write that fails may take effect at any time: it never returns.
func (h *strongHistory) do(who int, op strongOp, call func() (string, error)) error {
	begun := h.clock.Add(1)
	out, err := call()
	ended := h.clock.Add(1)
	switch {
	case err != nil && op.write:
		ended = 1 << 62
	case err != nil:
		return err // says nothing
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, porcupine.Operation{ClientId: who, Input: op, Call: begun, Output: out, Return: ended})
	return err
}

// getAny reads key in one of the ways a loader has.
func getAny(l *loader.Loader[string], key string) func() (string, error) {
	ctx := context.Background()
	absent := func(v string, err error) (string, error) {
		if errors.Is(err, loader.ErrNotFound) {
			return "", nil
		}
		return v, err
	}
	switch rand.IntN(8) {
	case 0:
		return func() (string, error) {
			got, err := l.GetMulti(ctx, []string{key, "beside-" + key, "also-beside-" + key})
			return got[key], err
		}
	case 1:
		return func() (string, error) { return absent(l.Refresh(ctx, key)) }
	case 2:
		return func() (string, error) { return absent(l.Peek(ctx, key)) }
	}
	return get(l, key)
}

func get(l *loader.Loader[string], key string) func() (string, error) {
	return func() (string, error) {
		v, err := l.Get(context.Background(), key)
		if errors.Is(err, loader.ErrNotFound) {
			return "", nil
		}
		return v, err
	}
}

// yielding is an origin whose operations let others in between.
type yielding struct{ *origin }

func yield() {
	for range rand.IntN(4) {
		runtime.Gosched()
	}
}

func (o yielding) load(ctx context.Context, key string) (string, error) {
	yield()
	defer yield()
	return o.origin.load(ctx, key)
}

func (o yielding) store(ctx context.Context, key, v string) error {
	yield()
	defer yield()
	return o.origin.store(ctx, key, v)
}

func (o yielding) remove(ctx context.Context, key string) error {
	yield()
	defer yield()
	return o.origin.remove(ctx, key)
}

// Two processes put, delete and read one key from three goroutines each, while its copies
// are evicted, one by one, behind their backs. Every history is that of one register.
func TestStrongIsLinearizable(t *testing.T) {
	t.Run("memnode", func(t *testing.T) {
		network := nodeserver.NewMemNetwork()
		var nodes []ring.Node
		for i := range 3 {
			n := ring.Node{Name: fmt.Sprint("node", i), Addr: fmt.Sprintf("node%d:1", i)}
			s, err := nodeserver.Start(nodeserver.Config{Network: network, Addr: n.Addr})
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, s.Close()) })
			nodes = append(nodes, n)
		}
		playStrong(t, client.Config{Nodes: nodes, DialContext: network.DialContext}, scaled(1000))
	})
	t.Run("memcached", func(t *testing.T) {
		var addrs []string
		for range 3 {
			addrs = append(addrs, stock.ForTest(t).Addr())
		}
		playStrong(t, client.Config{Nodes: ring.Addrs(addrs...)}, scaled(200))
	})
}

func playStrong(t *testing.T, cfg client.Config, histories int) {
	cfg.Timeout, cfg.DialTimeout = 30*time.Second, 30*time.Second
	newClient := func(cfg client.Config) *client.Client {
		c, err := client.New(cfg)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, c.Close()) })
		return c
	}
	var evictors []*client.Client
	for _, n := range cfg.Nodes {
		alone := cfg
		alone.Nodes, alone.EpochKey = []ring.Node{n}, client.NoEpoch // its list differs from the fleet's, on purpose
		evictors = append(evictors, newClient(alone))
	}
	o := yielding{newOrigin()}
	var ls []*loader.Loader[string]
	var many queries
	for range 2 {
		fleet := cfg
		fleet.ReplicationFactor, fleet.HotKeys, fleet.HedgeAfter = 2, &hotkey.Config{}, time.Millisecond
		l, err := loader.New(newClient(fleet), loader.Config[string]{
			Load: o.load, LoadMany: many.loadMany(o.load), Store: o.store, Remove: o.remove, Codec: loader.String{}, Consistency: loader.Strong,
		})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, l.Close()) })
		ls = append(ls, l)
	}
	operations := 0
	for n := range histories {
		key := fmt.Sprint("k", n)
		var h strongHistory
		var wg sync.WaitGroup
		for who := range 6 {
			l := ls[who%2]
			wg.Go(func() {
				for i := range 6 {
					var err error
					switch rand.IntN(8) {
					case 0, 1:
						v := fmt.Sprint(who, ".", i)
						err = h.do(who, strongOp{true, v}, func() (string, error) { return "", l.Put(context.Background(), key, v) })
					case 2:
						err = h.do(who, strongOp{write: true}, func() (string, error) { return "", l.Delete(context.Background(), key) })
					case 3:
						_, err = evictors[rand.IntN(3)].Delete(context.Background(), key)
					default:
						err = h.do(who, strongOp{}, getAny(l, key))
					}
					if err != nil && !errors.Is(err, item.ErrCacheMiss) { // Peek's
						panic(err) // all copies are up
					}
				}
			})
		}
		wg.Wait()
		operations += len(h.ops)
		require.Equal(t, porcupine.Ok, porcupine.CheckOperationsTimeout(register, h.ops, 0), "history %d: %v", n, h.ops)
	}
	t.Logf("%d histories, %d operations: all linearizable", histories, operations)
}

// lying gives back what it once read.
type lying struct {
	loader.Cache
	old *item.Lease
	lie bool
}

func (c *lying) Lease(ctx context.Context, key string, o item.LeaseOptions) (item.Lease, error) {
	if c.lie {
		return *c.old, nil
	}
	l, err := c.Cache.Lease(ctx, key, o)
	if l.State == item.LeaseHit {
		c.old = &l
	}
	return l, err
}

// One stale read among others is found out.
func TestAPlantedStaleReadIsCaught(t *testing.T) {
	for _, lie := range []bool{false, true} {
		c := &lying{Cache: fakecache.New(2)}
		l := open(t, c, newOrigin(), func(c *loader.Config[string]) { c.Consistency = loader.Strong })
		var h strongHistory
		put := func(v string) {
			require.NoError(t, h.do(0, strongOp{true, v}, func() (string, error) { return "", l.Put(t.Context(), "k", v) }))
		}
		put("1")
		require.NoError(t, h.do(0, strongOp{}, get(l, "k")))
		put("2")
		c.lie = lie
		require.NoError(t, h.do(1, strongOp{}, get(l, "k")))
		want := porcupine.Ok
		if lie {
			want = porcupine.Illegal
		}
		require.Equal(t, want, porcupine.CheckOperationsTimeout(register, h.ops, 0))
	}
}

// A write that a copy has not confirmed fails and says so; the next one, with all
// copies up, succeeds. A Get does not go to the origin when the cache is down.
func TestStrongFailsUnlessConfirmed(t *testing.T) {
	c, o := fakecache.New(2), newOrigin("k", "old")
	l := open(t, c, o, func(c *loader.Config[string]) { c.Consistency = loader.Strong })
	c.SetDown(1, true)
	require.ErrorIs(t, l.Put(t.Context(), "k", "new"), loader.ErrNotConfirmed)
	require.ErrorIs(t, l.Delete(t.Context(), "k"), loader.ErrNotConfirmed)
	require.ErrorIs(t, l.PutMulti(t.Context(), map[string]string{"k": "new"}), loader.ErrNotConfirmed)
	require.ErrorIs(t, l.Invalidate(t.Context(), "k"), loader.ErrNotConfirmed)
	c.SetDown(1, false)
	require.NoError(t, l.Put(t.Context(), "k", "newer"))
	mustGet(t, l, "newer")
	c.SetDown(0, true)
	c.SetDown(1, true)
	_, err := l.Get(t.Context(), "k")
	require.ErrorIs(t, err, loader.ErrCacheDown)
}

// What cannot be cached cannot be put, and is an error of Get.
func TestStrongTooLarge(t *testing.T) {
	o := newOrigin("k", "much too large")
	l := open(t, fakecache.New(2), o, func(c *loader.Config[string]) { c.Consistency, c.MaxValueBytes = loader.Strong, 5 })
	require.ErrorContains(t, l.Put(t.Context(), "k", "larger"), "MaxValueBytes")
	require.Equal(t, "much too large", o.rows["k"])
	_, err := l.Get(t.Context(), "k")
	require.ErrorIs(t, err, loader.ErrCacheDown)
	require.EqualValues(t, 1, o.loads.Load())
}

func TestStrongContradictions(t *testing.T) {
	o := newOrigin()
	for says, mod := range map[string]func(*loader.Config[string]){
		"Config.Consistency is Consistency(7)": func(c *loader.Config[string]) { c.Consistency = 7 },
		"Config.Back":                          func(c *loader.Config[string]) { c.Write = loader.WriteBack },
		"leave Config.Back empty":              func(c *loader.Config[string]) { c.Back.Journal = newMemJournal() },
		"Config.NegativeTTL":                   func(c *loader.Config[string]) { c.NegativeTTL = -1 },
		"Config.Region":                        func(c *loader.Config[string]) { c.Region.LoadMaster = o.load },
	} {
		cfg := loader.Config[string]{Load: o.load, Store: o.store, Consistency: loader.Strong}
		mod(&cfg)
		_, err := loader.New(fakecache.New(1), cfg)
		require.ErrorContains(t, err, says)
	}
}
