package hotkey

import (
	"math/bits"
	"sync/atomic"
	"time"
)

const (
	ways         = 8
	slotBytes    = 16
	stripes      = 16 // a mixed hash's top four bits choose the stripe
	tagLevelBits = 2
	tagLevelMask = 1<<tagLevelBits - 1
)

// slot is what the heavy table counts for one resident. Guarded by the stripe's try-lock.
type slot struct {
	count uint32 // never under the true count: what the sketch believed at admission, plus every access since
	err   uint32 // what of count was only believed; count − err accesses were seen while resident and cannot be forged
	score uint16 // the sequential test's sum, in 1/256 nats
	stamp uint16 // when score was last brought up to date, in units of 1<<Detector.shifted counted accesses
	size  uint32 // mean value size in bytes, moving
}

// label is the part of a resident that only reports need. Guarded like slot.
type label struct {
	key   string // own copy; "" until the second access while resident, so that passers-by cost no allocation
	mixed uint64
	since time.Time // of the present level
	heard uint8     // see elsewhere.go
}

// stripe is a sixteenth of the detector: its share of the sketch and of the heavy table's sets.
//
// busy is a try-lock: 0 free, 1 taken. It guards every other field, and the writing (not the reading) of the tags of
// the stripe's sets. Observe never waits for it: who finds it taken leaves its access uncounted. The holder does some
// 30 ns of work, or a few µs when a halving is due.
type stripe struct {
	busy   atomic.Uint32
	epoch  uint32 // halvings done; behind the detector's epoch, the difference is still owed
	rng    uint64
	sketch sketch
	slots  []slot
	labels []label
	tags   []tagSet // this stripe's part of the detector's; read by everybody without the lock
	shift  uint     // see set
	_      [64]byte // stripes do not share a cache line
}

func (s *stripe) tryLock() bool {
	return s.busy.Load() == 0 && s.busy.CompareAndSwap(0, 1)
}

func (s *stripe) unlock() {
	s.busy.Store(0)
}

func (s *stripe) init(seed uint64, sketchBytes int, tags []tagSet) {
	slots := len(tags) * ways
	s.rng = seed | 1
	s.sketch = newSketch(sketchBytes)
	s.slots = make([]slot, slots)
	s.labels = make([]label, slots)
	s.tags = tags
	s.shift = setShift(len(tags) * stripes)
}

// fingerprint is the part of a tag that names the key: 30 bits, never 0. Together with the bits that choose stripe and
// set, two keys are taken for each other once in some 2^37 pairs.
func fingerprint(m uint64) uint32 {
	return max(uint32(m)>>tagLevelBits, 1) << tagLevelBits
}

// setShift is how far a mixed hash is shifted down to the number of its set, of so many sets in the whole detector. The
// set's top bits are the stripe's number.
func setShift(sets int) uint { return uint(65 - bits.Len(uint(sets))) }

// set is the number of m's set within the stripe.
func (s *stripe) set(m uint64) int { return int(m>>s.shift) & (len(s.tags) - 1) }

// find returns the resident's slot and tag, or -1. The caller holds the stripe.
func (s *stripe) find(m uint64) (int, uint32) {
	fp := fingerprint(m)
	set := s.set(m)
	tags := &s.tags[set]
	for i := range tags {
		if t := tags[i].Load(); t&^tagLevelMask == fp {
			return set*ways + i, t
		}
	}
	return -1, 0
}

// tagSet is the tags of one set, half a cache line: fingerprint<<2 | level; 0 = empty.
type tagSet [ways]atomic.Uint32

