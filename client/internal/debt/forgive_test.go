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

// What is taken over may be older than what is owed already. A process that began to run between the two has missed the newer.
func TestForgiveBeforeWhatWasOwedBesides(t *testing.T) {
	old, newer := time.Unix(1_000_000, 0), time.Unix(1_000_020, 0)
	for name, take := range map[string]func(l *Ledger){
		"another's debt":   func(l *Ledger) { from := New(10); from.Owe("old", old, 0); l.Inherit(from) },
		"what it missed":   func(l *Ledger) { l.Distrust(old) },
		"what was on disk": func(l *Ledger) { l.Owe("old", old, time.Second) },
	} {
		l := New(10)
		l.Owe("newer", newer, 0)
		take(l)
		require.Equal(t, newer, l.LastOwed(), name)
		require.False(t, l.ForgiveBefore(old.Add(10*time.Second)), name)
		require.True(t, l.Blocks("newer"), name)
	}
}
