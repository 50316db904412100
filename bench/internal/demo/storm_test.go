package demo

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/bench/internal/subject"
	"github.com/memherd/memherd/hotkey"
	"github.com/memherd/memherd/loader"
)

func TestRising(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s subject.Snapshot
		r := &rising{key: "row:7"}
		start := time.Now()
		r.promoted("demo:row:7", hotkey.LevelHot)
		require.Nil(t, r.told(s, start, s, start), "it has not broken")
		time.Sleep(time.Second)
		r.broke = time.Now()
		got := r.told(s, start, s, time.Now())
		assert.Equal(t, []float64{-1, -1}, []float64{got.DetectedMS, got.PromotedMS}, "never")
		r.promoted("demo:row:8", hotkey.LevelHottest)
		time.Sleep(4 * time.Millisecond)
		r.promoted("demo:row:7", hotkey.LevelHot)
		time.Sleep(4 * time.Millisecond)
		r.promoted("demo:row:7", hotkey.LevelHottest)
		time.Sleep(time.Second)
		r.promoted("demo:row:7", hotkey.LevelHottest) // it had sunk
		got = r.told(s, start, s, time.Now())
		assert.Equal(t, []float64{4, 8}, []float64{got.DetectedMS, got.PromotedMS})
		assert.Equal(t, "row:7", got.Key)

		skips := &rising{key: "row:7", broke: time.Now()}
		time.Sleep(time.Millisecond)
		skips.promoted("demo:row:7", hotkey.LevelHottest)
		got = skips.told(s, start, s, time.Now())
		assert.Equal(t, []float64{1, 1}, []float64{got.DetectedMS, got.PromotedMS})
	})
}

// The show says how its storm was weathered, node by node.
func TestTheShowTellsOfItsStorm(t *testing.T) {
	var out bytes.Buffer
	res, err := Run(t.Context(), Config{Duration: 3200 * time.Millisecond, Rows: 2000, Workers: 8, Seed: 4, Write: loader.WriteThrough}, &out)
	require.NoError(t, err)
	s := res.Storm
	require.NotNil(t, s)
	assert.NotEmpty(t, s.Key)
	assert.InDelta(t, storm, s.Share, 0)
	assert.Len(t, s.Before, nodes)
	assert.Len(t, s.After, nodes)
	assert.GreaterOrEqual(t, s.DetectedMS, 0.0, "below 0: it was not")
	assert.GreaterOrEqual(t, s.PromotedMS, s.DetectedMS)
	sum := 0.0
	for _, rate := range s.After {
		sum += rate
	}
	assert.Positive(t, sum)
}
