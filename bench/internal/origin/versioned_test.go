package origin

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestVersioned(t *testing.T) {
	ctx := t.Context()
	for _, guarded := range []bool{false, true} {
		path := filepath.Join(t.TempDir(), "rows.db")
		v, err := OpenVersioned(path, guarded)
		require.NoError(t, err)
		other, err := OpenVersioned(path, guarded) // as another process would
		require.NoError(t, err)
		_, err = v.Load(ctx, "a")
		require.ErrorIs(t, err, ErrNoRow)
		require.NoError(t, v.Store(ctx, Row{"a", "1", "05"}, Row{"b", "1", "05"}))
		require.NoError(t, other.Store(ctx, Row{"a", "1", "05"}), "the same write once more")
		want := Row{"a", "0", "04"}
		err = other.Store(ctx, Row{"b", "2", "06"}, want)
		if guarded {
			require.ErrorIs(t, err, ErrNewer)
			want = Row{"a", "1", "05"}
		} else {
			require.NoError(t, err)
		}
		got, err := v.Load(ctx, "a")
		require.NoError(t, err)
		require.Equal(t, want, got)
		got, err = v.Load(ctx, "b")
		require.NoError(t, err)
		require.Equal(t, guarded, got.Body == "1", "all of them or none")
		var writes []string
		require.NoError(t, other.Writes(ctx, func(key, body string) error {
			writes = append(writes, key+body)
			return nil
		}))
		if guarded {
			require.Equal(t, []string{"a1", "b1", "a1"}, writes)
		} else {
			require.Equal(t, []string{"a1", "b1", "a1", "b2", "a0"}, writes)
		}
		require.NoError(t, v.Close())
		require.NoError(t, other.Close())
	}
	_, err := OpenVersioned(t.TempDir(), false)
	require.ErrorContains(t, err, "cannot make the database")
}
