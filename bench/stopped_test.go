package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/nodeserver/stock"
)

// stopAt is output that stops the command, as Ctrl-C does, once it says word.
type stopAt struct {
	bytes.Buffer
	word string
	stop context.CancelFunc
}

func (s *stopAt) Write(b []byte) (int, error) {
	n, err := s.Buffer.Write(b)
	if strings.Contains(s.String(), s.word) {
		s.stop()
	}
	return n, err
}

// TestStoppedScenarios: what has been played is told, in the table, the verdicts and the JSON, and what broke off is named.
func TestStoppedScenarios(t *testing.T) {
	stock.Need(t)
	path := filepath.Join(t.TempDir(), "out.json")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	out, errs := &stopAt{word: "stale values", stop: stop}, &bytes.Buffer{}
	code := run(ctx, []string{"scenario", "crash", "cut", "-quick", "-json", path}, out, errs)
	assert.Equal(t, exitFailed, code)
	assert.NotContains(t, errs.String(), "context canceled")
	assert.Contains(t, out.String(), "crash: one of three nodes is killed")
	assert.Contains(t, out.String(), "stopped in cut: of it, and of what was to follow, there is nothing")
	assert.Regexp(t, "(pass|FAIL)  crash", out.String())
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	var r scenarioReport
	require.NoError(t, json.Unmarshal(b, &r))
	assert.Len(t, r.Scenarios, 1)
	assert.Equal(t, "cut", r.Stopped)
}

// TestStoppedNode: the rows that are measured are shown, and no error of the servers, which Ctrl-C ends, too.
func TestStoppedNode(t *testing.T) {
	stock.Need(t)
	memcached, err := stock.Find()
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "out.json")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var out bytes.Buffer
	errs := &stopAt{word: "get, 32 deep", stop: stop} // the second row begins
	code := run(ctx, []string{"node", "-memnode", memcached, "-rounds", "1", "-slot", "20ms", "-json", path}, &out, errs)
	assert.Equal(t, exitFailed, code, errs.String())
	assert.Contains(t, out.String(), "50 connections, 90 % get, 10 % set")
	assert.Contains(t, out.String(), "stopped before its end: these are the figures until then")
	assert.NotContains(t, errs.String(), "bench:")
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	var r nodeResult
	require.NoError(t, json.Unmarshal(b, &r))
	assert.Len(t, r.Rows, 1)
}

// TestStoppedDemo: one that did not come to the storm does not speak of its end.
func TestStoppedDemo(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var out bytes.Buffer
	errs := &stopAt{word: "steady", stop: stop}
	assert.Equal(t, exitFailed, run(ctx, []string{"demo", "-rows", "1000", "-duration", "2s"}, &out, errs))
	assert.Contains(t, out.String(), "stopped before its end: these are the figures until then")
	assert.NotContains(t, out.String(), "storm")
}

// full is output that nobody takes.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, syscall.EPIPE }

// TestOutputThatNobodyTakes ends what would go on for ever, and is no success.
func TestOutputThatNobodyTakes(t *testing.T) {
	s, err := nodeserver.Start(nodeserver.Config{})
	require.NoError(t, err)
	defer s.Close()
	var errs bytes.Buffer
	ctx, giveUp := context.WithTimeout(t.Context(), 20*time.Second)
	defer giveUp()
	assert.Equal(t, exitFailed, run(ctx, []string{"top", "-servers", s.Addr().String(), "-watch", "1ms", "-every", "1ms"}, full{}, &errs))
	assert.NoError(t, ctx.Err(), "it went on until it was stopped")
	assert.Equal(t, exitFailed, run(ctx, []string{"run", "-keys", "10", "-duration", "20ms"}, full{}, &errs))
}

// TestAReaderWhoLeaves leaves no servers behind: the rest is not measured, and they end in order.
func TestAReaderWhoLeaves(t *testing.T) {
	stock.Need(t)
	memcached, err := stock.Find()
	require.NoError(t, err)
	var errs bytes.Buffer
	assert.Equal(t, exitFailed, run(t.Context(), []string{"node", "-memnode", memcached, "-rounds", "1", "-slot", "5ms"}, full{}, &errs))
	assert.NotContains(t, errs.String(), "bench:")
}