// peek returns the level of the key m. It needs no lock; what it finds may have moved on a moment later. All eight tags
// are looked at whatever the first ones say: a branch on which of them matches would be guessed wrong more often than
// it saves (measured: 5 ns less for Zipf keys).
func (t *tagSet) peek(m uint64) Level {
	fp := fingerprint(m)
	l := uint32(LevelCold)
	if x := t[0].Load() ^ fp; x <= tagLevelMask {
		l = x
	}
	if x := t[1].Load() ^ fp; x <= tagLevelMask {
		l = x
	}
	if x := t[2].Load() ^ fp; x <= tagLevelMask {
		l = x
	}
	if x := t[3].Load() ^ fp; x <= tagLevelMask {
		l = x
	}
	if x := t[4].Load() ^ fp; x <= tagLevelMask {
		l = x
	}
	if x := t[5].Load() ^ fp; x <= tagLevelMask {
		l = x
	}
	if x := t[6].Load() ^ fp; x <= tagLevelMask {
		l = x
	}
	if x := t[7].Load() ^ fp; x <= tagLevelMask {
		l = x
	}
	return Level(l)
}

func (s *stripe) tag(i int) *atomic.Uint32 { return &s.tags[i/ways][i%ways] }

func (s *stripe) level(i int) Level {
	return Level(s.tag(i).Load() & tagLevelMask)
}

func (s *stripe) setLevel(i int, l Level, now time.Time) {
	s.tag(i).Store(s.tag(i).Load()&^tagLevelMask | uint32(l))
	s.labels[i].since = now
}

// admit lets the key m, which the sketch puts at est accesses, compete for a place in its set. It takes a free one, or
// the weakest resident's if it is believed stronger, or else in one case of eight, after the idea of the randomised
// admission policy (Ben Basat, Chen, Einziger, Friedman, Kassner: "Randomized Admission Policy for Efficient Top-k and
// Frequency Estimation", INFOCOM 2017). The weakest place of each set so becomes the one where newcomers are tried: a
// key that has just become hot is soon counted exactly although the sketch hardly knows it, while the seven others are
// only lost to stronger keys. A newcomer on whom the sequential test is running (its score has not drifted back to 0)
// is not disturbed. What the table counted for the leaver goes back to the sketch, so nobody is ever under-counted, and
// a leaver that is still stronger comes back at its next access.
//
// now is the time in units of slot.stamp, drift what a score loses in one unit. It returns the slot taken, or -1, and
// the leaver's key and level if it had risen above cold.
func (s *stripe) admit(m uint64, est uint32, now uint16, drift float64, bytes uint32) (at int, left string, was Level) {
	base := s.set(m) * ways
	at = -1
	for i := base; i < base+ways; i++ {
		if s.tag(i).Load() == 0 {
			at = i
			break
		}
		sl := &s.slots[i]
		if at >= 0 && sl.count >= s.slots[at].count || float64(sl.score) > float64(now-sl.stamp)*drift {
			continue
		}
		at = i
	}
	if at < 0 {
		return -1, "", LevelCold
	}
	if s.tag(at).Load() != 0 {
		weakest := s.slots[at].count
		chance := uint64(8)
		if s.level(at) != LevelCold {
			chance = 128 // a set full of hot keys: they are not to flap
		}
		if est <= weakest && s.random()%chance != 0 {
			return -1, "", LevelCold
		}
		left, was = s.labels[at].key, s.level(at)
		s.sketch.raise(s.labels[at].mixed, weakest)
	}
	s.tag(at).Store(fingerprint(m))
	s.slots[at] = slot{count: est, err: est - 1, stamp: now, size: bytes}
	s.labels[at] = label{mixed: m}
	return at, left, was
}

// random is xorshift64*, good enough to toss coins.
func (s *stripe) random() uint64 {
	s.rng ^= s.rng >> 12
	s.rng ^= s.rng << 25
	s.rng ^= s.rng >> 27
	return (s.rng * 0x2545f4914f6cdd1d) >> 11
}

// catchUp does the halvings this stripe owes. It runs at the first access after the detector's epoch moved, so that no
// caller ever halves the whole detector.
func (s *stripe) catchUp(epoch uint32) {
	owed := epoch - s.epoch
	if owed == 0 {
		return
	}
	s.epoch = epoch
	k := min(owed, 31)
	s.sketch.halve(k)
	for i := range s.slots {
		sl := &s.slots[i]
		sl.count >>= k
		sl.err >>= k
		sl.score = 0 // its stamp may have wrapped
	}
}
