package loader_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/loader/internal/fakecache"
)

// A Store that exits its goroutine has not stored.
func TestPutMultiStoreExits(t *testing.T) {
	for _, p := range []loader.WritePolicy{loader.WriteAround, loader.WriteThrough} {
		t.Run(p.String(), func(t *testing.T) {
			c, o := fakecache.New(1), newOrigin()
			l := open(t, c, o, func(c *loader.Config[string]) { c.Write = p })
			o.onStore = func(key, v string) error {
				if key == "b" {
					runtime.Goexit()
				}
				return nil
			}
			err := l.PutMulti(t.Context(), map[string]string{"a": "1", "b": "1", "c": "1"})
			require.Error(t, err, "b is not at the origin: %v", o.rows)
		})
	}
}

// A Store that panics does so on its caller, who may recover, of one key or of many.
func TestPutMultiStorePanics(t *testing.T) {
	if os.Getenv("MEMHERD_CHILD") != "" {
		o := newOrigin()
		o.onStore = func(string, string) error { panic("bug") }
		l := open(t, fakecache.New(1), o)
		try := func(put func() error) (p any) {
			defer func() { p = recover() }()
			_ = put()
			return nil
		}
		t.Log("Put:", try(func() error { return l.Put(t.Context(), "a", "1") }))
		t.Log("PutMulti of 1:", try(func() error { return l.PutMulti(t.Context(), map[string]string{"a": "1"}) }))
		t.Log("PutMulti of 2:", try(func() error { return l.PutMulti(t.Context(), map[string]string{"a": "1", "b": "1"}) }))
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestPutMultiStorePanics$", "-test.v")
	cmd.Env = append(os.Environ(), "MEMHERD_CHILD=1")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%.1500s", out)
}

// What the others have stored by then is no longer cached when one Store of a PutMulti panics.
func TestPutMultiWhoseStorePanicsForOne(t *testing.T) {
	policies(t, func(t *testing.T, policy func(*loader.Config[string])) {
		c, o := fakecache.New(2), newOrigin("a", "old", "b", "old", "c", "old")
		l, other := open(t, c, o, policy), open(t, c, o)
		for _, key := range []string{"a", "b", "c"} {
			mustGetKey(t, l, key, "old")
		}
		o.onStore = func(key, _ string) error {
			if key == "b" {
				panic("bug")
			}
			return nil
		}
		func() {
			defer func() { require.Equal(t, "bug", recover()) }()
			_ = l.PutMulti(t.Context(), map[string]string{"a": "new", "b": "new", "c": "new"})
		}()
		for key, want := range map[string]string{"a": "new", "b": "old", "c": "new"} {
			require.Equal(t, want, o.rows[key])
			mustGetKey(t, l, key, want)
			mustGetKey(t, other, key, want)
		}
	})
}

type exits struct{ loader.String }

func (exits) Encode([]byte, string) ([]byte, error) { runtime.Goexit(); return nil, nil }

// Nobody hangs behind a codec that exits its goroutine.
func TestCodecExits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, o := fakecache.New(1), newOrigin("k", "1")
		l := open(t, c, o, func(c *loader.Config[string]) { c.Codec = exits{} })
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		_, err := l.Get(ctx, "k")
		require.NotErrorIs(t, err, context.DeadlineExceeded)
	})
}

// A LoadMaster that panics or exits has the same error in a LoadMany as alone.
func TestLoadMasterOfManyPanics(t *testing.T) {
	for name, end := range map[string]func(){"panic": func() { panic("bug") }, "exit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, o := fakecache.New(1), newOrigin()
				l := open(t, c, o, func(cfg *loader.Config[string]) {
					cfg.LoadMany = func(context.Context, []string) (map[string]string, error) { return nil, nil }
					cfg.Region.LoadMaster = func(context.Context, string) (string, error) { end(); return "", nil }
				})
				require.NoError(t, l.Put(t.Context(), "a", "1"))
				_, err := l.Get(t.Context(), "a")
				check := func(err error) {
					t.Helper()
					if name == "exit" {
						require.ErrorIs(t, err, loader.ErrLoadExited)
					} else {
						require.ErrorAs(t, err, new(*loader.PanicError))
					}
				}
				check(err)
				_, err = l.GetMulti(t.Context(), []string{"a", "b", "c"})
				check(err)
			})
		})
	}
}

