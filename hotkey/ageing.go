package hotkey

import (
	"math"
	"math/bits"
	"time"
)

const (
	tickEvery   = 256                  // counted accesses between two looks at the clock, fewer when sampling
	thinkSpan   = 5 * time.Millisecond // the sampling rate is thought over after so long,
	thinkCount  = 8192                 // or after so many counted accesses, so that one big multi-get is no storm
	maxGateBits = 12                   // at most one access in 4,096 is counted away
)

func (a *ageing) start(d *Detector) {
	d.tick.Store(tickEvery - 1)
	a.reviewAt = 1024
}

// window is the number of counted accesses that the present counts are a share of: between half of Config.Window and
// all of it, once it has been full.
func (d *Detector) window(total uint64) int64 {
	return max(1, int64(total)+d.offset.Load())
}

func (d *Detector) stamp(total uint64) uint16 {
	return uint16(total >> d.shifted)
}

// age does what is due. One caller in 256 comes here; if another is at it already there is nothing to wait for.
func (d *Detector) age(total uint64) {
	a := &d.ageing
	if !a.mu.TryLock() {
		return
	}
	var told []change
	d.think(total)
	if w := int64(total) + d.offset.Load(); w >= int64(d.cfg.Window) {
		// The counts are halved stripe by stripe as each notices the new epoch; until then its keys look up to twice as
		// hot as they are, for as long as nobody touches them.
		d.offset.Add(-(w - w/2))
		d.epoch.Add(1)
	}
	if total >= a.reviewAt {
		var done bool
		if told, done = d.review(total); done {
			a.reviewAt = total + max(tickEvery, min(uint64(d.cfg.Window)/64, max(1024, total)))
		}
	}
	a.mu.Unlock()
	for _, c := range told {
		d.tell(c)
	}
}

// think sets the sampling rate so that about Budget accesses a second are counted. Under the lock of ageing.
func (d *Detector) think(total uint64) {
	a := &d.ageing
	now := time.Since(d.base)
	span, n := now-a.lastAt, total-a.lastN
	if span < thinkSpan && n < thinkCount {
		return
	}
	gate := d.gate.Load()
	rate := float64(n) * float64(gate+1) / max(span, time.Microsecond).Seconds()
	a.lastAt, a.lastN = now, total
	if a.rate == 0 {
		a.rate = rate
	}
	a.rate += (rate - a.rate) * min(1, max(1.0/8, span.Seconds())) // what took a second needs no others to be believed
	if d.cfg.Budget < 0 {
		return
	}
	over := rate / float64(d.cfg.Budget)
	k := 0
	if over > 1 {
		k = min(maxGateBits, int(math.Ceil(math.Log2(over))))
	}
	d.gate.Store(1<<k - 1)
	// The rarer an access is counted, the more often the clock is read per counted access, so that the rate is soon
	// noticed to have fallen.
	d.tick.Store(uint64(max(tickEvery>>k, 8) - 1))
}

// rateNow is the moving rate, capped by what came since it was last thought over, so that an idle detector says so.
func (a *ageing) rateNow(d *Detector) float64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	span, n := time.Since(d.base)-a.lastAt, d.total.Load()-a.lastN
	since := float64(n) * float64(d.gate.Load()+1) / max(span, time.Microsecond).Seconds()
	if a.rate == 0 || span > time.Second && since < a.rate {
		return since
	}
	return a.rate
}

// bars are the shares of all accesses from which a key is Hot or Hottest. A key sinks when it falls under half of them.
type bars struct {
	hot, hottest float64
	ranked       float64 // hot, for a key that has been heard of elsewhere
}

// keepsHot is from how many accesses a key is hot.
func (b *bars) keepsHot(lb *label, window float64) float64 {
	if lb.heard >= heardEnough {
		return max(leastHeard, b.ranked*window)
	}
	return max(leastHot, b.hot*window)
}

// What a resident must have been seen to do, whatever the bars say: chance alone does not do that often.
const (
	leastHot     = 16
	leastHottest = 32
)

