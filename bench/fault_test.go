package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/nodeserver/stock"
)

// TestFault plays two scenarios for an instant, as a user would: a table on stdout, the
// results in a file, or the results on stdout and the table beside them.
func TestFault(t *testing.T) {
	stock.Need(t)
	out := filepath.Join(t.TempDir(), "out.json")
	code, stdout, stderr := bench(t, "fault", "-quick", "-scenario", "crash,cut", "-json", out)
	require.Equal(t, exitOK, code, stdout+stderr)
	assert.Contains(t, stdout, "crash: one of three nodes is killed")
	assert.Contains(t, stdout, "cut: 2 % of the replies")
	assert.Contains(t, stdout, "gomemcache")
	assert.Contains(t, stdout, "floors held\n")
	b, err := os.ReadFile(out)
	require.NoError(t, err)
	var r scenarioReport
	require.NoError(t, json.Unmarshal(b, &r))
	require.Len(t, r.Scenarios, 2)
	assert.Contains(t, r.Server, "memcached 1.")
	assert.EqualValues(t, 1, r.Setup.Runs)
	for _, row := range r.Scenarios[0].Rows {
		assert.NotNil(t, row.Ours, row.Name)
		assert.NotNil(t, row.Base, row.Name)
	}

	code, stdout, stderr = bench(t, "fault", "-quick", "-scenario", "stray", "-seed", "2", "-json", "-")
	require.Equal(t, exitOK, code, stderr)
	require.NoError(t, json.Unmarshal([]byte(stdout), &r))
	assert.Equal(t, "stray", r.Scenarios[0].Name)
	assert.EqualValues(t, 2, r.Setup.Seed)
	assert.Contains(t, stderr, "stray: one in 1,000")
}
