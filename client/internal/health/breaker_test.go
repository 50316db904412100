package health

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestBreaker(t *testing.T) {
	var b Breaker
	require.Equal(t, Up, b.State())
	require.True(t, b.Readable() && b.Writable())
	require.False(t, b.Mend(), "nothing to mend")
	require.False(t, b.Close())

	require.True(t, b.Trip())
	require.False(t, b.Trip(), "only one caller trips it")
	require.False(t, b.Readable() || b.Writable())
	require.False(t, b.Close(), "an open breaker is not closed without a probe")

	require.True(t, b.Mend())
	require.True(t, b.Writable())
	require.False(t, b.Readable())
	require.True(t, b.Trip(), "half open, it may trip again")
	require.False(t, b.Close())
	require.True(t, b.Mend())
	require.True(t, b.Close())
	require.Equal(t, Up, b.State())

	require.True(t, b.Hold())
	require.Equal(t, Mending, b.State())
	require.False(t, b.Hold())
	for s, want := range map[State]string{Up: "up", Down: "down", Mending: "mending", 9: "unknown"} {
		require.Equal(t, want, s.String())
	}
}

func TestBackoff(t *testing.T) {
	b := Backoff{Min: 50 * time.Millisecond, Max: time.Second}
	for range 100 {
		b.Reset()
		span, total, tries := b.Min, time.Duration(0), 0
		for total < time.Second {
			d := b.Next()
			require.GreaterOrEqual(t, d, span/2)
			require.LessOrEqual(t, d, span)
			span = min(2*span, b.Max)
			total += d
			tries++
		}
		require.LessOrEqual(t, tries, 7, "dials in the first second")
	}
	for range 10 {
		b.Next()
	}
	require.GreaterOrEqual(t, b.Next(), b.Max/2)
}
