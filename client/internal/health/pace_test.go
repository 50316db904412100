package health

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Five dials within any second, however they are spread, and probes count among them.
func TestPace(t *testing.T) {
	start := time.Unix(1_000_000, 0)
	ms := func(n int) time.Time { return start.Add(time.Duration(n) * time.Millisecond) }
	var p Pace
	for i := range 5 {
		require.True(t, p.Take(ms(i*100)), i)
	}
	require.False(t, p.Take(ms(500)))
	require.False(t, p.Take(ms(999)))
	require.True(t, p.Take(ms(1000)))
	require.False(t, p.Take(ms(1099)), "the one at 100 is not a second old")
	require.True(t, p.Take(ms(1100)))
	p.Note(ms(1101))
	p.Note(ms(1102))
	p.Note(ms(1103))
	require.False(t, p.Take(ms(1999)))
	require.True(t, p.Take(ms(2000)))
}
