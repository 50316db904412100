package debt

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// A delete that failed for another reason must not make the ledger forget that the
// key has to be paid a second time, whatever was paid already.
func TestOwedAnewBetweenTwoPayments(t *testing.T) {
	start := time.Unix(1000, 0)
	l := New(10)
	l.Owe("k", start, time.Second)
	due, _ := l.Due(start, 10)
	l.Paid(due, start)

	now := start.Add(100 * time.Millisecond)
	l.Owe("k", now, 0)
	due, _ = l.Due(now, 10)
	require.Len(t, due, 1, "owed at once")
	l.Paid(due, now)
	require.True(t, l.Blocks("k"), "the second payment is still to come")
	due, wait := l.Due(now, 10)
	require.Empty(t, due)
	require.Equal(t, 900*time.Millisecond, wait)
	due, _ = l.Due(start.Add(time.Second), 10)
	l.Paid(due, start.Add(time.Second))
	require.False(t, l.Blocks("k"))
}

// A node that stood still is paid long after the debt was booked, and at that moment runs
// what lies in its buffers: the second payment keeps its distance from the first.
func TestTheSecondPaymentKeepsItsDistance(t *testing.T) {
	booked := time.Unix(1000, 0)
	l := New(10)
	l.Owe("k", booked, time.Second)
	back := booked.Add(time.Minute)
	due, _ := l.Due(back, 10)
	require.Len(t, due, 1)
	l.Paid(due, back)
	require.True(t, l.Blocks("k"))
	due, wait := l.Due(back, 10)
	require.Empty(t, due)
	require.Equal(t, time.Second, wait)
}

// Of two times for a second payment the later counts.
func TestTheLaterSecondPaymentCounts(t *testing.T) {
	now := time.Unix(1000, 0)
	l := New(10)
	l.Owe("k", now, 3*time.Second)
	l.Owe("k", now, time.Second)
	due, _ := l.Due(now, 10)
	l.Paid(due, now)
	_, wait := l.Due(now, 10)
	require.Equal(t, 3*time.Second, wait)
}

// In time: a key stays until it was paid after it was last owed, and after the last
// time that was asked for; and what Due says is what a plain model says.
func TestLedgerInTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type debt struct {
			unpaid bool          // owed and not paid since
			pause  time.Duration // then to be paid a second time, so long after the first
			second time.Time     // if it is not unpaid: when
		}
		const limit = 4
		now := time.Unix(1000, 0)
		l := New(limit)
		model := map[string]debt{}
		overflow := false
		mayPay := func(d debt) bool { return d.unpaid || !d.second.After(now) } // a debt paid once has a second
		key := rapid.Custom(func(t *rapid.T) string { return fmt.Sprint("k", rapid.IntRange(0, 5).Draw(t, "key")) })
		t.Repeat(map[string]func(*rapid.T){
			"owe": func(t *rapid.T) {
				k := key.Draw(t, "k")
				after := time.Duration(rapid.IntRange(0, 3).Draw(t, "after")) * time.Second
				d, ok := model[k]
				want := ok || len(model) < limit
				require.Equal(t, want, l.Owe(k, now, after))
				if !want {
					overflow = true
					return
				}
				if left := d.second.Sub(now); ok && !d.unpaid && left > d.pause {
					d.pause = left
				}
				d.unpaid, d.pause = true, max(d.pause, after)
				model[k] = d
			},
			"wait": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(1, 1500).Draw(t, "ms")) * time.Millisecond)
			},
			"pay": func(t *rapid.T) {
				most := rapid.IntRange(1, 4).Draw(t, "most")
				due, wait := l.Due(now, most)
				payable, next := 0, time.Duration(0)
				for _, d := range model {
					if mayPay(d) {
						payable++
					} else if left := d.second.Sub(now); next == 0 || left < next {
						next = left
					}
				}
				require.Len(t, due, min(most, payable))
				if payable == 0 {
					require.Equal(t, next, wait)
				}
				anew := rapid.Bool().Draw(t, "anew") // owed again before the payment is booked
				for _, p := range due {
					d := model[p.Key]
					require.True(t, mayPay(d))
					if anew {
						require.True(t, l.Owe(p.Key, now, 0))
						d.unpaid = true
						model[p.Key] = d
						continue
					}
					if d.unpaid && d.pause > 0 {
						model[p.Key] = debt{second: now.Add(d.pause)}
						continue
					}
					delete(model, p.Key)
				}
				l.Paid(due, now)
			},
			"forgive": func(*rapid.T) { l.Forgive(); clear(model); overflow = false },
			"": func(t *rapid.T) {
				require.Equal(t, len(model), l.Depth())
				require.Equal(t, overflow, l.Overflow())
				for i := range 6 {
					k := fmt.Sprint("k", i)
					_, owed := model[k]
					require.Equal(t, owed, l.Blocks(k), k)
				}
			},
		})
	})
}
