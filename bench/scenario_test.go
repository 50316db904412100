package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/bench/internal/scenario"
	"github.com/memherd/memherd/nodeserver/stock"
)

// TestScenarioList has every scenario with what it promises, or those asked for.
func TestScenarioList(t *testing.T) {
	code, stdout, stderr := bench(t, "scenario", "-list")
	require.Equal(t, exitOK, code, stderr)
	for _, s := range scenario.All() {
		require.Contains(t, stdout, s.Name+" (")
		require.Contains(t, stdout, s.Title)
		require.Contains(t, stdout, s.Promises())
	}
	code, stdout, stderr = bench(t, "scenario", "-list", "crash")
	require.Equal(t, exitOK, code, stderr)
	require.Contains(t, stdout, "crash (fault)")
	require.NotContains(t, stdout, "recall")
	require.NotContains(t, stdout, "stampede")
}

// TestScenario plays one of each group, for an instant.
func TestScenario(t *testing.T) {
	stock.Need(t)
	code, stdout, stderr := bench(t, "scenario", "-quick", "crash", "holder", "recall")
	require.Equal(t, exitOK, code, stdout+stderr)
	require.Regexp(t, `pass  crash +`, stdout)
	require.Regexp(t, `pass  holder +`, stdout)
	require.Regexp(t, `pass  recall +`, stdout)
}

func TestScenarioRefusesBadInput(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"scenario"}, "-list"},
		{[]string{"scenario", "nonsense"}, `no scenario "nonsense"`},
		{[]string{"scenario", "crash", "-runs", "0"}, "-runs"},
	} {
		code, _, stderr := bench(t, c.args...)
		require.Equal(t, exitUsage, code)
		require.Contains(t, stderr, c.want)
	}
}