// review reads the whole table, sets the bars to the shares of the keys that rank last in their level, and lets sink who
// fell below half of the bars that were in force. It takes some 4 µs, once in a 64th of the window, under the lock of
// ageing. Where a stripe stays busy, because the scheduler may have put its holder aside, the review is not done and is
// due again at the next tick; who sank so far has sunk and is told.
func (d *Detector) review(total uint64) (told []change, done bool) {
	a := &d.ageing
	clear(a.histo[:])
	window := float64(d.window(total))
	old := d.bars.Load()
	var pop [3]int64
	for i := range d.stripes {
		s := &d.stripes[i]
		for try := 0; !s.tryLock(); try++ {
			if try == 100 {
				return told, false
			}
		}
		s.catchUp(d.epoch.Load())
		for j := range s.slots {
			tag := s.tag(j).Load()
			if tag == 0 {
				continue
			}
			sl := &s.slots[j]
			a.histo[bucket(sl.count-sl.err)]++
			was := Level(tag & tagLevelMask)
			now := was
			if now == LevelHottest && float64(sl.count) < d.share(sl, total, window)*max(leastHottest, old.hottest*window)/2 {
				now = LevelHot
			}
			if now == LevelHot && float64(sl.count) < old.keepsHot(&s.labels[j], window)/2 {
				now = LevelCold
			}
			if now != was {
				s.setLevel(j, now, time.Now())
				told = append(told, change{key: s.labels[j].key, from: was, to: now})
			}
			pop[was]++ // tell moves those who sink
		}
		s.unlock()
	}
	for l := range pop {
		d.levels[l].Store(pop[l])
	}
	l := d.limits.Load()
	ranked := min(l.heavyShare, a.rank(l.hot)/window)
	d.bars.Store(&bars{
		ranked:  ranked,
		hot:     max(leastHot/window, ranked),
		hottest: max(leastHottest/window, min(l.heavyShare, a.rank(l.hottest)/window)),
	})
	return told, true
}

// bucket puts counts on a scale of eight steps to the octave: 0 to 7 exactly, then within an eighth.
func bucket(n uint32) int {
	if n < 8 {
		return int(n)
	}
	e := bits.Len32(n) - 4
	return e*8 + int(n>>e) // n>>e is 8 to 15
}

func bucketFloor(b int) uint32 {
	if b < 16 {
		return uint32(b)
	}
	e := b/8 - 1
	return uint32(b%8+8) << e
}

// rank returns about the count of the k-th resident, 0 if there are fewer.
func (a *ageing) rank(k int) float64 {
	for b := len(a.histo) - 1; b >= 0; b-- {
		if k -= int(a.histo[b]); k <= 0 {
			return float64(bucketFloor(b))
		}
	}
	return 0
}

// The sequential test. Each resident carries the sum of the log-likelihood ratio between "its share is four times the
// bar" and "its share is the bar" over its accesses, held at 0 from below: Page's CUSUM (Biometrika 41, 1954), the
// repeated form of Wald's sequential probability ratio test (1945). For Poisson arrivals an access adds ln 4 and each
// access of anybody takes away 3 bars. A key at or below the bar drifts down and reaches the goal in one of e^16 runs;
// one far above it gets there after a dozen accesses of its own, long before it has a count to show.
const (
	scoreUnit = 256 // slot.score is in 1/256 nats
	scoreGain = 355 // ln 4
	scoreGoal = 16 * scoreUnit
	scoreMax  = 1<<16 - 1 - scoreGain
)

// drift is what a score loses in one unit of slot.stamp.
func (d *Detector) drift() float64 {
	return float64(uint64(1)<<d.shifted) * 3 * scoreUnit * d.bars.Load().hottest
}

// judge brings the resident's score up to date with one more access and returns the level it has now earned, never a
// lower one than it has. The caller holds the stripe.
func (d *Detector) judge(sl *slot, b *bars, was Level, total uint64) Level {
	stamp := d.stamp(total)
	score := float64(sl.score) - float64(stamp-sl.stamp)*d.drift()
	sl.stamp = stamp
	sl.score = uint16(min(scoreMax, max(0, score))) + scoreGain
	window := float64(d.window(total))
	seen := float64(sl.count - sl.err)
	l := d.limits.Load()
	if sl.score >= scoreGoal && !d.crowded(LevelHottest, 2*l.hottest) ||
		seen >= max(leastHottest, d.raised(LevelHottest, b.hottest, l.hottest)*window) {
		return LevelHottest
	}
	if was == LevelCold && seen >= max(leastHot, d.raised(LevelHot, b.hot, l.hot)*window) {
		return LevelHot
	}
	return was
}

// share is what part of a window the resident, one of the hottest, has had to be counted in since it became that: a key that the
// test has just raised has few accesses to show, and would sink at the next review and rise again at its next
// access. It is 1 from half a window on; the score, which nobody looks at meanwhile, is 0 from then on to say so, as the stamps begin anew
// after two windows.
func (d *Detector) share(sl *slot, total uint64, window float64) float64 {
	if sl.score == 0 {
		return 1
	}
	share := float64(uint64(d.stamp(total)-sl.stamp)<<d.shifted) / window
	if share >= 0.5 {
		sl.score, share = 0, 1
	}
	return share
}

func (d *Detector) crowded(l Level, most int) bool {
	return d.levels[l].Load() > int64(most)
}

// raised is the bar, doubled while the level is a quarter over its size: where many keys are equally warm they all
// wander over the bar sooner or later, and hysteresis would keep every one that ever did.
func (d *Detector) raised(l Level, bar float64, size int) float64 {
	if d.crowded(l, size+size/4) {
		return 2 * bar
	}
	return bar
}
