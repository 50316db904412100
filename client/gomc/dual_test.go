package gomc

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/nodeserver/stock"
	"github.com/memherd/memherd/ring"
)

// newDual is gomemcache's placement and memherd's on the same servers.
func newDual(t testing.TB, servers []string, copies int, stage Stage) *Dual {
	return newDualOf(t, servers, servers, copies, stage)
}

// newDualOf is gomemcache's placement on some servers and memherd's on others.
func newDualOf(t testing.TB, before, servers []string, copies int, stage Stage) *Dual {
	old := memcache.New(before...)
	old.Timeout = 10 * time.Second
	c, err := New(Config{Client: patient(client.Config{Nodes: ring.Addrs(servers...), ReplicationFactor: copies})})
	require.NoError(t, err)
	d, err := NewDual(DualConfig{Old: old, New: c, Stage: stage})
	require.NoError(t, err)
	t.Cleanup(func() { d.Close() })
	return d
}

func text(it *memcache.Item, err error) string {
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(string(it.Value), " ", it.Flags)
}

// TestDualKeepsTheCacheWarm moves a fleet through the stages, one process before the other: what was
// there at the start is found all the way, what is written or deleted on the way shows everywhere, at once.
func TestDualKeepsTheCacheWarm(t *testing.T) {
	onBoth(t, func(t *testing.T, addr func() string) {
		for copies := 1; copies <= 2; copies++ {
			servers := []string{addr(), addr(), addr()}
			first, second := newDual(t, servers, copies, OldFirst), newDual(t, servers, copies, OldFirst)
			const n = 28
			key := func(i int) string { return fmt.Sprint("k", i) }
			want := map[string]string{}
			for i := range n {
				require.NoError(t, first.old.Set(&memcache.Item{Key: key(i), Value: []byte("old"), Flags: uint32(i % 3)}))
				want[key(i)] = fmt.Sprint("old ", i%3)
			}
			check := func(when string) {
				for who, d := range []*Dual{first, second} {
					var keys []string
					for i := range n {
						keys = append(keys, key(i), key(i))
						require.Equal(t, want[key(i)], text(d.Get(key(i))), "%s, process %d, %s", when, who, key(i))
					}
					found, err := d.GetMulti(keys)
					require.NoError(t, err)
					for i := range n {
						if it := found[key(i)]; it != nil {
							require.Equal(t, want[key(i)], text(it, nil), when)
							continue
						}
						require.Equal(t, want[key(i)], memcache.ErrCacheMiss.Error(), "%s, %s", when, key(i))
					}
				}
			}
			write := func(d *Dual, from int, value string) {
				for i := from; i < n; i += 7 {
					require.NoError(t, d.Set(&memcache.Item{Key: key(i), Value: []byte(value)}))
					want[key(i)] = value + " 0"
				}
				for i := from + 3; i < n; i += 14 {
					if err := d.Delete(key(i)); want[key(i)] == memcache.ErrCacheMiss.Error() {
						require.Equal(t, memcache.ErrCacheMiss, err)
					} else {
						require.NoError(t, err)
					}
					want[key(i)] = memcache.ErrCacheMiss.Error()
				}
			}
			check("at the start")
			write(first, 0, "a")
			check("OldFirst")
			require.NoError(t, second.SetStage(NewFirst))
			write(first, 1, "b")
			check("one is ahead, the other has written")
			write(second, 2, "c")
			// Whoever still reads the old placement misses what has gone over: that is a load, no stale value.
			for i := range n {
				if got := text(first.Get(key(i))); got != memcache.ErrCacheMiss.Error() {
					require.Equal(t, want[key(i)], got)
				}
			}
			require.NoError(t, first.SetStage(NewFirst))
			check("NewFirst")
			require.Positive(t, second.Copied())
			require.NoError(t, second.SetStage(NewOnly))
			check("one is done")
			require.NoError(t, first.SetStage(NewOnly))
			write(first, 4, "d")
			check("NewOnly")
			require.NoError(t, first.Ping())
		}
	})
}

