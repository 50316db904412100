package loader_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/loader/internal/fakecache"
)

// joining is a LoadMany that joins the errors of its keys: an absence and a failure.
func joining(down error, wrap func(error) error) func(context.Context, []string) (map[string]string, error) {
	return func(_ context.Context, keys []string) (map[string]string, error) {
		found := map[string]string{}
		var errs []error
		for _, k := range keys {
			switch k {
			case "gone":
				errs = append(errs, loader.ErrNotFound)
			case "failed":
				errs = append(errs, down)
			default:
				found[k] = "1"
			}
		}
		return found, wrap(errors.Join(errs...))
	}
}

// An absence among the errors that a LoadMany joins excuses no failure, whatever stands around it: what has failed is not remembered
// as absent.
func TestJoinedErrorsOfALoadMany(t *testing.T) {
	plain := func(err error) error { return err }
	wrapped := func(err error) error { return fmt.Errorf("reading users: %w", err) }
	for name, wrap := range map[string]func(error) error{"joined": plain, "wrapped": wrapped} {
		for with, mod := range map[string]func(*loader.Config[string]){
			"alone":      func(*loader.Config[string]) {},
			"write-back": writeBack(newMemJournal()),
			"region": func(c *loader.Config[string]) {
				c.Region.LoadMaster = func(context.Context, string) (string, error) { return "1", nil }
			},
			"both": func(c *loader.Config[string]) {
				writeBack(newMemJournal())(c)
				c.Region.LoadMaster = func(context.Context, string) (string, error) { return "1", nil }
			},
		} {
			t.Run(name+", "+with, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					down := errors.New("a shard of the database is down")
					l := open(t, fakecache.New(1), newOrigin("failed", "1", "a", "1"), mod, func(c *loader.Config[string]) {
						c.LoadMany = joining(down, wrap)
					})
					// With a region "a" has a marker now, and so goes another way.
					require.NoError(t, l.PutWith(t.Context(), "a", "1", loader.WriteOptions{}))
					found, err := l.GetMulti(t.Context(), []string{"a", "gone", "failed"})
					require.ErrorIs(t, err, down)
					require.Equal(t, map[string]string{"a": "1"}, found)
					mustGetKey(t, l, "failed", "1")
				})
			})
		}
	}
}

func mustGetKey(t *testing.T, l *loader.Loader[string], key, want string) {
	t.Helper()
	v, err := l.Get(t.Context(), key)
	require.NoError(t, err)
	require.Equal(t, want, v)
}
