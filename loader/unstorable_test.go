package loader_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/loader/internal/fakecache"
)

// A Refresh whose value can't be cached leaves no older one behind.
func TestRefreshOfWhatIsTooLarge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, o := fakecache.New(2), newOrigin("k", "old")
		l := open(t, c, o, func(c *loader.Config[string]) { c.MaxValueBytes = 10 })
		_, err := l.Get(t.Context(), "k")
		require.NoError(t, err)
		o.set("k", "new, and much too large")
		v, err := l.Refresh(t.Context(), "k")
		require.NoError(t, err)
		require.Equal(t, "new, and much too large", v)
		v, err = l.Get(t.Context(), "k")
		require.NoError(t, err)
		require.Equal(t, "new, and much too large", v)
	})
}

// A value that is due, and whose successor can't be cached, is not loaded at each read.
func TestDueAndTooLarge(t *testing.T) {
	for name, change := range map[string]func(o *origin){
		"fails":     func(o *origin) { o.hook = func(string) error { return errors.New("down") } },
		"too large": func(o *origin) { o.set("k", "too large by far") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := newOrigin("k", "1")
				l := open(t, fakecache.New(1), o, func(c *loader.Config[string]) {
					c.MaxValueBytes, c.TTL, c.Freshness.Soft = 10, time.Hour, time.Second
				})
				_, err := l.Get(t.Context(), "k")
				require.NoError(t, err)
				change(o)
				time.Sleep(2 * time.Second)
				for range 3000 {
					v, err := l.Get(t.Context(), "k")
					require.NoError(t, err)
					require.Equal(t, "1", v)
					time.Sleep(time.Millisecond)
				}
				require.Less(t, o.loads.Load(), int64(10), "loads within 3 s")
			})
		})
	}
}
