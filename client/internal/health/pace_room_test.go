package health

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Callers that dial whenever they may, and a prober that waits for room: never more than
// ten dials within a second, and of callers five.
func TestPaceOfCallersAndProbes(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	var p Pace
	var all, callers []time.Time
	now := time.Unix(1, 0)
	within := func(at []time.Time) (n int) {
		for _, a := range at {
			if now.Sub(a) < time.Second {
				n++
			}
		}
		return n
	}
	for range 5000 {
		now = now.Add(time.Duration(rng.IntN(80)) * time.Millisecond)
		if rng.IntN(2) == 0 {
			if p.Take(now) {
				all, callers = append(all, now), append(callers, now)
			}
		} else if p.Room(now) == 0 {
			p.Note(now)
			all = append(all, now)
		}
		require.LessOrEqual(t, within(all), paceAll)
		require.LessOrEqual(t, within(callers), paceDials)
	}
	require.Greater(t, len(all), 1000)
	require.NotEmpty(t, callers)
}
