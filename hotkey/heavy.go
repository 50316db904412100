package hotkey

import (
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
	stamp uint16 // when score was last brought up to date, in units of 1<<stampShift counted accesses
	size  uint32 // mean value size in bytes, moving
} // label is the part of a resident that only reports need. Guarded like slot.
type label struct {
	key   string // own copy; "" until the second access while resident, so that passers-by cost no allocation
	mixed uint64
	since time.Time // of the present level
} // stripe is a sixteenth of the detector: its share of the sketch and of the heavy table's sets.
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
	tags   []atomic.Uint32 // fingerprint<<2 | level; 0 = empty. Read by everybody without the lock.
	mask   uint64          // sets − 1
	_      [64]byte        // stripes do not share a cache line
}

func (s *stripe) tryLock() bool {
	return s.busy.Load() == 0 && s.busy.CompareAndSwap(0, 1)
}

func (s *stripe) unlock() {
	s.busy.Store(0)
}

func (s *stripe) init(seed uint64, sketchBytes, slots int) {
	s.rng = seed | 1
	s.sketch = newSketch(sketchBytes)
	s.slots = make([]slot, slots)
	s.labels = make([]label, slots)
	s.tags = make([]atomic.Uint32, slots)
	s.mask = uint64(slots/ways - 1)
}

// fingerprint is the part of a tag that names the key: 30 bits, never 0. Together with the bits that choose stripe and
// set, two keys are taken for each other once in some 2^37 pairs.
func fingerprint(m uint64) uint32 {
	return max(uint32(m)>>tagLevelBits, 1) << tagLevelBits
}

func (s *stripe) set(m uint64) int {
	return int(m>>32&s.mask) * ways
}

// find returns the resident's slot and tag, or -1. It needs no lock; what it finds may have moved on a moment later.
func (s *stripe) find(m uint64) (int, uint32) {
	fp := fingerprint(m)
	base := s.set(m)
	tags := s.tags[base : base+ways : base+ways]
	for i := range tags {
		if t := tags[i].Load(); t&^tagLevelMask == fp {
			return base + i, t
		}
	}
	return -1, 0
}

func (s *stripe) level(i int) Level {
	return Level(s.tags[i].Load() & tagLevelMask)
}

func (s *stripe) setLevel(i int, l Level, now time.Time) {
	s.tags[i].Store(s.tags[i].Load()&^tagLevelMask | uint32(l))
	s.labels[i].since = now
}

// admit lets the key m, which the sketch puts at est accesses, compete for a place in its set. It takes a free one, or
// the weakest resident's if it is believed stronger, or else with a chance that falls with the distance, as in the
// randomised admission policy (Ben Basat, Chen, Einziger, Friedman, Kassner: "Randomized Admission Policy for Efficient
// Top-k and Frequency Estimation", INFOCOM 2017). The weakest place of each set so becomes the one where newcomers are
// tried: a key that has just become hot is soon counted exactly although the sketch hardly knows it, while the seven
// others are only lost to stronger keys. What the table counted for the leaver goes back to the sketch, so nobody is
// ever under-counted, and a leaver that is still stronger comes back at its next access.
//
// It returns the slot taken, or -1, and the leaver's key and level if it had risen above Cold.
func (s *stripe) admit(m uint64, est uint32, stamp uint16, bytes uint32) (at int, left string, was Level) {
	base := s.set(m)
	at = base
	for i := base; i < base+ways; i++ {
		if s.tags[i].Load() == 0 {
			at = i
			break
		}
		if s.slots[i].count < s.slots[at].count {
			at = i
		}
	}
	if s.tags[at].Load() != 0 {
		weakest := s.slots[at].count
		if est <= weakest && s.random()%(uint64(weakest-est)+2) != 0 {
			return -1, "", LevelCold
		}
		left, was = s.labels[at].key, s.level(at)
		s.sketch.raise(s.labels[at].mixed, weakest)
	}
	s.tags[at].Store(fingerprint(m))
	s.slots[at] = slot{count: est, err: est - 1, stamp: stamp, size: bytes}
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
