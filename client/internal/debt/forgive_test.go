package debt

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What was booked after the node's process began to run it has missed; that is not forgiven.
func TestForgiveBefore(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	l := New(10)
	l.Owe("k", now, 0)
	require.False(t, l.ForgiveBefore(now.Add(-time.Second)))
	require.False(t, l.ForgiveBefore(now))
	require.True(t, l.Blocks("k"))
	require.True(t, l.ForgiveBefore(now.Add(time.Nanosecond)))
	require.False(t, l.Blocks("k"))
	l.Owe("k", now.Add(time.Minute), 0)
	require.False(t, l.ForgiveBefore(now.Add(time.Second)))
	require.True(t, l.Blocks("k"))
}
