package debt

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestPaidOnce(t *testing.T) {
	now := time.Unix(1000, 0)
	l := New(10)
	require.False(t, l.Blocks("k"))
	require.True(t, l.Owe("k", now, 0))
	require.True(t, l.Blocks("k"))
	due, wait := l.Due(now, 10)
	require.Len(t, due, 1)
	require.Zero(t, wait)
	l.Paid(due, now)
	require.False(t, l.Blocks("k"))
	require.Zero(t, l.Depth())
	due, wait = l.Due(now, 10)
	require.Empty(t, due)
	require.Zero(t, wait, "nothing is owed at all")
}

func TestPaidTwiceWhenAWriteMayStillRun(t *testing.T) {
	now := time.Unix(1000, 0)
	l := New(10)
	l.Owe("k", now, time.Second)
	due, _ := l.Due(now, 10)
	l.Paid(due, now)
	require.True(t, l.Blocks("k"), "held until the second payment")
	due, wait := l.Due(now, 10)
	require.Empty(t, due)
	require.Equal(t, time.Second, wait)
	due, _ = l.Due(now.Add(time.Second), 10)
	require.Len(t, due, 1)
	l.Paid(due, now.Add(time.Second))
	require.False(t, l.Blocks("k"))
}

func TestOwedAnewWhileBeingPaid(t *testing.T) {
	now := time.Unix(1000, 0)
	l := New(10)
	l.Owe("k", now, 0)
	due, _ := l.Due(now, 10)
	l.Owe("k", now, 0) // another delete failed meanwhile
	l.Paid(due, now)
	require.True(t, l.Blocks("k"), "the payment was for the older debt")
}

func TestOverflow(t *testing.T) {
	now := time.Unix(1000, 0)
	l := New(2)
	require.True(t, l.Owe("a", now, 0))
	require.True(t, l.Owe("b", now, 0))
	require.True(t, l.Owe("a", now, 0), "a key owed already needs no room")
	require.False(t, l.Overflow())
	require.False(t, l.Owe("c", now, 0))
	require.True(t, l.Overflow())
	l.Forgive()
	require.False(t, l.Overflow())
	require.Zero(t, l.Depth())
	require.False(t, l.Blocks("a"))
}

func TestFlightInEitherOrder(t *testing.T) {
	l := New(2)
	l.Flight("k", 1)
	require.True(t, l.Blocks("k"))
	l.Flight("k", -1)
	require.False(t, l.Blocks("k"))
	l.Flight("k", -1) // the late reply was quicker than the caller who left
	l.Flight("k", 1)
	require.False(t, l.Blocks("k"))
	require.Zero(t, l.entries.Load())
}
