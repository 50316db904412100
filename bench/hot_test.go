package main

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/nodeserver/stock"
)

func TestHot(t *testing.T) {
	stock.Need(t)
	code, stdout, stderr := bench(t, "hot", "-quick", "-scenario", "recall", "-json", "-")
	require.Equal(t, exitOK, code, stderr)
	var r scenarioReport
	require.NoError(t, json.Unmarshal([]byte(stdout), &r))
	require.Len(t, r.Scenarios, 1)
	assert.Contains(t, stderr, "HeavyKeeper")
	for _, row := range r.Scenarios[0].Rows {
		assert.NotNil(t, row.Ours, row.Name)
	}
}
