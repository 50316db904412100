package report

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func sample() Result {
	r := Result{Name: "steady", Ops: 1000, Reads: 950, Writes: 50, NearHits: 500, NodeHits: 400, Misses: 100, DurationS: 2,
		NodeOps: map[string]int64{"node1": 300, "node2": 100, "node10": 200}}
	r.Latency.P50, r.Latency.P99, r.Latency.P999, r.Latency.Max = 0.25, 120, 2500, 3e6
	r.Derive()
	return r
}

func TestDerive(t *testing.T) {
	r := sample()
	assert.EqualValues(t, 900, r.Hits)
	assert.Equal(t, 0.9, r.HitRatio)
	assert.Equal(t, 500.0, r.OpsPerS)
	assert.Equal(t, 1.5, r.NodeMaxOverMean)
	assert.True(t, r.Ok())
	r.Wrong = 1
	assert.False(t, r.Ok())
	var empty Result
	empty.Derive()
	assert.Zero(t, empty.NodeMaxOverMean)
	assert.Zero(t, empty.HitRatio)
}

func TestJSONHasWhatScriptsNeed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out.json")
	require.NoError(t, CheckJSONPath(path))
	require.NoError(t, WriteJSON(path, nil, sample()))
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	var m map[string]any
	require.NoError(t, json.Unmarshal(b, &m))
	for _, k := range []string{"ops", "errors", "wrong", "hits", "misses", "near_hits", "hit_ratio", "origin_loads", "duration_s",
		"ops_per_s", "latency_us", "node_ops", "node_max_over_mean", "hot_keys"} {
		assert.Contains(t, m, k)
	}
	for _, k := range []string{"p50", "p90", "p99", "p999", "max"} {
		assert.Contains(t, m["latency_us"], k)
	}
	assert.IsType(t, []any{}, m["hot_keys"], "an empty list, not null")
	left, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	assert.Len(t, left, 1, "no temporary file is left")
	var out bytes.Buffer
	require.NoError(t, WriteJSON("-", &out, sample()))
	assert.Equal(t, string(b), out.String())
}

func TestBadJSONPaths(t *testing.T) {
	dir := t.TempDir()
	assert.ErrorContains(t, CheckJSONPath(dir), "is a folder")
	assert.Error(t, CheckJSONPath(filepath.Join(dir, "none", "out.json")))
	assert.NoError(t, CheckJSONPath(""))
	assert.NoError(t, CheckJSONPath("-"))
	assert.Error(t, WriteJSON(filepath.Join(dir, "none", "out.json"), nil, 1))
	assert.Error(t, WriteJSON(dir, nil, 1), "renaming onto a folder fails")
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Empty(t, left)
}

func TestTable(t *testing.T) {
	var out bytes.Buffer
	r := sample()
	r.FirstErrors = []string{"boom"}
	r.Notes = []string{"hm"}
	Table(&out, r, Result{Name: "other"})
	s := out.String()
	for _, want := range []string{"250 ns", "120 µs", "2.50 ms", "3.00 s", "50.00 %", "1.50", "boom", "hm", "1,000"} {
		assert.Contains(t, s, want)
	}
	assert.Less(t, strings.Index(s, "node2"), strings.Index(s, "node10"))
	out.Reset()
	HotKeys(&out, "hottest keys", []HotKey{{"a", 0.2}, {"b", 0.1}}, 1)
	assert.Equal(t, "hottest keys: a (20.0 %)\n", out.String())
	out.Reset()
	HotKeys(&out, "none yet", nil, 5)
	assert.Equal(t, "none yet: none\n", out.String())
}

// TestTableFitsATerminal takes figures as wide as a fast demo's.
func TestTableFitsATerminal(t *testing.T) {
	var rs []Result
	for _, name := range []string{"warm-up", "steady", "storm", "node killed", "node back", "all"} {
		r := Result{Name: name, Ops: 999_999, Reads: 900_000, NearHits: 1e5, NodeHits: 8e5, DurationS: 12.5, NodeOps: map[string]int64{"node1": 123_456, "node5": 999_999}}
		r.Latency.P50, r.Latency.P99, r.Latency.P999, r.Latency.Max = 999.94, 99_949, 999_949, 12.34e6
		r.Derive()
		rs = append(rs, r)
	}
	rs[5].Ops, rs[5].NodeOps["node1"] = 5_123_456, 1_234_567
	var out bytes.Buffer
	Table(&out, rs...)
	keys := []HotKey{{strings.Repeat("k", 30), 1}, {strings.Repeat("l", 30), 1}, {strings.Repeat("m", 30), 1}}
	HotKeys(&out, "hottest at the end of the storm", keys, 5)
	lines := strings.Split(out.String(), "\n")
	for _, line := range lines {
		assert.LessOrEqual(t, utf8.RuneCountInString(line), 80, line)
	}
	assert.Equal(t, []string{"node", "node"}, strings.Fields(lines[0]))
	assert.Equal(t, []string{"warm-up", "steady", "storm", "killed", "back", "all"}, strings.Fields(lines[1]))
	for _, want := range []string{"1000 µs", "99.9 ms", "1000 ms", "12.3 s", "l (100.0 %)", "m (100.0 %)"} {
		assert.Contains(t, out.String(), want)
	}
}

func TestCount(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1234: "-1,234", -123: "-123"} {
		assert.Equal(t, want, Count(n))
	}
}
