package loader

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func paced(usual, quick, trip time.Duration) *pace {
	var p pace
	p.trip.Store(int64(trip))
	p.usual.Store(int64(usual))
	p.quick.Store(int64(quick))
	return &p
}

// Who waits for another process's load asks again after a quarter of the wait, if nothing is known of loads; otherwise seldom before
// loads can have ended, and often when this one may well have.
func TestPausePlan(t *testing.T) {
	const ms, half, quarter = time.Millisecond, time.Millisecond / 2, time.Millisecond / 4
	for _, c := range []struct{ waited, usual, quick, most, chance time.Duration }{
		{0, 0, 0, ms, quarter}, {8 * ms, 0, 0, 2 * ms, half}, {time.Second, 0, 0, 50 * ms, 12500 * time.Microsecond},

		// All loads take about as long.
		{0, 10 * ms, 10 * ms, 10*ms + quarter, quarter}, {9 * ms, 10 * ms, 9500 * time.Microsecond, ms + quarter, quarter},
		{10 * ms, 10 * ms, 10 * ms, half, half / 4}, {12 * ms, 10 * ms, 10 * ms, half, half / 4},
		{13 * ms, 10 * ms, 10 * ms, 13 * ms / 4, 13 * ms / 16}, // it is a slow one
		{0, 100 * ms, 95 * ms, 20 * ms, 5 * ms}, {75 * ms, 100 * ms, 95 * ms, 25*ms + quarter, quarter},
		{100 * ms, 100 * ms, 95 * ms, 5 * ms, 5 * ms / 4}, {400 * ms, 100 * ms, 95 * ms, 50 * ms, 12500 * time.Microsecond},
		{0, ms, ms, ms + quarter, quarter}, {ms, ms, ms, half, half / 4}, {8 * ms, ms, ms, 2 * ms, half},
		{time.Second, 10 * time.Second, 10 * time.Second, 50 * ms, 12500 * time.Microsecond},
		{9980 * ms, 10 * time.Second, 10 * time.Second, 20*ms + quarter, quarter},
		{720 * ms, time.Second, time.Second, 50 * ms, 12500 * time.Microsecond}, // processes in step part again
		{960 * ms, time.Second, time.Second, 40*ms + quarter, quarter},
		{11 * time.Second, 10 * time.Second, 10 * time.Second, 50 * ms, 12500 * time.Microsecond},

		// Half as long again, so that the last early pause is no short one.
		{0, 15 * ms, 15 * ms, 15*ms + quarter, quarter}, {0, 15*ms + 1, 15*ms + 1, 10 * ms, 2500 * time.Microsecond},
		{0, 300 * time.Microsecond, 300 * time.Microsecond, half, half / 4}, {0, 1, 1, half, half / 4},
		{9500 * time.Microsecond, 10 * ms, 10 * ms, half + quarter, quarter}, {9501 * time.Microsecond, 10 * ms, 10 * ms, half, half / 4},

		// Some take far less than others, or about as long.
		{0, 100 * ms, 91 * ms, 20 * ms, 5 * ms}, {90500 * time.Microsecond, 100 * ms, 91 * ms, 9*ms + half + quarter, quarter}, {90500 * time.Microsecond, 100 * ms, 90 * ms, 7 * ms, 7 * ms / 4},
		{0, 100 * ms, 5 * ms, 5*ms + quarter, quarter}, {5 * ms, 100 * ms, 5 * ms, 2 * ms, half},
		{80 * ms, 100 * ms, 5 * ms, 17500 * time.Microsecond, 4375 * time.Microsecond}, {99 * ms, 100 * ms, 5 * ms, 5 * ms, 5 * ms / 4},
		{time.Second, 10 * time.Second, 5 * ms, 50 * ms, 12500 * time.Microsecond},
		{12 * ms, 100 * ms, 5 * ms, 3 * ms, 3 * ms / 4},
		{9 * ms, 10 * ms, 4 * ms, 750 * time.Microsecond, 750 * time.Microsecond / 4},
	} {
		most, chance := paced(c.usual, c.quick, 2*ms).plan(c.waited)
		require.Equal(t, c.most, most, "waited %v, usual %v, quick %v", c.waited, c.usual, c.quick)
		require.Equal(t, c.chance, chance, "waited %v, usual %v, quick %v", c.waited, c.usual, c.quick)
	}
}

// Where there are writers, what is waited for may be one: who waits looks once soon.
func TestPauseBehindWriters(t *testing.T) {
	const ms = time.Millisecond
	p := paced(100*ms, 100*ms, ms)
	p.writers = true
	for _, c := range []struct{ waited, most time.Duration }{{0, 2 * ms}, {1500 * time.Microsecond, 2 * ms}, {2 * ms, 20 * ms}, {99 * ms, ms + ms/4}} {
		most, _ := p.plan(c.waited)
		require.Equal(t, c.most, most, "waited %v", c.waited)
	}
	p = paced(4*ms, 4*ms, ms)
	p.writers = true
	most, _ := p.plan(0)
	require.Equal(t, 4*ms+ms/4, most, "a load is soon over")
}

// A pause is between what is planned and less the part that is chance, and takes all of that.
func TestPauseIsChance(t *testing.T) {
	const ms = time.Millisecond
	p := paced(100*ms, 100*ms, ms)
	least, most := time.Hour, time.Duration(0)
	for range 10_000 {
		d := p.pause(0)
		least, most = min(least, d), max(most, d)
	}
	require.GreaterOrEqual(t, least, 15*ms)
	require.Less(t, least, 15*ms+ms/2)
	require.LessOrEqual(t, most, 20*ms)
	require.Greater(t, most, 20*ms-ms/2)
}