// TestDualShowsNothingOld: several processes in two neighbouring stages read one key while one writes it; no
// Get that begins after a write has returned gives an older version.
func TestDualShowsNothingOld(t *testing.T) {
	for _, stages := range [][2]Stage{{OldFirst, OldFirst}, {OldFirst, NewFirst}, {NewFirst, OldFirst}, {NewFirst, NewFirst}, {NewOnly, NewFirst}, {NewFirst, NewOnly}} {
		servers := []string{stock.ForTest(t).Addr(), stock.ForTest(t).Addr()}
		writer, reader := newDual(t, servers, 1, stages[0]), newDual(t, servers, 1, stages[1])
		var confirmed atomic.Int64
		var wg sync.WaitGroup
		done := make(chan struct{})
		for g := range 3 {
			wg.Go(func() {
				for {
					select {
					case <-done:
						return
					default:
					}
					before := confirmed.Load()
					it, err := reader.Get("k")
					if g == 0 {
						var found map[string]*memcache.Item
						found, err = reader.GetMulti([]string{"k"})
						if it = found["k"]; it == nil && err == nil {
							err = memcache.ErrCacheMiss
						}
					}
					if err == memcache.ErrCacheMiss {
						continue
					}
					var v int64
					if err == nil {
						_, err = fmt.Sscan(string(it.Value), &v)
					}
					if err != nil || v < before {
						t.Errorf("stages %v: read %d after %d was confirmed: %v", stages, v, before, err)
						return
					}
				}
			})
		}
		for v := int64(1); v <= int64(scaled(300)); v++ {
			if v%5 == 0 {
				if err := writer.Delete("k"); err != nil && err != memcache.ErrCacheMiss {
					t.Error(err)
				}
			}
			if err := writer.Set(&memcache.Item{Key: "k", Value: fmt.Append(nil, v)}); err != nil {
				t.Error(err)
			}
			confirmed.Store(v)
		}
		close(done)
		wg.Wait()
	}
}

// TestDualKeepsEmptyValues: what a Dual has stored it finds, at every stage, be it empty and with flags 0 as a placeholder is; and so
// what a Client has stored that is the old placement.
func TestDualKeepsEmptyValues(t *testing.T) {
	onBoth(t, func(t *testing.T, addr func() string) {
		servers := []string{addr(), addr()}
		for who, old := range []func() Placement{
			func() Placement { return memcache.New(servers...) },
			func() Placement {
				c, err := New(Config{Client: patient(client.Config{Nodes: ring.Addrs(servers...), Placement: ring.Ketama})})
				require.NoError(t, err)
				return c
			},
		} {
			d := newDual(t, servers, 1, OldFirst)
			require.NoError(t, d.old.Close())
			d.old = old()
			for i := range 10 {
				key := fmt.Sprintf("k%d:%d", who, i)
				require.NoError(t, d.SetStage(OldFirst))
				require.NoError(t, d.Set(&memcache.Item{Key: key}))
				for s := OldFirst; s <= NewOnly; s++ {
					require.NoError(t, d.SetStage(s))
					require.Equal(t, " 0", text(d.Get(key)), "%v, old placement %d", s, who)
					found, err := d.GetMulti([]string{key})
					require.NoError(t, err)
					require.Contains(t, found, key, s)
					require.Equal(t, " 0", text(found[key], nil), s)
				}
			}
		}
	})
}

func TestDualChecksItsConfig(t *testing.T) {
	c, err := NewServers("127.0.0.1:1")
	require.NoError(t, err)
	defer c.Close()
	for want, cfg := range map[string]DualConfig{
		"Old is missing": {New: c}, "New is missing": {Old: c}, "Old is a nil pointer": {Old: (*memcache.Client)(nil), New: c},
		"CopyTTL is 1s": {Old: c, New: c, CopyTTL: time.Second}, "stage 7": {Old: c, New: c, Stage: 7},
	} {
		_, err := NewDual(cfg)
		require.ErrorContains(t, err, want)
	}
}

// TestStagesHaveNames: a log that shows one says which.
func TestStagesHaveNames(t *testing.T) {
	require.Equal(t, "OldFirst NewFirst NewOnly Stage(9)", fmt.Sprint(OldFirst, " ", NewFirst, " ", NewOnly, " ", Stage(9)))
}

// TestDualErrorsAreGomemcaches, at every stage, as programs compare them.
func TestDualErrorsAreGomemcaches(t *testing.T) {
	d := newDual(t, []string{start(t, nodeserver.Config{}).Addr().String()}, 1, OldFirst)
	for s := OldFirst; s <= NewOnly; s++ {
		require.NoError(t, d.SetStage(s))
		require.Equal(t, memcache.ErrMalformedKey, d.Set(&memcache.Item{Key: "no key"}), s)
		require.Equal(t, memcache.ErrMalformedKey, d.Delete("no key"), s)
		_, err := d.Get("no key")
		require.Equal(t, memcache.ErrMalformedKey, err, s)
	}
	failed := &memcache.ConnectTimeoutError{}
	d.old = gone{d.old, failed}
	require.NoError(t, d.SetStage(NewFirst))
	require.Equal(t, error(failed), d.Delete("k"))
}

// TestDualGivesBackBesideABadKey: a GetMulti with a malformed key in it keeps nobody from filling the others.
func TestDualGivesBackBesideABadKey(t *testing.T) {
	d := newDual(t, []string{start(t, nodeserver.Config{}).Addr().String()}, 1, NewFirst)
	_, err := d.GetMulti([]string{"a", "no key", "b"})
	require.Equal(t, memcache.ErrMalformedKey, err)
	for _, key := range []string{"a", "b"} {
		l, err := d.new.c.Lease(t.Context(), key, client.LeaseOptions{})
		require.NoError(t, err)
		require.Equal(t, item.LeaseWon, l.State, key)
	}
}
