package cputime

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func plant(t *testing.T, files map[string]string) string {
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	}
	return dir
}

const stat = "7 (a (b) c) S 1 7 7 0 -1 4194304 100 0 0 0 150 25 9 9 20 0 4 0 100 0 0\n"

func TestThreadsOfAllProcessesAreAddedUp(t *testing.T) {
	dir := plant(t, map[string]string{
		"7/task/7/schedstat": "1000 5 3\n", "7/task/8/schedstat": "200 5 3\n", "7/stat": stat,
		"9/task/9/schedstat": "30 0 1\n",
	})
	d, err := of(dir, []int{7, 9})
	require.NoError(t, err)
	assert.Equal(t, 1230*time.Nanosecond, d)
}

func TestStatWhereTheSchedulerDoesNotCount(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"none":       {"7/stat": stat},
		"zeros":      {"7/stat": stat, "7/task/7/schedstat": "0 0 0\n"},
		"unreadable": {"7/stat": stat, "7/task/7/schedstat": "?\n"},
	} {
		d, err := of(plant(t, files), []int{7})
		require.NoError(t, err, name)
		assert.Equal(t, 1750*time.Millisecond, d, name)
	}
}

func TestNobodyAndNonsense(t *testing.T) {
	_, err := of(t.TempDir(), []int{7})
	require.ErrorIs(t, err, os.ErrNotExist)
	for _, text := range []string{"", "7 (a) S 1 2", "7 (a) S 1 7 7 0 -1 4194304 100 0 0 0 many 25 9 9"} {
		_, err = of(plant(t, map[string]string{"7/stat": text}), []int{7})
		require.ErrorContains(t, err, "unreadable stat", text)
	}
}

func TestThisProcess(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("no /proc on " + runtime.GOOS)
	}
	read := Reader(os.Getpid())
	require.NotNil(t, read)
	before, err := read()
	require.NoError(t, err)
	// Computing until both clocks say that something was computed ends for certain.
	self := Self()
	for Self() < self+30*time.Millisecond {
	}
	after, err := read()
	require.NoError(t, err)
	assert.Greater(t, after, before)
	assert.Nil(t, Reader(-1), "no such process")
}
