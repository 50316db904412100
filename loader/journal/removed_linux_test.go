package journal_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/loader/journal"
)

// A journal whose file is removed, alone or with its directory, or has another put in its place, accepts nothing more: no start would find it.
func TestRemovedWhileItIsOpen(t *testing.T) {
	for name, remove := range map[string]func(path string) error{
		"file":      os.Remove,
		"directory": func(path string) error { return os.RemoveAll(filepath.Dir(path)) },
		"replaced": func(path string) error {
			other, err := journal.Open(path + ".other")
			if err == nil {
				err = other.Close()
			}
			if err != nil {
				return err
			}
			return os.Rename(path+".other", path)
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "dir", "j")
			require.NoError(t, os.Mkdir(filepath.Dir(path), 0o700))
			j := open(t, path)
			require.NoError(t, j.Append([]loader.Record{{Key: "a", Value: []byte("1")}}))
			require.NoError(t, remove(path))
			require.ErrorContains(t, j.Append([]loader.Record{{Key: "b", Value: []byte("1")}}), "removed")
			require.ErrorContains(t, j.Append([]loader.Record{{Key: "c", Value: []byte("1")}}), "opened again")
			require.Error(t, j.Close())
		})
	}
}
