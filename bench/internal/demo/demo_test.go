package demo

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/memherd/memherd/bench/internal/drive"
	"github.com/memherd/memherd/bench/internal/fleet"
	"github.com/memherd/memherd/bench/internal/measure"
	"github.com/memherd/memherd/loader"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestShowWritesAround is the short show under the other write policy; the command's
// test has the default one.
func TestShowWritesAround(t *testing.T) {
	var out bytes.Buffer
	res, err := Run(t.Context(), Config{Duration: 1600 * time.Millisecond, Rows: 2000, Workers: 8, Seed: 3, Write: loader.WriteAround}, &out)
	require.NoError(t, err)
	assert.True(t, res.Ok(), "%v", res.FirstErrors)
	require.Len(t, res.Phases, 5)
	require.NotNil(t, res.Recovery)
	assert.Positive(t, res.Recovery.SteadyOpsPerS)
	// The killed node is asked less while it is gone. When it is asked again depends on
	// when the client looks for it, which may be after so short a show.
	least, most := int64(1<<62), int64(0)
	for _, ops := range res.Phases[3].NodeOps {
		least, most = min(least, ops), max(most, ops)
	}
	assert.Less(t, least, most/2)
}

func TestCancelledBeforeItBegins(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out bytes.Buffer
	res, err := Run(ctx, Config{Rows: 1000}, &out)
	assert.ErrorIs(t, err, context.Canceled)
	assert.Empty(t, res.Phases)
}

func TestRecoveryIsMeasuredFromTheKill(t *testing.T) {
	start := time.Now()
	run := drive.Result{Start: start, Merged: &measure.Merged{Slices: []uint32{50, 100, 100, 100, 20, 30, 95, 99, 99, 99, 40, 3}}}
	d := &show{steady: 60}
	d.recovery(run, start.Add(420*time.Millisecond))
	r := d.total.Recovery
	assert.Equal(t, 1000.0, r.SteadyOpsPerS, "what counts is the load just before the kill")
	assert.Equal(t, 200.0, r.MS)
	assert.InDelta(t, 0.2, r.LowestShare, 1e-9)
	assert.True(t, r.Recovered)

	d.recovery(run, start.Add(120*time.Millisecond))
	assert.Equal(t, 600.0, d.total.Recovery.SteadyOpsPerS, "too soon after the start to know")
}

func TestBusiest(t *testing.T) {
	f, err := fleet.Start(3, 0)
	require.NoError(t, err)
	defer f.Close()
	assert.Equal(t, 1, (&show{fleet: f}).busiest(map[string]int64{"node1": 5, "node2": 9, "node3": 7}))
}
