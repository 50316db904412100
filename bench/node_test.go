package main

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/nodeserver/stock"
)

// TestNode plays the table for an instant, with a second memcached in memnode's place: it
// understands the same arguments.
func TestNode(t *testing.T) {
	stock.Need(t)
	path, err := stock.Find()
	require.NoError(t, err)
	code, stdout, stderr := bench(t, "node", "-memnode", path, "-rounds", "1", "-slot", "20ms", "-items", "1000", "-json", "-", "-also", path+" -v")
	require.Equal(t, exitOK, code, stderr)
	var result nodeResult
	require.NoError(t, json.Unmarshal([]byte(stdout), &result))
	rows := result.Rows
	require.Len(t, rows, 4)
	for _, r := range rows {
		require.Len(t, r.Scores, 4)
		assert.Positive(t, r.Scores[1].OpsPerS)
		assert.Contains(t, stderr, r.Row)
	}
	assert.Contains(t, stderr, "resident bytes an item")
	require.Len(t, result.Latency, 4)
	for _, l := range result.Latency {
		assert.Positive(t, l.P50)
		assert.GreaterOrEqual(t, l.P999, l.P99)
		assert.Positive(t, l.Ratio.Mid)
		assert.Contains(t, stderr, l.Name)
	}

	code, stdout, stderr = bench(t, "node", "-memnode", path, "-rounds", "1", "-slot", "20ms", "-items", "0", "-row", "64 deep", "-json", "-")
	require.Equal(t, exitOK, code, stderr)
	require.NoError(t, json.Unmarshal([]byte(stdout), &result))
	assert.Len(t, result.Rows, 1)
	assert.Empty(t, result.Latency, "half of what is not known without the first row")

	code, _, stderr = bench(t, "node", "-memnode", path, "-row", "nonsense")
	assert.Equal(t, exitUsage, code)
	assert.Contains(t, stderr, "nonsense")
	code, _, stderr = bench(t, "node", "-memnode", path, "-also", " ")
	assert.Equal(t, exitUsage, code)
	assert.Contains(t, stderr, "-also")

	code, _, stderr = bench(t, "node", "-memnode", "/no/such/file", "-rounds", "1")
	assert.Equal(t, exitUsage, code)
	assert.Contains(t, stderr, "-memnode /no/such/file: there is no such program")
}
