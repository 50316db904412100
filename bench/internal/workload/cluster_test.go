package workload

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestEveryCluster: each row of the table can be played.
func TestEveryCluster(t *testing.T) {
	require.Len(t, clusters, 53)
	for _, row := range clusters {
		c, err := FindCluster(row.Number)
		require.NoError(t, err)
		assert.Equal(t, row, c)
		assert.Positive(t, c.KeyBytes)
		assert.Positive(t, c.ValueBytes)
		assert.Positive(t, c.KQPS)
		reads, writes, deletes := c.Shares()
		assert.InDelta(t, 1, reads+writes+deletes, 1e-9, "%d", c.Number)
		assert.Equal(t, len(strings.Fields(c.Mix)), strings.Count(c.Mix, ":0.")+strings.Count(c.Mix, ":1.00"), "%d", c.Number)
		m, err := c.TTLMix()
		require.NoError(t, err, "%d", c.Number)
		assert.Positive(t, m.At(0))
	}
	c, err := FindCluster(14)
	require.NoError(t, err)
	reads, writes, deletes := c.Shares()
	assert.InDeltaSlice(t, []float64{.65, .13, .22}, []float64{reads, writes, deletes}, 1e-9)
	m, err := c.TTLMix()
	require.NoError(t, err)
	assert.Equal(t, 86400.0, m.At(.5))
	for _, n := range []int{-1, 0, 5, 55} {
		_, err := FindCluster(n)
		assert.Error(t, err, "%d", n)
	}
}

func TestSeconds(t *testing.T) {
	for text, want := range map[string]float64{"90s": 90, "1.5d": 129600, "2h": 7200, "300ms": .3} {
		got, err := Seconds(text)
		require.NoError(t, err)
		assert.InDelta(t, want, got, 1e-9)
	}
	for _, text := range []string{"", "d", "5", "5x"} {
		_, err := Seconds(text)
		assert.Error(t, err, text)
	}
}
