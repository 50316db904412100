package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/memherd/memherd/bench/internal/part"
	"github.com/memherd/memherd/bench/internal/report"
	"github.com/memherd/memherd/bench/internal/scenario"
	"github.com/memherd/memherd/nodeserver/stock"
)

func TestMain(m *testing.M) {
	part.Main(scenario.Parts())
	goleak.VerifyTestMain(m)
}

const traces = "../testdata/traces/"

// bench runs the command in this process and returns its exit status and output.
func bench(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, &out, &errs)
	return code, out.String(), errs.String()
}

func result(t *testing.T, path string) report.Result {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	var r report.Result
	require.NoError(t, json.Unmarshal(b, &r))
	return r
}

func unusedAddr(t *testing.T) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	return ln.Addr().String()
}

// TestBadInput: one clear line that says what to do, exit status 2, nothing done.
func TestBadInput(t *testing.T) {
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad.csv")
	require.NoError(t, os.WriteFile(bad, []byte("1,a,1,1,1,get,0\n1,a,1,1,1,steal,0\n"), 0o644))
	long := filepath.Join(dir, "long.csv")
	require.NoError(t, os.WriteFile(long, []byte("1,"+strings.Repeat("k", 250)+",1,1,1,get,0\n"), 0o644))
	trace, out := traces+"zipf.keys.gz", filepath.Join(dir, "out.json")
	dead := unusedAddr(t)
	for name, c := range map[string]struct {
		args string
		want string
	}{
		"unknown flag":          {"-what", "unknown flag --what"},
		"unknown flag of run":   {"run -tracee x", "unknown flag --tracee"},
		"unknown command":       {"fly", "unexpected argument fly"},
		"no trace":              {"replay", "missing flags: --trace"},
		"missing trace":         {"replay -trace none.gz", "none.gz does not exist"},
		"malformed trace":       {"replay -trace " + bad, "bad.csv:2: unknown operation"},
		"a folder for a trace":  {"replay -trace " + dir, "is a folder"},
		"key too long":          {"replay -trace " + long, "give a shorter prefix"},
		"no nodes":              {"replay -servers= -trace " + trace, "no servers: give -servers host:port"},
		"duplicate nodes":       {"replay -servers 127.0.0.1:1,127.0.0.1:1 -trace " + trace, "is given twice"},
		"the same by default":   {"run -servers 127.0.0.1,127.0.0.1:11211", "is given twice"},
		"unreachable":           {"replay -servers " + dead + " -trace " + trace, "cannot reach server " + dead},
		"too many copies":       {"replay -embedded 3 -replicas 4 -trace " + trace, "-replicas 4 is more than the 3 nodes: give at most 3"},
		"negative copies":       {"replay -embedded 3 -replicas=-1 -trace " + trace, "-replicas -1"},
		"negative nodes":        {"run -embedded=-1", "-embedded -1"},
		"both kinds of nodes":   {"run -embedded 2 -servers " + dead, "exclude each other"},
		"remote":                {"run -servers 192.0.2.1:11211", "say so with -i-own-these-servers"},
		"remote without a rate": {"run -servers 192.0.2.1:11211 -allow-remote", "needs -max-rate"},
		"remote replay":         {"replay -servers [::ffff:8.8.8.8]:11211 -trace " + trace, "say so with -i-own-these-servers"},
		"remote compare":        {"compare -server 10.0.0.1:11211", "say so with -i-own-these-servers"},
		"compare without rate":  {"compare -server 10.0.0.1:11211 -i-own-these-servers", "needs -max-rate"},
		"JSON nowhere":          {"run -json " + dir + "/none/out.json", "cannot be written"},
		"JSON onto a folder":    {"run -json " + dir, "is a folder"},
		"no keys":               {"run -keys 0", "-keys 0"},
		"bad share":             {"run -reads 1.5", "-reads 1.5"},
		"bad zipf":              {"run -zipf 99", "-zipf 99"},
		"bad dist":              {"run -dist normal", "--dist must be one of"},
		"bad number":            {"run -keys many", "expected a valid"},
		"too many nodes":        {"run -embedded 1001", "-embedded 1001: give a number of nodes from 1 to 1000"},
		"too many workers":      {"run -concurrency 10001", "-concurrency 10001: give a number from 1 to 10000"},
		"too many demo workers": {"-concurrency 10001", "-concurrency 10001: give a number from 1 to 10000"},
		"no time":               {"run -duration 0s", "-duration must be positive"},
		"no workers":            {"run -concurrency 0", "-concurrency 0"},
		"value too large":       {"run -value-size 2000000", "-value-size 2000000"},
		"no demo":               {"demo -duration 1ms", "-duration 1ms"},
		"no rows":               {"-rows 1", "-rows 1"},
		"ports beyond the last": {"nodes -n 3 -p 65534", "must lie between 1 and 65535"},
		"no node":               {"nodes -n 0", "-n 0"},
		"no such fault":         {"fault -scenario fire", "no scenario \"fire\": give all or some of crash, hang"},
		"no run of a fault":     {"fault -runs 0", "-runs must be positive"},
		"no phase of a fault":   {"fault -phase 1ms", "-phase and -gap at least 10ms"},
		"faults nowhere":        {"fault -json " + dir, "is a folder"},
		"no such load":          {"loads -scenario fire", "no scenario \"fire\": give all or some of stampede, steady"},
		"no run of a load":      {"loads -kills 0", "-kills and -schedules must be positive"},
		"no share":              {"hitratio -shares 0 -trace " + trace, "-shares 0"},
		"no number of a share":  {"hitratio -shares NaN -trace " + trace, "-shares NaN: give percentages"},
		"no such law":           {"hitratio -trace zipf:x", "zipf:x"},
		"no round of a node":    {"node -rounds 0", "-rounds must be positive"},
		"compare nothing":       {"compare -rounds 0", "-rounds 0"},
		"compare what":          {"compare -work fly", "-work must be one of"},
		"comparison's log":      {"compare -hdr " + dir, "-hdr " + dir + " is a folder"},
		"compare on nobody":     {"compare -server " + dead, "cannot reach server"},
		"bad prefix":            {"run -prefix=a\tb", "-prefix"},
		"no size":               {"run -value-size 10-5", "-value-size 10-5: 10-5 ends before it begins"},
		"no such TTL":           {"run -ttl soon", "-ttl soon: \"soon\" is no time"},
		"no TTL":                {"run -ttl 0s", "-ttl 0s"},
		"rate above its bound":  {"run -rate 10 -max-rate 5", "-rate 10 is above -max-rate 5"},
		"negative bound":        {"run -max-rate=-1", "-max-rate"},
		"no such cluster":       {"run -cluster 55", "-cluster: there is no cluster 55"},
		"unpublished cluster":   {"run -cluster 5", "-cluster: nothing was published of cluster 5"},
		"too many shares":       {"run -reads .9 -deletes .2", "-reads 0.9 and -deletes 0.2 are more than all"},
		"no share of deletes":   {"run -deletes 2", "-deletes 2"},
		"late crowd":            {"run -dist flash-crowd -flash-after 1h", "-flash-after 1h0m0s"},
		"no page":               {"run -http 256.0.0.1:1", "-http 256.0.0.1:1"},
		"log onto a folder":     {"run -hdr " + dir, "-hdr " + dir + " is a folder"},
		"no times":              {"replay -speed 1 -trace " + trace, "-speed: the trace has no times"},
		"no speed":              {"replay -speed=-1 -trace " + trace, "-speed must be positive"},
		"two paces":             {"replay -speed 1 -rate 5 -trace " + trace, "-speed and -rate exclude each other"},
		"comparison nowhere":    {"compare -html " + dir, "-html " + dir + " is a folder"},
		"one file for two":      {"run -d 50ms -json " + dir + "/one -html " + dir + "/./one", "-json and -html both are"},
		"one for a demo's two":  {"-d 100ms -rows 100 -json " + dir + "/one -html " + dir + "/one", "-json and -html both are"},
		"log over the page":     {"compare -html " + dir + "/one -hdr " + dir + "/one", "-hdr and -html both are"},
		"page on stdout":        {"run -d 50ms -html -", "-html -: give the path of a file"},
		"negative limit":        {"replay -limit=-1 -trace " + trace, "-limit -1"},
	} {
		t.Run(name, func(t *testing.T) {
			args := strings.Split(c.args, " ")
			if strings.HasPrefix(c.args, "replay") {
				args = append(args, "-json", out)
			}
			code, stdout, stderr := bench(t, args...)
			assert.Equal(t, exitUsage, code, stderr)
			assert.Contains(t, stderr, c.want)
			assert.Equal(t, 1, strings.Count(stderr, "\n"), "one line: %s", stderr)
			assert.Empty(t, stdout)
			assert.NoFileExists(t, out)
		})
	}
}

