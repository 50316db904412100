package debt

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A key that waits for its second payment is paid twice by the heir, too.
func TestInheritKeepsTheSecondPayment(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	l := New(10)
	l.Owe("k", now, time.Second)
	due, _ := l.Due(now, 10)
	l.Paid(due, now) // the first payment
	require.True(t, l.Blocks("k"), "a write may still lie in the buffers of a dead connection")
	h := New(10)
	require.True(t, h.Inherit(l))
	now = now.Add(10 * time.Millisecond)
	due, _ = h.Due(now, 10)
	h.Paid(due, now)
	require.True(t, h.Blocks("k"), "it may still, 990 ms before the second payment was due")
}
