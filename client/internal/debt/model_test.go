package debt

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

const modelLimit = 4

// model says plainly what a Ledger is.
type model struct {
	now      time.Time
	owed     map[string]debtOf
	flight   map[string]int32
	overflow bool
	version  int
}

type debtOf struct {
	version int           // of the debt, which a payment must know
	due     time.Time     // of the next payment
	pause   time.Duration // from that one to a second, 0 for none
}

func (m *model) owe(key string, second time.Duration) bool {
	d, ok := m.owed[key]
	if !ok && len(m.owed) == modelLimit {
		m.overflow = true
		return false
	}
	m.version++
	// A second payment asked for earlier is still right, also if it is all that is left.
	pause := max(d.pause, second)
	if left := d.due.Sub(m.now); ok && left > pause {
		pause = left
	}
	m.owed[key] = debtOf{m.version, m.now, pause}
	return true
}

func (m *model) paid(key string, version int) {
	d, ok := m.owed[key]
	if !ok || d.version != version {
		return
	}
	if d.pause == 0 {
		delete(m.owed, key)
		return
	}
	m.owed[key] = debtOf{d.version, m.now.Add(d.pause), 0}
}

func (m *model) due() (due []string, wait time.Duration) {
	for key, d := range m.owed {
		if left := d.due.Sub(m.now); left <= 0 {
			due = append(due, key)
		} else if wait == 0 || left < wait {
			wait = left
		}
	}
	if len(due) > 0 {
		wait = 0
	}
	slices.Sort(due)
	return due, wait
}

// bill is a payment under way: other things happen before it is struck out.
type bill struct {
	p       Payment
	version int
}

// The ledger agrees with the model whatever is done to it, and in whatever order
// payments that are under way come in.
func TestLedgerModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := New(modelLimit)
		m := &model{now: time.Unix(1000, 0), owed: map[string]debtOf{}, flight: map[string]int32{}}
		var bills []bill
		key := rapid.Custom(func(t *rapid.T) string { return fmt.Sprint("k", rapid.IntRange(0, 5).Draw(t, "key")) })
		t.Repeat(map[string]func(*rapid.T){
			"owe": func(t *rapid.T) {
				k := key.Draw(t, "k")
				second := rapid.SampledFrom([]time.Duration{0, 0, time.Second, 3 * time.Second}).Draw(t, "second")
				require.Equal(t, m.owe(k, second), l.Owe(k, m.now, second))
			},
			"flight": func(t *rapid.T) {
				k := key.Draw(t, "k")
				n := rapid.SampledFrom([]int32{1, 3, -1, -2}).Draw(t, "n")
				l.Flight(k, n)
				m.flight[k] += n
			},
			"collect": func(t *rapid.T) {
				most := rapid.IntRange(1, 6).Draw(t, "most")
				due, wait := l.Due(m.now, most)
				want, wantWait := m.due()
				require.Len(t, due, min(most, len(want)))
				require.Equal(t, wantWait, wait)
				for _, p := range due {
					require.Contains(t, want, p.Key)
					bills = append(bills, bill{p, m.owed[p.Key].version})
				}
			},
			"pay": func(t *rapid.T) {
				if len(bills) == 0 {
					return
				}
				i := rapid.IntRange(0, len(bills)-1).Draw(t, "i")
				b := bills[i]
				// A bill is paid once: the payer is one goroutine, which takes the next
				// when it has struck out the last.
				bills = slices.DeleteFunc(bills, func(o bill) bool { return o.p == b.p })
				l.Paid([]Payment{b.p}, m.now)
				m.paid(b.p.Key, b.version)
			},
			"time": func(t *rapid.T) {
				m.now = m.now.Add(time.Duration(rapid.IntRange(1, 4).Draw(t, "half seconds")) * time.Second / 2)
			},
			"forgive": func(*rapid.T) {
				l.Forgive()
				clear(m.owed)
				m.overflow = false
			},
			"": func(t *rapid.T) {
				require.Equal(t, len(m.owed), l.Depth())
				require.Equal(t, m.overflow, l.Overflow())
				for i := range 6 {
					k := fmt.Sprint("k", i)
					_, owed := m.owed[k]
					require.Equal(t, owed || m.flight[k] != 0, l.Blocks(k), k)
				}
			},
		})
	})
}