func TestHelp(t *testing.T) {
	for _, args := range [][]string{{"-help"}, {"--help"}, {"-h"}, {"replay", "-help"}} {
		code, stdout, _ := bench(t, args...)
		assert.Equal(t, exitOK, code)
		assert.Contains(t, stdout, "Usage: bench")
	}
}

func TestOneDashOrTwo(t *testing.T) {
	assert.Equal(t, []string{"replay", "--trace", "f", "--embedded=3", "-n", "3", "-n3", "-5", "--json", "-", "--", "-trace"},
		twoDashes([]string{"replay", "-trace", "f", "-embedded=3", "-n", "3", "-n3", "-5", "--json", "-", "--", "-trace"}))
}

func TestReplayOfShippedTraces(t *testing.T) {
	for _, c := range []struct {
		file string
		ops  int64
		args []string
	}{
		{"zipf.keys.gz", 5000, nil},
		{"twitter.csv", 2000, []string{"-write", "around"}},
		{"twitter.csv.zst", 500, []string{"-limit", "500", "-no-near"}},
		{"zipf.keys.gz", 5000, []string{"-replicas", "1", "-concurrency", "1"}},
	} {
		out := filepath.Join(t.TempDir(), "out.json")
		args := append([]string{"replay", "-trace", traces + c.file, "-embedded", "3", "-json", out}, c.args...)
		code, stdout, stderr := bench(t, args...)
		require.Equal(t, exitOK, code, "%v\n%s%s", c.args, stdout, stderr)
		r := result(t, out)
		assert.Equal(t, c.ops, r.Ops)
		assert.Zero(t, r.Errors)
		assert.Zero(t, r.Wrong)
		assert.Positive(t, r.Hits)
		assert.Positive(t, r.Loads)
		assert.Len(t, r.NodeOps, 3)
		if strings.HasPrefix(c.file, "zipf") {
			assert.Equal(t, c.ops, r.Hits+r.Misses)
			assert.LessOrEqual(t, r.Loads, int64(800), "no key is loaded twice")
		}
	}
}

