package main

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/bench/internal/fleet"
	"github.com/memherd/memherd/bench/internal/report"
	"github.com/memherd/memherd/client/memproto"
	"github.com/memherd/memherd/nodeserver"
)

// signalBuffer is written by a command and read by the test.
type signalBuffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
	// wrote has room for one: a write that nobody has looked at yet.
	wrote chan struct{}
}

func (s *signalBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case s.wrote <- struct{}{}:
	default:
	}
	return s.b.Write(p)
}

func (s *signalBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// serveNodes runs the nodes command until the test ends and returns the addresses.
func serveNodes(t *testing.T) (addr, port string) {
	t.Helper()
	addr = unusedAddr(t)
	_, port, err := net.SplitHostPort(addr)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	out := &signalBuffer{wrote: make(chan struct{}, 1)}
	done := make(chan int, 1)
	go func() { done <- run(ctx, []string{"nodes", "-n", "1", "-p", port}, out, out) }()
	t.Cleanup(func() {
		cancel()
		assert.Equal(t, exitOK, <-done, out.String())
	})
	<-out.wrote
	require.Contains(t, out.String(), "1 node is up: "+addr)
	return addr, port
}

func TestNodes(t *testing.T) {
	addr, port := serveNodes(t)
	nodes, err := fleet.External(t.Context(), []string{addr}, false)
	require.NoError(t, err)
	assert.Len(t, nodes, 1)
	code, _, stderr := bench(t, "nodes", "-n", "1", "-p", port)
	assert.Equal(t, exitUsage, code)
	assert.Contains(t, stderr, "choose other ports")
}

// TestNodesWorkWithLibmemcachedTools does what the command's greeting says.
func TestNodesWorkWithLibmemcachedTools(t *testing.T) {
	for _, tool := range []string{"memccp", "memccat"} {
		if _, err := exec.LookPath(tool); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatal("libmemcached-tools not installed: apt-get install libmemcached-tools")
			}
			t.Skip("libmemcached-tools not installed: apt-get install libmemcached-tools")
		}
	}
	addr, _ := serveNodes(t)
	file := filepath.Join(t.TempDir(), "greeting")
	require.NoError(t, os.WriteFile(file, []byte("hello herd"), 0o644))
	out, err := exec.CommandContext(t.Context(), "memccp", "--servers="+addr, file).CombinedOutput()
	require.NoError(t, err, string(out))
	out, err = exec.CommandContext(t.Context(), "memccat", "--servers="+addr, "greeting").CombinedOutput()
	require.NoError(t, err, string(out))
	assert.Equal(t, "hello herd", strings.TrimSpace(string(out)))
}

// TestErrorsToCallersAreStatus1 replays on a node that answers everything with an
// error: the results are written all the same, and say so.
func TestErrorsToCallersAreStatus1(t *testing.T) {
	s, err := nodeserver.Start(nodeserver.Config{Intercept: func(_ net.Addr, r *memproto.Request) (v nodeserver.Verdict) {
		if r.Cmd != memproto.CmdVersion {
			v.Reply = []byte("SERVER_ERROR out of order\r\n")
		}
		return v
	}})
	require.NoError(t, err)
	defer s.Close()
	out := filepath.Join(t.TempDir(), "out.json")
	code, stdout, _ := bench(t, "replay", "-trace", traces+"twitter.csv", "-servers", s.Addr().String(), "-limit", "300", "-json", out)
	assert.Equal(t, exitFailed, code)
	r := result(t, out)
	assert.Positive(t, r.Errors)
	assert.EqualValues(t, 300, r.Ops)
	assert.NotEmpty(t, r.FirstErrors)
	assert.Contains(t, stdout, "error (twitter.csv):")
}

func TestVerdict(t *testing.T) {
	for name, c := range map[string]struct {
		res  report.Result
		want []string
	}{
		"good":      {report.Result{Ops: 1000, Recovery: &report.Recovery{SteadyOpsPerS: 5000, Recovered: true}}, []string{"ok      0 errors", "ok      0 wrong", "at least 90 % of the 5,000"}},
		"errors":    {report.Result{Errors: 2}, []string{"FAILED  2 errors", "ok      0 wrong"}},
		"wrong":     {report.Result{Wrong: 3}, []string{"ok      0 errors", "FAILED  3 wrong"}},
		"recovered": {report.Result{Recovery: &report.Recovery{SteadyOpsPerS: 5000, MS: 300, LowestShare: 0.25, Recovered: true}}, []string{"ok      300 ms after the kill back at 90 %", "(lowest: 25 %)"}},
		"slow":      {report.Result{Recovery: &report.Recovery{SteadyOpsPerS: 5000, MS: 1300, Recovered: true}}, []string{"slow    1,300 ms after the kill back"}},
		"never":     {report.Result{Recovery: &report.Recovery{SteadyOpsPerS: 5000, MS: 1300}}, []string{"slow    below 90 %"}},
	} {
		var out bytes.Buffer
		verdict(&out, c.res)
		for _, w := range c.want {
			assert.Contains(t, out.String(), w, name)
		}
	}
}
