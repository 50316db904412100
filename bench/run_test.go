package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/bench/internal/drive"
	"github.com/memherd/memherd/bench/internal/measure"
)

// TestRunWritesAllReports: the page, the log of HdrHistogram and the JSON tell of the same run.
func TestRunWritesAllReports(t *testing.T) {
	dir := t.TempDir()
	page, log, out := filepath.Join(dir, "r.html"), filepath.Join(dir, "r.hlog"), filepath.Join(dir, "r.json")
	code, stdout, stderr := bench(t, "run", "-duration", "1100ms", "-keys", "500", "-reads", "0.5", "-html", page, "-hdr", log, "-json", out)
	require.Equal(t, exitOK, code, stdout+stderr)
	r := result(t, out)
	require.NotEmpty(t, r.Over)
	assert.Positive(t, r.Over[0].Latency.P99)
	require.NotEmpty(t, r.Staleness)
	var stale int64
	for _, b := range r.Staleness {
		stale += b.Reads
	}
	assert.Equal(t, r.Stale, stale)
	html, err := os.ReadFile(page)
	require.NoError(t, err)
	for _, want := range []string{"Throughput", "Staleness", "Load per node"} {
		assert.Contains(t, string(html), want)
	}
	f, err := os.Open(log)
	require.NoError(t, err)
	defer f.Close()
	in, n := hdrhistogram.NewHistogramLogReader(f), int64(0)
	for range r.Over {
		h, err := in.NextIntervalHistogram()
		require.NoError(t, err)
		n += h.TotalCount()
	}
	assert.Equal(t, r.Ops, n)
}

// TestShapesOfKeys: a cluster's preset, and distributions of sizes and TTLs, become what the keys get.
func TestShapesOfKeys(t *testing.T) {
	c := &runCmd{Cluster: 14}
	notes, err := c.preset()
	require.NoError(t, err)
	require.NoError(t, c.target.distributions())
	assert.Len(t, notes, 1)
	assert.InDelta(t, .22, c.removes, 1e-9)
	assert.InDelta(t, 1.2959, c.zipf, 1e-9)
	assert.Equal(t, "exp:414", c.ValueSize)
	assert.Equal(t, "1d:1.00", c.TTL)
	c.Prefix = "b:"
	assert.Len(t, c.Prefix+c.key(77), 96)
	mine := 0.5
	c = &runCmd{Cluster: 14, Reads: &mine, target: target{ValueSize: "10-20", TTL: "1s"}}
	_, err = c.preset()
	require.NoError(t, err)
	require.NoError(t, c.target.distributions())
	assert.Equal(t, .5, c.reads)
	for i := range 100 {
		assert.True(t, c.size(i) >= 10 && c.size(i) <= 20)
	}
}

func TestRunShapes(t *testing.T) {
	for name, args := range map[string][]string{
		"flash crowd":   {"-dist", "flash-crowd", "-hot-keys", "2", "-hot-share", "0.5"},
		"cluster":       {"-cluster", "14", "-value-size", "100"},
		"distributions": {"-value-size", "10:1,100-300:2", "-ttl", "1s-1m"},
		"warm":          {"-warm-up", "100ms", "-dist", "flash-crowd"},
		"bounded":       {"-max-rate", "1000", "-deletes", "0.05"},
	} {
		t.Run(name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "out.json")
			code, stdout, stderr := bench(t, append([]string{"run", "-duration", "600ms", "-keys", "1000", "-json", out}, args...)...)
			require.Equal(t, exitOK, code, stdout+stderr)
			r := result(t, out)
			assert.Positive(t, r.Ops)
			assert.Zero(t, r.Errors+r.Wrong)
			if name == "bounded" {
				assert.LessOrEqual(t, r.Ops, int64(600+64), "600 ms of them, and one a worker that is let begin")
			}
			if name == "warm" {
				assert.Contains(t, r.Notes, "warmed up for 100ms")
			}
			if name == "cluster" {
				assert.Contains(t, strings.Join(r.Notes, "\n"), "cluster 14 of Twitter's")
			}
		})
	}
}