// scaled lets the race detector's run do less of the same.
func scaled(n int) string {
	if f, err := strconv.ParseFloat(os.Getenv("MEMHERD_SCALE"), 64); err == nil && f > 0 {
		n = max(1000, int(float64(n)*f))
	}
	return strconv.Itoa(n)
}

// replayReal replays a recorded trace as a user would, on embedded nodes and on
// three real memcached processes.
func replayReal(t *testing.T, file string, args ...string) {
	path := filepath.Join("..", "..", "shared", "data", file)
	if _, err := os.Stat(path); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is missing", file)
		}
		t.Skip("the recorded traces in ../shared/data are not here")
	}
	replay := func(t *testing.T, more ...string) {
		out := filepath.Join(t.TempDir(), "out.json")
		all := append([]string{"replay", "-trace", path, "-json", out}, append(args, more...)...)
		code, stdout, stderr := bench(t, all...)
		require.Equal(t, exitOK, code, stdout+stderr)
		r := result(t, out)
		assert.Zero(t, r.Errors+r.Wrong)
		assert.Equal(t, r.Ops, r.Hits+r.Misses)
		assert.Greater(t, r.HitRatio, 0.2)
	}
	t.Run("embedded", func(t *testing.T) { replay(t, "-embedded", "3") })
	t.Run("memcached", func(t *testing.T) {
		var addrs []string
		for range 3 {
			addrs = append(addrs, stock.ForTest(t).Addr())
		}
		replay(t, "-servers", strings.Join(addrs, ","), "-replicas", "2")
	})
}

