package hotkey

import (
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"
)

// A client that makes a five-hundredth of a fleet's reads needs five hundred times as long as the fleet to see that a key is
// hot. The nodes know sooner: each can tell when a key was read last, by whomever. That alone misleads, because any key that is
// read twice was read a while before; so what counts is that a key was read a moment ago though this client has not read it for longer, several
// times in a row, and that it is among those this client reads most. Such a key is hot on a fifth of the reads that are else
// asked for. It is not among the hottest by that: memory saves a client nothing that reads it so seldom.

const (
	// ownGap is how long ago this client's own last read must be at least: longer than a node may take for "a moment", below.
	ownGap = 3 * time.Second
	// ownMemory is how long ago it may be.
	ownMemory = 10 * time.Minute
	// Moment is how long ago, in seconds as a node counts them, another's read may be to count. Nodes write the time down about once a
	// second.
	Moment = 1
	// heardEnough is after how many such answers in a row a key may be hot on leastHeard accesses of this client.
	heardEnough = 3
	leastHeard  = 3
	// ownReads is how many keys' last reads are remembered. Of two that fall together the older is forgotten.
	ownReads = 1 << 13
)

// elsewhere is when this client has read which keys last.
type elsewhere struct {
	oneIn uint32
	// last holds, by the mixed hash, 32 bits of it and a time in units of 1/64 s since the detector's base.
	last [ownReads]atomic.Uint64
}

func newElsewhere(oneIn int) *elsewhere {
	if oneIn == 0 {
		return nil
	}
	return &elsewhere{oneIn: uint32(oneIn)}
}

// note records a read at a time and returns how long before the last one was, 0 if that is not known.
func (e *elsewhere) note(m uint64, now time.Duration) time.Duration {
	ticks := uint64(now>>24) & (1<<32 - 1) // 2^24 ns are about 1/60 s
	was := e.last[m>>40%ownReads].Swap(m<<32 | ticks)
	if was>>32 != m&(1<<32-1) || ticks < was&(1<<32-1) {
		return 0
	}
	return time.Duration(ticks-was&(1<<32-1)) << 24
}

// AsksElsewhere counts nothing, takes down that key is read now, and reports whether the node should be asked when it was read last, by
// anybody: a sample, by Config.AskNodes, of the reads of keys that this client has read before, but not within seconds. The
// answer goes to Elsewhere.
func (d *Detector) AsksElsewhere(hash uint64) bool {
	if d.elsewhere == nil {
		return false
	}
	m := d.mixer.mix(hash)
	gap := d.elsewhere.note(m, time.Since(d.base))
	return gap >= ownGap && gap <= ownMemory && d.tags[m>>d.shift].peek(m) < LevelHottest &&
		(d.elsewhere.oneIn == 1 || rand.Uint32N(d.elsewhere.oneIn) == 0)
}

// Elsewhere tells the detector what a node answered: whether others have read key a moment ago. It waits for nobody; an answer that finds
// the key's part of the table busy is lost.
func (d *Detector) Elsewhere(hash uint64, key string, read bool) {
	m := d.mixer.mix(hash)
	s := &d.stripes[m>>60]
	if !s.tryLock() {
		return
	}
	s.catchUp(d.epoch.Load())
	var ch change
	if at, tag := s.find(m); at >= 0 && (s.labels[at].key == key || s.labels[at].key == "") {
		lb, sl := &s.labels[at], &s.slots[at]
		if lb.key == "" {
			lb.key = strings.Clone(key) // it is read the second time, which is counted later
		}
		if !read {
			lb.heard = 0
		} else if lb.heard < heardEnough {
			lb.heard++
		}
		seen := float64(sl.count - sl.err)
		if Level(tag&tagLevelMask) == LevelCold && lb.heard >= heardEnough &&
			seen >= max(leastHeard, d.raised(LevelHot, d.bars.Load().ranked, d.limits.Load().hot)*float64(d.window(d.total.Load()))) {
			s.setLevel(at, LevelHot, time.Now())
			ch = change{key: key, from: LevelCold, to: LevelHot}
		}
	}
	s.unlock()
	if ch.from != ch.to {
		d.tell(ch)
	}
}
