package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/bench/internal/contest"
	"github.com/memherd/memherd/bench/internal/fleet"
	"github.com/memherd/memherd/nodeserver/stock"
)

func TestCompare(t *testing.T) {
	f, err := fleet.Start(1, 0)
	require.NoError(t, err)
	defer f.Close()
	out := filepath.Join(t.TempDir(), "out.json")
	code, stdout, stderr := bench(t, "compare", "-no-rivals", "-server", f.Nodes()[0].Addr, "-goroutines", "1,8", "-rounds", "2", "-slot", "20ms", "-json", out, "-html", out+".html")
	require.Equal(t, exitOK, code, stdout+stderr)
	assert.Equal(t, 2, strings.Count(stdout, "\nmemherd "))
	assert.Equal(t, 2, strings.Count(stdout, "\ngomemcache again "), "the A/A rows")
	page, err := os.ReadFile(out + ".html")
	require.NoError(t, err)
	assert.Contains(t, string(page), "8, memherd: ")
	assert.Contains(t, stdout, "1.90  2.40", "the floor and the aim at 8 goroutines")
	assert.NotContains(t, stdout, "no deadline")
	assert.FileExists(t, out)

	code, stdout, stderr = bench(t, "compare", "-no-rivals", "-server", f.Nodes()[0].Addr, "-goroutines", "4", "-rounds", "1", "-slot", "10ms", "-deadline")
	require.Equal(t, exitOK, code, stdout+stderr)
	assert.Contains(t, stdout, "\nmemherd, no deadline ")
	assert.Contains(t, stdout, "a context.WithTimeout an operation at 4 goroutines costs memherd ")

	// Without a server it starts a memcached, or says that it could not.
	code, stdout, stderr = bench(t, "compare", "-no-rivals", "-goroutines", "2", "-rounds", "1", "-slot", "10ms")
	require.Equal(t, exitOK, code, stdout+stderr)
	if _, err := stock.Find(); err == nil {
		assert.Contains(t, stdout, "on memcached 1.")
	} else {
		assert.Contains(t, stdout, "on a node in this process")
	}
}

// TestCompareOnBoth: one run, a table each, and all in one file.
func TestCompareOnBoth(t *testing.T) {
	stock.Need(t)
	out := filepath.Join(t.TempDir(), "out.json")
	code, stdout, stderr := bench(t, "compare", "-no-rivals", "-on", "memcached,memnode", "-goroutines", "8", "-rounds", "1", "-slot", "10ms", "-json", out)
	require.Equal(t, exitOK, code, stdout+stderr)
	b, err := os.ReadFile(out)
	require.NoError(t, err)
	var tables []contest.Result
	require.NoError(t, json.Unmarshal(b, &tables))
	require.Len(t, tables, 2)
	assert.Contains(t, tables[0].Title, "on memcached 1.")
	assert.Contains(t, tables[1].Title, "on a node in this process")
	assert.Equal(t, 1, strings.Count(stdout, "ratio: operations a second over"), "told once how to read it")
}

// TestCompareWithEverybody: the program that has the other clients is built and plays, and so does what it is asked.
func TestCompareWithEverybody(t *testing.T) {
	// Where the other clients' modules cannot be had, it says so and plays without them.
	list := exec.Command("go", "list", "-deps", ".")
	list.Dir = "rivals"
	had := list.Run() == nil
	require.True(t, had || os.Getenv("CI") != "true")
	out := filepath.Join(t.TempDir(), "out.json")
	code, stdout, stderr := bench(t, "compare", "-on", "memnode", "-work", "mixed", "-goroutines", "8", "-rounds", "1", "-slot", "10ms", "-seed", "7", "-json", out)
	require.Equal(t, exitOK, code, stdout+stderr)
	assert.Contains(t, stdout, "seed 7")
	assert.FileExists(t, out)
	assert.Equal(t, had, strings.Contains(stdout, "\ngrafana/gomemcache "), stderr)
	assert.Equal(t, !had, strings.Contains(stderr, "grafana/gomemcache and rueidis do not play"), stderr)
	redis := had && !strings.Contains(stderr, "rueidis does not play")
	assert.Equal(t, redis, strings.Contains(stdout, "\nrueidis on redis "))
}

func TestCompareWithoutGo(t *testing.T) {
	t.Setenv("PATH", "/nonexistent")
	code, stdout, stderr := bench(t, "compare", "-on", "memnode", "-goroutines", "8", "-rounds", "1", "-slot", "10ms")
	require.Equal(t, exitOK, code, stdout+stderr)
	assert.Contains(t, stderr, "grafana/gomemcache and rueidis do not play: cannot find memherd's module")
	assert.Contains(t, stdout, "\nmemherd ")
	assert.NotContains(t, stdout, "grafana")
}
