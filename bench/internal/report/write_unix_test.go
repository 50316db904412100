//go:build unix

package report

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What is no file is written into. A file was put in its place: of a root's -json /dev/null, too.
func TestAPipeStaysAPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	require.NoError(t, syscall.Mkfifo(path, 0o600))
	require.NoError(t, CheckPath("-html", path))
	// Opened for both, so that nobody waits here whatever becomes of it.
	r, err := os.OpenFile(path, os.O_RDWR, 0)
	require.NoError(t, err)
	defer r.Close()
	require.NoError(t, WriteWhole(path, []byte("figures")))
	st, err := os.Lstat(path)
	require.NoError(t, err)
	require.Equal(t, fs.ModeNamedPipe, st.Mode().Type())
	got := make([]byte, len("figures"))
	_, err = io.ReadFull(r, got)
	require.NoError(t, err)
	assert.Equal(t, "figures", string(got))
}

// A link goes on leading to its file, which is the one that is written.
func TestALinkStaysALink(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	file, link := filepath.Join(other, "file"), filepath.Join(dir, "link")
	require.NoError(t, os.WriteFile(file, []byte("old"), 0o600))
	require.NoError(t, os.Symlink(file, link))
	require.NoError(t, CheckPath("-html", link))
	require.NoError(t, WriteWhole(link, []byte("new")))
	st, err := os.Lstat(link)
	require.NoError(t, err)
	require.Equal(t, fs.ModeSymlink, st.Mode().Type())
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, "new", string(b))
	left, err := os.ReadDir(other)
	require.NoError(t, err)
	assert.Len(t, left, 1, "no temporary file is left")
}
