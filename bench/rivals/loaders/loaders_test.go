package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/memherd/memherd/bench/internal/value"
	"github.com/memherd/memherd/bench/internal/versus"
	"github.com/memherd/memherd/nodeserver/stock"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const shipped = "../../../testdata/traces/zipf.keys.gz"

func TestRunRefuses(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "-trace is missing"},
		{[]string{"word"}, "unexpected argument word"},
		{[]string{"-trace", "none.keys"}, "none.keys"},
		{[]string{"-trace", os.DevNull}, "the trace is empty"},
		{[]string{"-trace", shipped, "-rounds", "0"}, "-rounds 0"},
		{[]string{"-trace", shipped, "-requests", "-1"}, "-requests -1"},
		{[]string{"-trace", shipped, "-workers", "0"}, "-workers 0"},
		{[]string{"-trace", shipped, "-processes", "10001"}, "-processes 10001"},
		{[]string{"-trace", shipped, "-load", "-1s"}, "-load -1s"},
		{[]string{"-trace", shipped, "-size", "0"}, "-size 0"},
		{[]string{"-trace", shipped, "-json", t.TempDir()}, "is a folder"},
		{[]string{"-no-such-flag"}, "no-such-flag"},
	} {
		var out, stderr bytes.Buffer
		require.Equal(t, 2, run(t.Context(), c.args, &out, &stderr), c.args)
		require.Contains(t, stderr.String(), c.want)
		require.Empty(t, out.String())
	}
	require.Zero(t, run(t.Context(), []string{"-help"}, &bytes.Buffer{}, &bytes.Buffer{}))
}

// TestCompare has everybody replay a little of a trace: all give right answers, memherd
// loads each key once, and the others each key at least once.
func TestCompare(t *testing.T) {
	stock.Need(t)
	file := filepath.Join(t.TempDir(), "out.json")
	var out, stderr bytes.Buffer
	code := run(t.Context(), []string{"-trace", shipped, "-requests", "2000", "-rounds", "1", "-workers", "8", "-load", "2ms", "-json", file}, &out, &stderr)
	require.Zero(t, code, stderr.String())
	for _, p := range players() {
		assert.Contains(t, out.String(), p.name)
	}
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	var res results
	require.NoError(t, json.Unmarshal(b, &res))
	require.Len(t, res.Lines, len(players()))
	for i, l := range res.Lines {
		assert.GreaterOrEqual(t, l.Loads, float64(res.Keys), l.Name)
		assert.Positive(t, l.P99, l.Name)
		assert.Positive(t, l.OpsPerS, l.Name)
		assert.Positive(t, l.CPU, l.Name)
		if i < 3 {
			assert.EqualValues(t, res.Keys, l.Loads, l.Name)
			assert.Empty(t, l.Verdicts, l.Name)
		} else {
			assert.Len(t, l.Verdicts, len(columns), l.Name)
		}
	}
}

func TestJudge(t *testing.T) {
	same := func(f figures) []figures { return []figures{f, f, f} }
	at := func(loads, p99, ops float64) figures { return figures{Loads: loads, P99: p99, OpsPerS: ops} }
	lines := judge([]player{{name: "a"}, {name: "b"}, {name: "c"}, {name: holding}, {name: "d", with: holding}}, [][]figures{
		same(at(100, 10, 50)),
		{at(100, 11, 50), at(100, 10, 48), at(100, 9.5, 51)},
		same(at(150, 9.8, 100)),
		same(at(100, 5, 200)),
		same(at(150, 9.8, 100)),
	})
	require.Len(t, lines, 5)
	assert.Nil(t, lines[3].Verdicts, "it is ours")
	assert.InDelta(t, 0.25, lines[3].Ours["operations a second"].Mid, 1e-9)
	assert.InDelta(t, 2, lines[4].Ours["operations a second"].Mid, 1e-9)
	assert.Equal(t, holding, lines[4].With)
	assert.Nil(t, lines[0].Ours)
	assert.Nil(t, lines[1].Verdicts)
	assert.InDelta(t, 1.5, lines[2].Ours["origin loads"].Mid, 1e-9)
	assert.InDelta(t, 0.5, lines[2].Ours["operations a second"].Mid, 1e-9)
	assert.Equal(t, map[string]versus.Verdict{"origin loads": versus.Reached, "p99": versus.Even, "operations a second": versus.Below}, lines[2].Verdicts)
	assert.Equal(t, at(100, 10, 50), lines[1].figures)
	var out bytes.Buffer
	print(&out, results{Lines: lines})
	assert.Contains(t, out.String(), "5 of 6 comparisons are held.")
}

// What one process has stored another finds.
func TestPlayersShare(t *testing.T) {
	stock.Need(t)
	m := stock.ForTest(t)
	for i, p := range players() {
		key, s := fmt.Sprint("k", i), &source{size: 100}
		for range 2 {
			c, err := p.open([]string{m.Addr()}, 1, s.load)
			require.NoError(t, err)
			for range 2 {
				b, err := c.Get(t.Context(), key)
				require.NoError(t, err)
				_, err = value.Check(key, b)
				require.NoError(t, err)
			}
			require.NoError(t, c.Close())
		}
		if strings.HasPrefix(p.name, "sturdyc") {
			assert.LessOrEqual(t, s.loads.Load(), int64(2), "it stores for the others behind its caller")
		} else {
			assert.EqualValues(t, 1, s.loads.Load(), p.name)
		}
	}
}
