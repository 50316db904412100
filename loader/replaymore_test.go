package loader_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/loader/internal/fakecache"
)

// What an earlier process left may be more than MaxPending and MaxPendingBytes allow: nothing is let in before enough of it has
// gone, and no more than they allow afterwards.
func TestReplayOfMoreThanMayBePending(t *testing.T) {
	for name, limit := range map[string]func(*loader.BackConfig[string]){
		"keys":  func(b *loader.BackConfig[string]) { b.MaxPending = 2 },
		"bytes": func(b *loader.BackConfig[string]) { b.MaxPendingBytes = 450 },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, o, j := fakecache.New(1), newOrigin(), newMemJournal()
				down := breaks(o)
				l := open(t, c, o, writeBack(j, noDrain))
				for i := range 10 {
					require.NoError(t, l.Put(t.Context(), fmt.Sprint(i), "v"))
				}
				die(t, l)
				var well atomic.Int64 // so many stores are taken
				o.onStore = func(string, string) error {
					if well.Add(-1) < 0 {
						return errOrigin
					}
					return nil
				}
				l = open(t, c, o, writeBack(j, noDrain, limit, func(b *loader.BackConfig[string]) { b.Workers = 1 }))
				put := func(key string) error {
					ctx, cancel := context.WithTimeout(t.Context(), time.Second)
					defer cancel()
					return l.Put(ctx, key, "w")
				}
				require.ErrorIs(t, put("a"), loader.ErrBacklogFull)
				well.Store(8)
				time.Sleep(time.Minute)
				require.Equal(t, 2, l.Counters().Back.Pending)
				require.ErrorIs(t, put("a"), loader.ErrBacklogFull)
				well.Store(1)
				time.Sleep(time.Minute)
				require.Equal(t, 1, l.Counters().Back.Pending)
				require.NoError(t, put("a"))
				require.ErrorIs(t, put("b"), loader.ErrBacklogFull)
				down.end()
				o.onStore = nil
				require.NoError(t, l.Flush(t.Context()))
				require.NoError(t, l.Put(t.Context(), "large", strings.Repeat("x", 1000)), "alone")
				require.NoError(t, l.Flush(t.Context()))
			})
		})
	}
}
