package loader_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/loader/internal/fakecache"
)

func audited(mod ...func(*loader.AuditConfig[string])) func(*loader.Config[string]) {
	return func(c *loader.Config[string]) {
		c.Audit.Share = 1
		for _, m := range mod {
			m(&c.Audit)
		}
	}
}

// A value that somebody changed at the origin without telling the cache is found, with
// its age; one that is right is not, nor one that is written during the audit.
func TestAuditFindsStaleValues(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(t *testing.T, o *origin, l *loader.Loader[string]) // when the value is 5 s old
		during func(t *testing.T, o *origin, l *loader.Loader[string]) // within the grace
		want   loader.AuditCounters
	}{
		{name: "right", want: loader.AuditCounters{Checked: 1}},
		{
			name:   "changed behind the cache's back",
			change: func(_ *testing.T, o *origin, _ *loader.Loader[string]) { o.set("k", "new") },
			want:   loader.AuditCounters{Checked: 1, Stale: 1, Oldest: 6 * time.Second},
		},
		{
			name: "gone behind the cache's back",
			change: func(t *testing.T, o *origin, _ *loader.Loader[string]) {
				require.NoError(t, o.remove(t.Context(), "k"))
			},
			want: loader.AuditCounters{Checked: 1, Stale: 1, Oldest: 6 * time.Second},
		},
		{
			name:   "a write under way",
			change: func(_ *testing.T, o *origin, _ *loader.Loader[string]) { o.set("k", "new") },
			during: func(t *testing.T, _ *origin, l *loader.Loader[string]) {
				require.NoError(t, l.Invalidate(t.Context(), "k"))
			},
			want: loader.AuditCounters{Moved: 1},
		},
		{
			name:   "written again",
			change: func(_ *testing.T, o *origin, _ *loader.Loader[string]) { o.set("k", "new") },
			during: func(t *testing.T, _ *origin, l *loader.Loader[string]) {
				require.NoError(t, l.PutWith(t.Context(), "k", "newer", loader.WriteOptions{Policy: loader.WriteThrough}))
			},
			want: loader.AuditCounters{Checked: 1},
		},
		{
			name:   "undone",
			change: func(_ *testing.T, o *origin, _ *loader.Loader[string]) { o.set("k", "new") },
			during: func(_ *testing.T, o *origin, _ *loader.Loader[string]) { o.set("k", "old") },
			want:   loader.AuditCounters{Checked: 1},
		},
		{
			name: "origin fails",
			change: func(_ *testing.T, o *origin, _ *loader.Loader[string]) {
				o.hook = func(string) error { return errOrigin }
			},
			want: loader.AuditCounters{Failures: 1},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := newOrigin("k", "old")
				var told atomic.Int64
				l := open(t, fakecache.New(2), o, audited(func(a *loader.AuditConfig[string]) {
					a.Stale = func(key string, age time.Duration) {
						if key == "k" && age == 6*time.Second {
							told.Add(1)
						}
					}
				}))
				mustGet(t, l, "old") // a load, no hit
				time.Sleep(5 * time.Second)
				if c.change != nil {
					c.change(t, o, l)
				}
				mustGet(t, l, "old")
				time.Sleep(500 * time.Millisecond)
				if c.during != nil {
					c.during(t, o, l)
				}
				time.Sleep(5 * time.Second)
				synctest.Wait()
				require.Equal(t, c.want, l.Counters().Audit)
				require.EqualValues(t, c.want.Stale, told.Load())
			})
		})
	}
}

// An absence is a value like others.
func TestAuditOfAnAbsence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOrigin()
		l := open(t, fakecache.New(1), o, audited(), func(c *loader.Config[string]) { c.NegativeTTL = time.Minute })
		for i := range 3 {
			_, err := l.Get(t.Context(), "k")
			require.ErrorIs(t, err, loader.ErrNotFound)
			synctest.Wait()
			if i == 1 {
				o.set("k", "v")
			}
		}
		time.Sleep(time.Minute / 2)
		synctest.Wait()
		s := l.Counters().Audit
		require.EqualValues(t, 2, s.Checked)
		require.EqualValues(t, 1, s.Stale)
	})
}

