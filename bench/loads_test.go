package main

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/nodeserver/stock"
)

// TestLoads plays one for an instant, as a user would, in processes of their own.
func TestLoads(t *testing.T) {
	stock.Need(t)
	code, stdout, stderr := bench(t, "loads", "-quick", "-scenario", "holder", "-json", "-")
	require.Equal(t, exitOK, code, stderr)
	var r scenarioReport
	require.NoError(t, json.Unmarshal([]byte(stdout), &r))
	require.Len(t, r.Scenarios, 1)
	assert.Contains(t, stderr, "holder: the process that loads a key is killed")
	assert.Contains(t, stderr, "floors held\n")
	assert.NotContains(t, stderr, "gomemcache")
	for _, row := range r.Scenarios[0].Rows {
		assert.NotNil(t, row.Ours, row.Name)
	}
}
