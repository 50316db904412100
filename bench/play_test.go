package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/bench/internal/scenario"
)

// TestLists: what there is to play is told with its title, and what there is not is refused.
func TestLists(t *testing.T) {
	for cmd, all := range map[string][]scenario.Scenario{"loads": scenario.Loads(), "hot": scenario.HotKeys()} {
		code, stdout, stderr := bench(t, cmd, "-list")
		require.Equal(t, exitOK, code, stderr)
		for _, s := range all {
			assert.Contains(t, stdout, s.Name)
			assert.Contains(t, stdout, s.Title)
		}
	}
	for _, cmd := range []string{"fault", "loads", "hot"} {
		code, _, stderr := bench(t, cmd, "-runs", "0")
		assert.Equal(t, exitUsage, code)
		assert.Contains(t, stderr, "-runs must be positive")
		code, _, stderr = bench(t, cmd, "-scenario", "sun")
		assert.Equal(t, exitUsage, code)
		assert.Contains(t, stderr, `no scenario "sun"`)
	}
}