// TestWarmUpIsNotMeasured: with one key it is loaded then, and the run has nothing left to load.
func TestWarmUpIsNotMeasured(t *testing.T) {
	for warm, loads := range map[string]int64{"0s": 1, "1ms": 0} {
		out := filepath.Join(t.TempDir(), "out.json")
		code, stdout, stderr := bench(t, "run", "-embedded", "1", "-duration", "20ms", "-keys", "1", "-reads", "1", "-warm-up", warm, "-json", out)
		require.Equal(t, exitOK, code, stdout+stderr)
		assert.Equal(t, loads, result(t, out).Loads, warm)
	}
	code, _, stderr := bench(t, "run", "-warm-up=-1s")
	assert.Equal(t, exitUsage, code)
	assert.Contains(t, stderr, "-warm-up must not be negative")
}

// TestGeneratorTellsOfItself: of a timetable that could not be kept, and of CPUs that were used up.
func TestGeneratorTellsOfItself(t *testing.T) {
	run, err := drive.Run(t.Context(), drive.Config{Workers: 1, Ops: 10}, func(context.Context, *drive.Worker, int64) measure.Kind { return measure.Read })
	require.NoError(t, err)
	run.Elapsed = time.Second
	all := time.Duration(runtime.GOMAXPROCS(0)) * time.Second
	never := func(int64) time.Duration { return 0 }
	for name, c := range map[string]struct {
		cfg  drive.Config
		cpu  time.Duration
		want string
	}{
		"idle":              {drive.Config{}, 0, "this process used 0.0 of"},
		"busy":              {drive.Config{}, all, "what bounds the figures is this process"},
		"in time":           {drive.Config{Rate: 10}, all, "CPUs"},
		"behind":            {drive.Config{Rate: 100, Workers: 7}, 0, "it ended 900ms behind its timetable: all 7 workers (-concurrency) were waiting"},
		"behind and busy":   {drive.Config{Rate: 100}, all, "it ended 900ms behind its timetable: the generator was the bottleneck"},
		"behind a trace":    {drive.Config{Due: never}, 0, "it ended 1s behind its timetable"},
		"held by -max-rate": {drive.Config{Due: never, MaxRate: 10}, 0, "CPUs"},
	} {
		notes := generator(c.cfg, run, c.cpu)
		assert.Contains(t, notes[len(notes)-1], c.want, name)
	}
}

// TestReplayAtItsOwnPace: requests 250 ms apart, four times as fast.
func TestReplayAtItsOwnPace(t *testing.T) {
	dir := t.TempDir()
	trace, out := filepath.Join(dir, "watched"), filepath.Join(dir, "out.json")
	var lines strings.Builder
	lines.WriteString("OK\r\n")
	for i := range 5 {
		fmt.Fprintf(&lines, "ts=%d.%d gid=%d type=item_get key=k%d status=found clsid=1 cfd=27 size=30\n", 1_700_000_000+i/4, i%4*250_000, i, i%2)
	}
	require.NoError(t, os.WriteFile(trace, []byte(lines.String()), 0o644))
	code, stdout, stderr := bench(t, "replay", "-trace", trace, "-speed", "4", "-json", out)
	require.Equal(t, exitOK, code, stdout+stderr)
	r := result(t, out)
	assert.EqualValues(t, 5, r.Ops)
	assert.GreaterOrEqual(t, r.DurationS, .25)
	assert.NotNil(t, r.Lag, "it is an open loop")
}

// TestRunServesTheLivePage while it runs.
func TestRunServesTheLivePage(t *testing.T) {
	var out lockedBuffer
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() {
		run(ctx, []string{"run", "-http", "127.0.0.1:0", "-duration", "10m", "-keys", "200", "-ttl", "1m:1,2m:1"}, &out, io.Discard)
	})
	transport := &http.Transport{DisableKeepAlives: true}
	url, body := "", ""
	for !strings.Contains(body, `"rows 2"`) {
		if url = regexp.MustCompile(`http://127\.0\.0\.1:\d+/`).FindString(out.String()); url == "" {
			continue
		}
		resp, err := (&http.Client{Transport: transport}).Get(url + "data.json")
		require.NoError(t, err)
		b, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		body = string(b)
	}
	cancel()
	wg.Wait()
}
