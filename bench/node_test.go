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
	code, stdout, stderr := bench(t, "node", "-memnode", path, "-rounds", "1", "-slot", "20ms", "-items", "1000", "-json", "-")
	require.Equal(t, exitOK, code, stderr)
	var rows []nodeRow
	require.NoError(t, json.Unmarshal([]byte(stdout), &rows))
	require.Len(t, rows, 4)
	for _, r := range rows {
		require.Len(t, r.Scores, 3)
		assert.Positive(t, r.Scores[1].OpsPerS)
		assert.Contains(t, stderr, r.Row)
	}
	assert.Contains(t, stderr, "resident bytes an item")

	code, _, stderr = bench(t, "node", "-memnode", "/no/such/file", "-rounds", "1")
	assert.Equal(t, exitFailed, code)
	assert.Contains(t, stderr, "/no/such/file")
}