// The audit takes no slot from loads, has one key in hand, and takes no win away.
func TestAuditKeepsOutOfTheWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, o := fakecache.New(1), newOrigin("a", "1", "b", "1", "k", "old")
		l := open(t, c, o, audited(), func(c *loader.Config[string]) { c.MaxLoads = 1 })
		get := func(key string) {
			_, err := l.Get(t.Context(), key)
			require.NoError(t, err)
		}
		get("k")
		hold := make(chan bool)
		o.hook = func(key string) error {
			if key == "a" {
				<-hold
			}
			return nil
		}
		done := make(chan bool)
		go func() { get("a"); done <- true }()
		synctest.Wait()
		get("k")
		synctest.Wait()
		require.Equal(t, loader.AuditCounters{Skipped: 1}, l.Counters().Audit, "the origin is busy")
		hold <- true
		<-done
		// While a key is in its grace others are left out.
		o.set("k", "new")
		get("k")
		synctest.Wait()
		get("k")
		require.EqualValues(t, 2, l.Counters().Audit.Skipped)
		// The key is evicted: the audit's lease goes back, and a Get loads at once.
		c.Evict(0, "k")
		time.Sleep(time.Second)
		synctest.Wait()
		require.EqualValues(t, 1, l.Counters().Audit.Moved)
		lease, err := c.Lease(t.Context(), "k", item.LeaseOptions{})
		require.NoError(t, err)
		require.Equal(t, item.LeaseWon, lease.State)
	})
}

// Close ends an audit in its grace, and waits for one that loads.
func TestCloseEndsTheAudit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOrigin("k", "old")
		l := open(t, fakecache.New(1), o, audited(func(a *loader.AuditConfig[string]) { a.Grace = time.Hour }))
		mustGet(t, l, "old")
		synctest.Wait() // the audit is ready for a key
		o.set("k", "new")
		mustGet(t, l, "old")
		synctest.Wait()
		began := time.Now()
		require.NoError(t, l.Close())
		require.Zero(t, time.Since(began))
		require.Zero(t, l.Counters().Audit)
	})
}

func TestAuditEqual(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, equal := range []func(a, b string) bool{strings.EqualFold, func(string, string) bool { panic("bug") }} {
			o := newOrigin("k", "old")
			l := open(t, fakecache.New(1), o, audited(func(a *loader.AuditConfig[string]) { a.Equal = equal }))
			mustGet(t, l, "old")
			synctest.Wait() // the audit is ready for a key
			o.set("k", "OLD")
			mustGet(t, l, "old")
			synctest.Wait()
			s := l.Counters().Audit
			require.EqualValues(t, 1, s.Checked+s.Failures)
			require.Zero(t, s.Stale)
		}
	})
}

func TestAuditConfig(t *testing.T) {
	load := func(context.Context, string) (string, error) { return "", errors.New("never called") }
	for field, a := range map[string]loader.AuditConfig[string]{
		"Audit.Share is -1":  {Share: -1},
		"Audit.Share is 2":   {Share: 2},
		"Audit.Share is NaN": {Share: math.NaN()},
		"Audit.Grace":        {Grace: -1},
	} {
		_, err := loader.New(fakecache.New(1), loader.Config[string]{Load: load, Audit: a})
		require.ErrorContains(t, err, "loader.Config."+field)
	}
}

// The audit takes no turn from loads that somebody waits for: while Origin.Rate is spent, sampled hits are left out,
// and the origin sees no more calls than it allows.
func TestAuditKeepsToTheRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOrigin("k", "v")
		l := open(t, fakecache.New(1), o, audited(), func(c *loader.Config[string]) { c.Origin = loader.Origin{Rate: 1, Burst: 2} })
		read := func() {
			v, err := l.Get(t.Context(), "k")
			require.NoError(t, err)
			require.Equal(t, "v", v)
			synctest.Wait() // for the audit
		}
		read() // the load has the first turn
		read() // its audit the second
		require.Equal(t, loader.AuditCounters{Checked: 1}, l.Counters().Audit)
		for range 10 {
			read()
		}
		require.Equal(t, loader.AuditCounters{Checked: 1, Skipped: 10}, l.Counters().Audit)
		require.EqualValues(t, 2, o.loads.Load())
		for range 30 {
			time.Sleep(time.Second)
			read()
			read()
		}
		require.EqualValues(t, 32, o.loads.Load(), "one a second")
		require.EqualValues(t, 31, l.Counters().Audit.Checked)
		require.EqualValues(t, 40, l.Counters().Audit.Skipped)
	})
}
