package loader_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/loader/internal/fakecache"
)

// GetMulti, Refresh and Peek see the same generation as Get does.
func TestNamespaceReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, o := fakecache.New(2), newOrigin("a", "1", "b", "1")
		n := namespace(t, c, o, loader.NamespaceConfig{Name: "tenant1", MaxAge: -1})
		other := namespace(t, c, o, loader.NamespaceConfig{Name: "tenant2", MaxAge: -1})
		all := []string{"a", "b", "none"}

		_, err := n.Peek(t.Context(), "a")
		require.ErrorIs(t, err, item.ErrCacheMiss)
		found, err := n.GetMulti(t.Context(), all)
		require.NoError(t, err)
		require.Equal(t, map[string]string{"a": "1", "b": "1"}, found)
		loads := o.loads.Load()

		o.set("a", "2")
		v, err := n.Peek(t.Context(), "a")
		require.NoError(t, err)
		require.Equal(t, "1", v)
		_, err = n.Peek(t.Context(), "none")
		require.ErrorIs(t, err, loader.ErrNotFound)
		_, err = other.Peek(t.Context(), "a")
		require.ErrorIs(t, err, item.ErrCacheMiss, "another namespace's")
		v, err = n.Refresh(t.Context(), "a")
		require.NoError(t, err)
		require.Equal(t, "2", v)
		v, err = n.Get(t.Context(), "a")
		require.NoError(t, err)
		require.Equal(t, "2", v)
		require.EqualValues(t, 1, o.loads.Load()-loads)

		o.set("b", "2")
		require.NoError(t, n.InvalidateAll(t.Context()))
		_, err = n.Peek(t.Context(), "a")
		require.ErrorIs(t, err, item.ErrCacheMiss)
		found, err = n.GetMulti(t.Context(), all)
		require.NoError(t, err)
		require.Equal(t, map[string]string{"a": "2", "b": "2"}, found)

		_, err = n.GetMulti(t.Context(), []string{"a", ""})
		require.ErrorIs(t, err, item.ErrMalformedKey)
		require.NoError(t, n.Close())
		_, err = n.GetMulti(t.Context(), all)
		require.ErrorIs(t, err, loader.ErrClosed)
		_, err = n.Refresh(t.Context(), "a")
		require.ErrorIs(t, err, loader.ErrClosed)
		_, err = n.Peek(t.Context(), "a")
		require.ErrorIs(t, err, loader.ErrClosed)
	})
}

// While another process changes the generation again and again, reads of all kinds fail for nobody and return nothing
// older than MaxAge.
func TestNamespaceReadsDuringChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, o := fakecache.New(2), newOrigin("k", "0")
		n := namespace(t, c, o, loader.NamespaceConfig{Name: "tenant1", MaxAge: -1})
		writer := namespace(t, c, o, loader.NamespaceConfig{Name: "tenant1", MaxAge: -1})
		var mu sync.Mutex
		least := 0
		stop := make(chan struct{})
		var wg sync.WaitGroup
		for range 2 {
			for name, read := range map[string]func(context.Context) (string, error){
				"Get":     func(ctx context.Context) (string, error) { return n.Get(ctx, "k") },
				"Refresh": func(ctx context.Context) (string, error) { return n.Refresh(ctx, "k") },
				"GetMulti": func(ctx context.Context) (string, error) {
					found, err := n.GetMulti(ctx, []string{"k"})
					return found["k"], err
				},
			} {
				wg.Go(func() {
					for {
						select {
						case <-stop:
							return
						case <-time.After(time.Millisecond):
						}
						mu.Lock()
						want := least
						mu.Unlock()
						v, err := read(t.Context())
						got := -1
						_, serr := fmt.Sscan(v, &got)
						if err != nil || serr != nil || got < want {
							t.Errorf("%s: %q, %v, at least %d was due", name, v, err, want)
							return
						}
					}
				})
			}
		}
		for i := 1; i <= scaled(200); i++ {
			o.set("k", fmt.Sprint(i)) // by other means
			require.NoError(t, writer.InvalidateAll(t.Context()))
			mu.Lock()
			least = i
			mu.Unlock()
			time.Sleep(3 * time.Millisecond)
		}
		close(stop)
		wg.Wait()
	})
}