// When the time of a load is over no further row is read from the master.
func TestLoadMasterOfManyEndsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, o := fakecache.New(1), newOrigin()
		var asked atomic.Int64
		l := open(t, c, o, func(cfg *loader.Config[string]) {
			cfg.MaxLoads, cfg.LoadTimeout = 1, 2*time.Second
			cfg.LoadMany = func(context.Context, []string) (map[string]string, error) { return nil, nil }
			cfg.Region.LoadMaster = func(ctx context.Context, _ string) (string, error) {
				asked.Add(1)
				time.Sleep(3 * time.Second) // it does not look at ctx
				return "1", nil
			}
		})
		keys := []string{"a", "b", "c"}
		for _, key := range keys {
			require.NoError(t, l.Put(t.Context(), key, "1"))
		}
		_, err := l.GetMulti(t.Context(), keys)
		require.ErrorIs(t, err, loader.ErrLoadTimeout)
		time.Sleep(time.Minute) // what still runs ends
		require.EqualValues(t, 1, asked.Load())
	})
}

// A Refresh whose codec exits has no value.
func TestRefreshBehindACodecThatExits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := open(t, fakecache.New(1), newOrigin("k", "1"), func(c *loader.Config[string]) { c.Codec = exits{} })
		v, err := l.Refresh(t.Context(), "k")
		require.Error(t, err, "%q", v)
	})
}

type decodeExits struct{ loader.String }

func (decodeExits) Decode([]byte) (string, error) { runtime.Goexit(); return "", nil }

// A GetMulti whose codec exits in the midst of it leaves nobody behind: the flights it has begun land, and Close returns.
func TestGetMultiBehindACodecThatExits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := fakecache.New(1)
		keys := span(0, 20)
		rows := newOrigin()
		for i, k := range keys {
			rows.set(k, "1")
			if i%2 == 0 {
				_, err := open(t, c, rows).Get(t.Context(), k)
				require.NoError(t, err)
			}
		}
		l := open(t, c, rows, func(c *loader.Config[string]) {
			c.Codec = decodeExits{}
			c.LoadMany = func(_ context.Context, keys []string) (map[string]string, error) {
				vals := map[string]string{}
				for _, k := range keys {
					vals[k] = "1"
				}
				return vals, nil
			}
		})
		var wg sync.WaitGroup
		for range 20 { // the keys are in the order of a map: in most of them flights have begun
			wg.Go(func() { _, _ = l.GetMulti(t.Context(), keys) })
		}
		wg.Wait()
		closed := make(chan error, 1)
		go func() { closed <- l.Close() }()
		select {
		case <-closed:
		case <-time.After(time.Hour):
			t.Error("Close hangs")
		}
	})
}

// A slow Store that panics behind its write leaves a marker as one that fails does: the master may have the write, and the replica has it later.
func TestRegionMarkerBehindAPanic(t *testing.T) {
	for name, end := range map[string]func() error{
		"error": func() error { return errOrigin },
		"panic": func() error { panic("bug") },
		"exit":  func() error { runtime.Goexit(); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, r := fakecache.New(2), newLagging(4*time.Second, "k", "old")
				l := open(t, c, r.origin, func(cfg *loader.Config[string]) {
					cfg.Load = r.load
					cfg.Region = loader.RegionConfig[string]{LoadMaster: r.loadMaster, MarkerTTL: 5 * time.Second}
					cfg.Store = func(ctx context.Context, key, v string) error {
						time.Sleep(4 * time.Second)
						_ = r.store(ctx, key, v)
						return end()
					}
				})
				var put sync.WaitGroup
				put.Add(1)
				go func() {
					defer put.Done()
					defer func() { _ = recover() }()
					_ = l.Put(t.Context(), "k", "new")
				}()
				put.Wait()
				time.Sleep(3 * time.Second)
				mustGet(t, l, "new")
				time.Sleep(time.Minute)
				mustGet(t, l, "new")
			})
		})
	}
}

// A Load that panics with what it could have returned has said nothing of the key, nor a Store of a newer version.
func TestPanicsSayNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var panics atomic.Bool
		panics.Store(true)
		o := newOrigin("k", "1", "other", "1")
		o.hook = func(string) error {
			if panics.Load() {
				panic(fmt.Errorf("no such row: %w", loader.ErrNotFound))
			}
			return nil
		}
		o.onStore = func(string, string) error {
			if panics.Load() {
				panic(fmt.Errorf("lost the race: %w", loader.ErrSuperseded))
			}
			return nil
		}
		l := open(t, fakecache.New(1), o, writeBack(newMemJournal()))
		_, err := l.Get(t.Context(), "k")
		require.ErrorAs(t, err, new(*loader.PanicError))
		require.NotErrorIs(t, err, loader.ErrNotFound)
		_, err = l.GetMulti(t.Context(), []string{"k", "other"})
		require.ErrorAs(t, err, new(*loader.PanicError))
		require.NoError(t, l.Put(t.Context(), "other", "2"))
		synctest.Wait()
		require.Zero(t, l.Counters().Back.Refused)
		panics.Store(false)
		mustGet(t, l, "1")
		require.NoError(t, l.Flush(t.Context()))
		require.Equal(t, "2", o.rows["other"])
	})
}