func TestReplayOfRealTraces(t *testing.T) {
	t.Run("web12", func(t *testing.T) { replayReal(t, "web12.keys.gz", "-limit", scaled(95_607)) })
	t.Run("orm-busy", func(t *testing.T) { replayReal(t, "orm-busy.keys.gz", "-limit", scaled(100_000)) })
}

func TestRunWorkloads(t *testing.T) {
	for name, args := range map[string][]string{
		"zipf":           {"-near"},
		"uniform":        {"-dist", "uniform", "-reads", "0.5", "-write", "around"},
		"hotspot-moving": {"-dist", "hotspot-moving", "-hot-every", "100ms"},
		"open loop":      {"-rate", "2000"},
		"slow origin":    {"-origin-delay", "1ms", "-keys", "200"},
	} {
		t.Run(name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "out.json")
			code, stdout, stderr := bench(t, append([]string{"run", "-duration", "500ms", "-keys", "2000", "-json", out}, args...)...)
			require.Equal(t, exitOK, code, stdout+stderr)
			r := result(t, out)
			assert.Positive(t, r.Ops)
			assert.Zero(t, r.Errors+r.Wrong)
			assert.Equal(t, name == "open loop", r.Lag != nil)
			assert.Contains(t, stdout, "throughput, op/s")
		})
	}
}

// TestDemo is the whole show in short: every phase, a node killed and back, and not
// one error or wrong value.
func TestDemo(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out.json")
	code, stdout, stderr := bench(t, "-duration", "2800ms", "-rows", "5000", "-json", out)
	require.Equal(t, exitOK, code, stdout+stderr)
	r := result(t, out)
	require.Len(t, r.Phases, 5)
	var ops, loads int64
	for _, p := range r.Phases {
		assert.Positive(t, p.Ops, p.Name)
		ops += p.Ops
		loads += p.Loads
	}
	assert.Equal(t, r.Ops, ops)
	assert.Equal(t, r.Loads, loads)
	assert.Positive(t, r.Stores)
	assert.Positive(t, r.NearHits)
	require.NotNil(t, r.Recovery)
	assert.Len(t, r.NodeOps, 5)
	storm := r.Phases[2]
	require.NotEmpty(t, storm.HotKeys)
	assert.Contains(t, stdout, "ok      0 errors reached callers")
	for _, line := range []string{"warming up", "hot-key storm", "a node is killed", "the node is back"} {
		assert.Contains(t, stderr, line)
	}
}

// TestJSONOnStdoutStandsAlone: a program that reads stdout finds JSON and nothing else.
func TestJSONOnStdoutStandsAlone(t *testing.T) {
	for _, args := range [][]string{
		{"replay", "-trace", traces + "twitter.csv", "-limit", "2000", "-json", "-"},
		{"-duration", "700ms", "-rows", "500", "-json", "-"},
	} {
		code, stdout, stderr := bench(t, args...)
		require.Equal(t, exitOK, code, stderr)
		var r report.Result
		require.NoError(t, json.Unmarshal([]byte(stdout), &r), stdout)
		assert.Positive(t, r.Ops)
		assert.Contains(t, stderr, "throughput, op/s")
		for _, k := range r.HotKeys {
			assert.NotContains(t, k.Key, "bench:", "the run's own prefix says nothing to a reader")
		}
	}
}

// trigger is a buffer that calls do when want has been written to it.
type trigger struct {
	bytes.Buffer
	want string
	do   func()
}

func (w *trigger) Write(p []byte) (int, error) {
	n, err := w.Buffer.Write(p)
	if strings.Contains(w.String(), w.want) {
		w.do()
	}
	return n, err
}

func TestStoppedDemoPrintsWhatThereIs(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out bytes.Buffer
	errs := &trigger{want: "warming up", do: cancel}
	assert.Equal(t, exitFailed, run(ctx, []string{"-duration", "1h", "-rows", "1000"}, &out, errs))
	assert.Contains(t, out.String(), "stopped before its end")
	assert.Contains(t, out.String(), "warm-up")
	assert.NotContains(t, errs.String(), "bench:", "the table has said why")
}
