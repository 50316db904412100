package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/bench/internal/scenario"
	"github.com/memherd/memherd/nodeserver/stock"
)

// What stands in several tables is together at the end: every floor, what was measured, and how accesses were sampled meanwhile.
func TestHotSumsUp(t *testing.T) {
	stock.Need(t)
	code, stdout, stderr := bench(t, "hot", "-quick", "-scenario", "near,recall")
	require.Equal(t, exitOK, code, stderr)
	_, sum, ok := strings.Cut(stdout, " floors held\n")
	require.True(t, ok, stdout)
	var rows []string
	for line := range strings.Lines(sum) {
		if line = strings.TrimSpace(line); line != "" {
			rows = append(rows, line)
		}
	}
	require.Len(t, rows, 5)
	assert.Contains(t, rows[0], scenario.SampledOneIn)
	assert.Regexp(t, `^near +ns of CPU a hit takes over the clock's .* ≤ 20 +(aim|ok|below) +≤ 12 +[0-9,]+$`, rows[1])
	assert.Regexp(t, `^recall +recall .* ≥ 0.97 +(aim|ok|below) +≥ 0.99 +1$`, rows[4])
}

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
