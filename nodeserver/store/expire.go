package store

import "slices"

// Expired items give their memory back without anybody walking through the whole store:
// when a segment is sealed the second is noted at which an eighth of its bytes will have
// expired, and only then it is looked through. Each look frees at least that eighth, so
// an item is looked at a handful of times in its life. A TTL that is given once the segment is
// sealed is not noted; such an item goes when it is asked for or room is made.
const wakeShare = 8

// seal ends appending to a segment.
func (sh *shard) seal(id uint32, now uint32) {
	s := &sh.segs[id]
	s.sealed = sh.tick(now)
	sh.setWake(id, now)
}

// setWake finds out when segment id is worth a look.
func (sh *shard) setWake(id uint32, now uint32) {
	s := &sh.segs[id]
	s.wake = never
	if s.large {
		if e := record(s.buf).expiry(); e != 0 {
			s.wake = e
		}
	} else if s.expiring >= s.live/wakeShare && s.expiring > 0 {
		s.wake = sh.wakeTime(s)
	}
	if sh.flushAt > now {
		s.wake = min(s.wake, sh.flushAt)
	}
	sh.nextWake = min(sh.nextWake, s.wake)
}

func (sh *shard) wakeTime(s *segment) uint32 {
	list := sh.scratch[:0]
	total := 0
	for off := 0; off < s.used; {
		r := record(s.buf[off:])
		n := r.bytes()
		if e := r.expiry(); e != 0 && !r.dead() {
			list = append(list, found{n: n, worth: stamp(e)})
			total += n
		}
		off += n
	}
	sh.scratch = list
	need := max(s.live/wakeShare, 1)
	if total < need {
		return never
	}
	slices.SortFunc(list, func(a, b found) int { return int(int64(a.worth) - int64(b.worth)) })
	for _, f := range list {
		if need -= f.n; need <= 0 {
			return uint32(f.worth)
		}
	}
	return never
}

// sweep looks through one segment whose time has come, if there is any.
func (sh *shard) sweep(now uint32) (more bool) {
	if sh.nextWake > now {
		return false
	}
	due, next := uint32(0), uint32(never)
	for id := firstSegment; id < uint32(len(sh.segs)); id++ {
		s := &sh.segs[id]
		switch {
		case s.buf == nil:
		case s.wake <= now && due == 0:
			due = id
		default:
			next = min(next, s.wake)
		}
	}
	sh.nextWake = next
	if due == 0 {
		return false
	}
	if sh.sweepSegment(due, now) {
		s := &sh.segs[due]
		sh.setWake(due, now)
		s.wake = max(s.wake, now+1)
	}
	return next <= now
}

// sweepSegment drops what is over in segment id; false means that the segment went with
// its last record.
func (sh *shard) sweepSegment(id, now uint32) bool {
	s := &sh.segs[id]
	for off := 0; off < s.used; {
		r := record(s.buf[off:])
		n := r.bytes()
		if !r.dead() && sh.gone(r, now) {
			sh.reclaim(sh.addr(id, off), r)
			if s.buf == nil {
				return false
			}
		}
		off += n
	}
	return true
}

// finishFlush drops what a flush that has come due has not dropped yet, before it is
// forgotten.
func (sh *shard) finishFlush(now uint32) {
	if sh.flushAt == 0 || sh.flushAt > now {
		return
	}
	for id := firstSegment; id < uint32(len(sh.segs)); id++ {
		sh.sweepSegment(id, now)
	}
}

// Sweep gives back the memory of items that have expired by second now, as far as it is
// worth the work. Every access does a part of it; this does all that is due.
func (s *Store) Sweep(now uint32) {
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		for sh.sweep(now) {
		}
		sh.mu.Unlock()
	}
}