// The nearer the cache, the more often it is asked before loads can have ended.
func TestPauseBeforeLoadsEnd(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct{ trip, waited, most time.Duration }{
		{0, 0, 2 * ms}, {ms / 50, 0, 2 * ms}, {ms / 10, 0, 4 * ms}, {ms / 10, 4 * ms, 6*ms + ms/4}, {ms / 4, 0, 10*ms + ms/4},
	} {
		most, _ := paced(10*ms, 10*ms, c.trip).plan(c.waited)
		require.Equal(t, c.most, most, "trip %v, waited %v", c.trip, c.waited)
	}
	most, _ := paced(100*ms, 100*ms, ms/50).plan(0)
	require.Equal(t, 20*ms, most, "a fifth of a long load, however near")
	var p pace
	p.answered(8)
	p.answered(8)
	require.EqualValues(t, 1, p.trip.Load())
	for range 100 {
		p.answered(800)
	}
	require.InDelta(t, 800, p.trip.Load(), 8)
}

// asks is how many requests who waits sends until the one that finds the value, which is there when ends has passed, and how much later that
// one is.
func (p *pace) asks(ends time.Duration) (n int, late time.Duration) {
	waited := time.Duration(0)
	for waited < ends {
		d := p.pause(waited)
		if d <= 0 {
			panic("no pause at all")
		}
		waited += d
		n++
	}
	return n, waited - ends
}

// What a wait costs: requests, and how long the value is there unseen.
func TestPauseCosts(t *testing.T) {
	const ms = time.Millisecond
	for range 1000 {
		n, late := paced(10*ms, 10*ms, ms).asks(10 * ms)
		require.Equal(t, 1, n, "a load that takes as long as usual")
		require.LessOrEqual(t, late, ms/4)

		n, late = paced(100*ms, 100*ms, ms).asks(100 * ms)
		require.LessOrEqual(t, n, 8)
		require.LessOrEqual(t, late, ms/4)

		// Whatever it takes, and whatever is known: no more than a quarter and a half late, or an early pause; and
		// no more requests than the parts of it and the logarithm of the rest make.
		ends := 1 + rand.N(2000*ms)
		usual := 1 + rand.N(1000*ms)
		n, late = paced(usual, 1+rand.N(usual), rand.N(ms)).asks(ends)
		require.LessOrEqual(t, late, max(15*ms+ms/4, ends*3/8+ms, usual*3/10+ms), "ends %v usual %v", ends, usual)
		require.LessOrEqual(t, n, 70+int(ends/(lastPause*3/4)), "ends %v usual %v", ends, usual)
	}
}

func TestPaceFollowsLoads(t *testing.T) {
	var p pace
	p.learn(80)
	require.EqualValues(t, 80, p.usual.Load(), "the first is taken as it is")
	require.EqualValues(t, 80, p.quick.Load())
	p.learn(160)
	require.EqualValues(t, 90, p.usual.Load())
	require.EqualValues(t, 80, p.quick.Load(), "slowly")
	p.learn(42)
	require.EqualValues(t, 84, p.usual.Load())
	require.EqualValues(t, 61, p.quick.Load())
	for range 100 {
		p.learn(16)
	}
	require.InDelta(t, 16, p.usual.Load(), 8)
	require.InDelta(t, 16, p.quick.Load(), 4)

	// One load in ten takes a tenth of the others: who waits looks out for it.
	p = pace{}
	for i := range 1000 {
		took := 100 * time.Millisecond
		if i%10 == 0 {
			took /= 10
		}
		p.learn(took)
		if i > 100 {
			require.Less(t, p.quick.Load(), int64(50*time.Millisecond))
		}
	}
	// One in a thousand is no news for long.
	p = pace{}
	for range 200 {
		p.learn(100 * time.Millisecond)
	}
	p.learn(time.Millisecond)
	require.Less(t, p.quick.Load(), int64(80*time.Millisecond))
	for range 999 {
		p.learn(100 * time.Millisecond)
	}
	require.Greater(t, p.quick.Load(), int64(98*time.Millisecond))

	p = pace{}
	p.learn(0)
	require.Positive(t, p.usual.Load(), "0 is for what is not known")
}

// The wait began with the lease, as far as is known, but a load takes no less than the quick ones, and who may find the value
// asks when its holder's fill, too, has been answered.
func TestPaceCountsFromTheLease(t *testing.T) {
	const ms = time.Millisecond
	p := paced(12*ms, 10*ms, ms)
	began := time.Now()
	now := began.Add(3 * ms)
	for _, c := range []struct{ held, waited time.Duration }{
		{0, 3 * ms},                        // nothing is known
		{4 * ms, 3 * ms}, {5 * ms, 3 * ms}, // about as long as we have waited
		{8 * ms, 6 * ms}, {12 * ms, 10 * ms},
		{13 * ms, 10 * ms}, {time.Hour, 10 * ms}, // it is a guess
	} {
		require.Equal(t, c.waited, now.Sub(p.since(began, now, c.held)), "held %v", c.held)
	}
	require.Equal(t, began, new(pace).since(began, now, time.Hour), "before the first load")
}
