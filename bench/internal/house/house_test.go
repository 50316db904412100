//go:build !race

// One goroutine looks at texts: the race detector would find nothing, in ten times the time.

package house

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func root(t *testing.T) string {
	t.Helper()
	dir, err := Root()
	require.NoError(t, err)
	return dir
}

func TestModuleImportsOnlyAlongTheArrows(t *testing.T) {
	pkgs, err := List(root(t), "./...")
	require.NoError(t, err)
	require.NotEmpty(t, pkgs)
	assert.Empty(t, Imports(pkgs))
}

func TestClientPullsInLittle(t *testing.T) {
	deps, err := Deps(root(t), Module+"/client")
	require.NoError(t, err)
	require.Contains(t, deps, Module+"/client/item")
	assert.Empty(t, Closure(CoreDeps, deps))
}

// Nor does anything else that a program imports for its cache pull in what observes it, or gomemcache.
func TestNothingPullsInTheObservers(t *testing.T) {
	var deps []string
	for _, folder := range []string{"/client", "/client/discovery", "/client/journal", "/loader", "/loader/journal", "/client/observe/timing", "/client/observe/metrics", "/client/observe/events"} {
		d, err := Deps(root(t), Module+folder)
		require.NoError(t, err)
		deps = append(deps, d...)
	}
	require.Contains(t, deps, Module+"/client/observe/timing")
	for _, d := range deps {
		for _, o := range Observers {
			assert.False(t, d == o || strings.HasPrefix(d, o+"/"), d)
		}
	}
}

func TestTopLevel(t *testing.T) {
	bad, err := TopLevel(root(t))
	require.NoError(t, err)
	assert.Empty(t, bad)
}

func TestGoFiles(t *testing.T) {
	bad, err := GoFiles(root(t))
	require.NoError(t, err)
	assert.Empty(t, bad)
}

func TestMachinePaths(t *testing.T) {
	bad, err := MachinePaths(root(t))
	require.NoError(t, err)
	assert.Empty(t, bad)
}

func TestLeakChecks(t *testing.T) {
	bad, err := LeakChecks(root(t))
	require.NoError(t, err)
	assert.Empty(t, bad)
}

// The rules must be able to find what they look for.

func TestImportsFindsPlantedArrows(t *testing.T) {
	for _, c := range []struct {
		folder, imp string
		ok          bool
	}{
		{"ring", Module + "/client", false},
		{"ring", "github.com/cespare/xxhash/v2", true},
		{"ring", "math", true},
		{"ring", "golang.org/x/sync/errgroup", false},
		{"client", Module + "/ring", true},
		{"client", Module + "/client/internal/conn", true},
		{"client", Module + "/loader", false},
		{"client", Module + "/client/observe/prom", false},
		{"client", "github.com/bradfitz/gomemcache/memcache", false},
		{"client/item", Module + "/ring", false},
		{"client/memproto", Module + "/client/item", false},
		{"client/internal/conn", Module + "/client", false},
		{"loader", Module + "/client", false},
		{"loader", Module + "/client/item", true},
		{"loader", "golang.org/x/sync/singleflight", true},
		{"loader", "golang.org/x/time/rate", true},
		{"loader", "github.com/klauspost/compress/zstd", false},
		{"nodeserver", Module + "/client/memproto", true},
		{"nodeserver", Module + "/client", false},
		{"nodeserver/memnode", Module + "/client", false},
		{"nodeserver/memnode", Module + "/nodeserver", true},
		{"bench", Module + "/loader", true},
		{"bench/internal/trace", "github.com/klauspost/compress/zstd", true},
		{"bench/internal/trace", "modernc.org/sqlite", false},
		{"bench/internal/workload", Module + "/client", false},
		{"client/gomc", "github.com/bradfitz/gomemcache/memcache", true},
		{"bench", "github.com/redis/rueidis", false},
		{"bench/internal/contest", "github.com/grafana/gomemcache/memcache", false},
		{"bench/rivals", "github.com/grafana/gomemcache/memcache", true},
		{"bench/rivals", Module + "/bench/internal/contest", true},
	} {
		bad := Imports([]Package{{ImportPath: Module + "/" + c.folder, Imports: []string{"fmt", c.imp}}})
		assert.Equal(t, c.ok, len(bad) == 0, "%s imports %s: %v", c.folder, c.imp, bad)
	}
	assert.NotEmpty(t, Imports([]Package{{ImportPath: Module + "/util"}}), "a room nobody planned")
	assert.NotEmpty(t, Imports([]Package{{ImportPath: Module}}), "code on the top level")
	assert.NotEmpty(t, Imports([]Package{{ImportPath: "example.com/x"}}))
	assert.NotEmpty(t, Closure(CoreDeps, []string{"fmt", "golang.org/x/sync/errgroup"}))
	assert.NotEmpty(t, Closure(CoreDeps, []string{Module + "/loader"}))
	assert.Empty(t, Closure(CoreDeps, []string{"fmt", Module + "/client", Module + "/ring"}))
}

func plant(t *testing.T, rel, text string) string {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, filepath.FromSlash(rel))
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	return dir
}

func TestFileRulesFindPlantedViolations(t *testing.T) {
	for name, c := range map[string]struct {
		rel, text string
		check     func(string) ([]string, error)
		found     int
	}{
		"good file":         {"ring/a.go", "package a\n", GoFiles, 0},
		"too long":          {"ring/a.go", "package a\n" + strings.Repeat("\nvar _ = 1\n", 250), GoFiles, 1},
		"not formatted":     {"ring/a.go", "package a\nvar  x = 1\n", GoFiles, 1},
		"not Go":            {"ring/a.go", "pakage a\n", GoFiles, 1},
		"unfinished":        {"ring/a.go", "package a\n\n// " + unfinished[0] + ": later\n", GoFiles, 1},
		"home in a text":    {"ring/a.md", "see /" + "home/me/x\n", MachinePaths, 1},
		"binary":            {"ring/a.bin", "\x00/" + "home/me/x\n", MachinePaths, 0},
		"no leak check":     {"ring/a_test.go", "package a\n", LeakChecks, 1},
		"leak check":        {"ring/a_test.go", "package a\nfunc TestMain(m *testing.M) { goleak.VerifyTestMain(m) }\n", LeakChecks, 0},
		"stray folder":      {"util/a.go", "package a\n", TopLevel, 1},
		"known folder":      {"ring/a.go", "package a\n", TopLevel, 0},
		"stray file":        {"notes.txt", "x", TopLevel, 1},
		"dot-file":          {".editorconfig", "x", TopLevel, 0},
		"file for a folder": {"ring", "x", TopLevel, 1},
	} {
		t.Run(name, func(t *testing.T) {
			bad, err := c.check(plant(t, c.rel, c.text))
			require.NoError(t, err)
			assert.Len(t, bad, c.found)
		})
	}
}

func TestMentions(t *testing.T) {
	for text, want := range map[string]bool{
		"/a/b": true, "see /a/b": true, "x/a/b": false, "../a/b": false, "x/a/b and \"/a/b\"": true, "file:///a/b": false, "/a": false, "": false,
	} {
		assert.Equal(t, want, mentions([]byte(text), "/a/"), text)
	}
}

func TestMachinePathsFindsItsOwnCheckout(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a.txt"), []byte("built in "+dir+"/x\n"), 0o644))
	bad, err := MachinePaths(dir)
	require.NoError(t, err)
	assert.NotEmpty(t, bad)
}
