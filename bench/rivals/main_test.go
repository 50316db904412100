package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/bench/internal/compare"
	"github.com/memherd/memherd/nodeserver/stock"
)

func TestBadInput(t *testing.T) {
	for args, want := range map[string]string{
		"-what":               "flag provided but not defined",
		"now":                 "unexpected argument now",
		"-rounds 0":           "-rounds 0",
		"-slot 1us":           "-slot 1µs",
		"-tables get,all":     "-tables all: there are get, deadline",
		"-tables=":            "-tables : there are",
		"-json no/such/file":  "cannot be written",
		"-on redis":           "-on redis: give memcached, memnode",
		"-on memnode,memnode": "-on memnode,memnode: give",
		"-html no/such/file":  "-html no/such/file cannot be written",
		"-compare {\"a\":1}":  "-compare: json",
	} {
		var out, errs bytes.Buffer
		assert.Equal(t, 2, run(t.Context(), strings.Split(args, " "), &out, &errs), args)
		assert.Contains(t, errs.String(), want)
		assert.Empty(t, out.String())
	}
	var out, errs bytes.Buffer
	assert.Zero(t, run(t.Context(), []string{"-help"}, &out, &errs))
}

func TestQuick(t *testing.T) {
	o, err := parse([]string{"-quick"}, nil)
	require.NoError(t, err)
	assert.Equal(t, 3, o.Rounds)
	assert.Equal(t, 60*time.Millisecond, o.Slot)
	assert.Equal(t, tableNames(), o.tables)
	o, err = parse([]string{"-quick", "-rounds", "7", "-slot", "1s", "-tables", "parts,get"}, nil)
	require.NoError(t, err)
	assert.Equal(t, 7, o.Rounds)
	assert.Equal(t, time.Second, o.Slot)
	assert.Equal(t, []string{"parts", "get"}, o.tables)
	o, err = parse(nil, nil)
	require.NoError(t, err)
	assert.GreaterOrEqual(t, o.Rounds, 5, "fewer make no median to rely on")
}

// TestSomeTables is the whole command for an instant: a table on one server, one on
// three, what parts cost, and the allocations.
func TestSomeTables(t *testing.T) {
	stock.Need(t)
	hasRedis := true
	if _, err := findRedis(); err != nil {
		require.NotEqual(t, "true", os.Getenv("CI"), err)
		hasRedis = false
	}
	path, page := filepath.Join(t.TempDir(), "out.json"), filepath.Join(t.TempDir(), "out.html")
	var out, errs bytes.Buffer
	code := run(t.Context(), []string{"-rounds", "1", "-slot", "2ms", "-tables", "sizes,multi,parts,allocs", "-on", "memcached,memnode", "-json", path, "-html", page}, &out, &errs)
	require.Zero(t, code, errs.String())
	for _, want := range []string{"\ngomemcache again ", "\ngrafana/gomemcache ", "\nmemherd ", "\nall  ", "GetInto", "floors are reached", "memcached 1."} {
		assert.Contains(t, out.String(), want)
	}
	assert.Equal(t, hasRedis, strings.Contains(out.String(), "\nrueidis on redis "))
	assert.Equal(t, !hasRedis, strings.Contains(errs.String(), "rueidis does not play"))
	shown, err := os.ReadFile(page)
	require.NoError(t, err)
	assert.Contains(t, string(shown), "grafana/gomemcache: ")
	assert.Less(t, len(shown), 2<<20)
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	var res results
	require.NoError(t, json.Unmarshal(text, &res))
	require.Len(t, res.Tables, 4)
	assert.GreaterOrEqual(t, len(res.Parts), 3)
	assert.Equal(t, "multi", res.Tables[2].Name)
	assert.Equal(t, "multi on memnode", res.Tables[3].Name)
	for _, row := range res.Tables[3].Rows {
		assert.Zero(t, row.Bound)
	}
	assert.Len(t, res.Allocs, 7)
	for _, table := range res.Tables {
		for _, row := range table.Rows {
			assert.Positive(t, row.OpsPerS, "%s: %s", table.Name, row.Name)
			assert.Positive(t, row.Ratio.Mid, "%s: %s", table.Name, row.Name)
		}
	}
}

// TestAsked: what bench compare asks for is played with this module's clients.
func TestAsked(t *testing.T) {
	asked, err := compare.Encode(compare.Options{On: []string{"memnode"}, Work: "get", Goroutines: []int{8}, Rounds: 1, Slot: 5 * time.Millisecond, Keys: 100, Size: 100})
	require.NoError(t, err)
	var out, errs bytes.Buffer
	require.Zero(t, run(t.Context(), []string{"-compare", asked}, &out, &errs), errs.String())
	for _, want := range []string{"\nmemherd ", "\ngrafana/gomemcache ", "\nbare prototype "} {
		assert.Contains(t, out.String(), want)
	}
	_, err = findRedis()
	assert.Equal(t, err == nil, strings.Contains(out.String(), "\nrueidis on redis "))
}
