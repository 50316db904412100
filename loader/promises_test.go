package loader_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/loader/internal/fakecache"
)

// A process that dies between its write to the origin and the cache leaves the old value
// cached, for no longer than the TTL.
func TestDeathBetweenOriginAndCache(t *testing.T) {
	for _, through := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			c, o := fakecache.New(2), newOrigin("k", "old")
			l := open(t, c, o, func(c *loader.Config[string]) { c.TTL = time.Minute })
			mustGet(t, l, "old")
			if through {
				_, err := c.LeaseWrite(t.Context(), "k") // its tokens, and it dies with them
				require.NoError(t, err)
			}
			o.set("k", "new")
			mustGet(t, l, "old")
			time.Sleep(time.Minute + 1)
			mustGet(t, l, "new")
		})
	}
}

// One that dies with the tokens of a write-through of a key that is not cached holds up
// readers for the rest of its lease, and no longer.
func TestDeathWithTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, o := fakecache.New(2), newOrigin("k", "old")
		l := open(t, c, o)
		_, err := c.LeaseWrite(t.Context(), "k")
		require.NoError(t, err)
		o.set("k", "new")
		began := time.Now()
		mustGet(t, l, "new")
		require.Less(t, time.Since(began), 11*time.Second, "the lease is of 10 s")
		lease, err := c.Lease(t.Context(), "k", item.LeaseOptions{})
		require.NoError(t, err)
		require.Equal(t, item.LeaseHit, lease.State)
	})
}

// A write-back is accepted while the origin is down, however long, and gets there when it
// is back.
func TestWriteBackOutlivesAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOrigin("k", "old")
		down := breaks(o)
		l := open(t, fakecache.New(2), o, writeBack(newMemJournal()))
		require.NoError(t, l.Put(t.Context(), "k", "new"))
		time.Sleep(3 * time.Hour)
		require.NotZero(t, l.Counters().Back.Dead, "DeadLetter would have been asked")
		mustGet(t, l, "new")
		down.end()
		time.Sleep(loader.DefaultMaxBackoff)
		synctest.Wait()
		require.Equal(t, "new", o.rows["k"])
		require.Zero(t, l.Counters().Back.Pending)
	})
}

// Every test that DESIGN.md names as the proof of a promise is there.
func TestPromisesHaveTests(t *testing.T) {
	design, err := os.ReadFile("../DESIGN.md")
	require.NoError(t, err)
	_, section, ok := strings.Cut(string(design), "## What writes promise\n")
	require.True(t, ok)
	section, _, _ = strings.Cut(section, "\n## ")
	names := regexp.MustCompile(`Test\w+`).FindAllString(section, -1)
	require.Greater(t, len(names), 20)
	var code strings.Builder
	for _, dir := range []string{".", "journal", "../client", "examples/internal/table"} {
		files, err := filepath.Glob(dir + "/*_test.go")
		require.NoError(t, err)
		for _, f := range files {
			b, err := os.ReadFile(f)
			require.NoError(t, err)
			code.Write(b)
		}
	}
	for _, name := range names {
		require.True(t, strings.Contains(code.String(), "func "+name+"("), "DESIGN.md names %s", name)
	}
}
