package store

import "slices"

// found is a record of a segment that is being recycled.
type found struct {
	off, n int
	worth  stamp
	hash   uint64
}

const (
	// hardTries is after how many segments of second chances none is given any more.
	hardTries = 64
	// keepNum/keepDen of a segment may stay when it is recycled: it costs at most three
	// bytes copied for each byte won.
	keepNum, keepDen = 3, 4
)

// recycle makes some room out of one segment: by moving together what lives in one with
// many dead records, else by dropping what the policy says from the oldest. What stays
// fills up the segment that is appended to; if that has too little room for all of it,
// the recycled segment becomes the one appended to. False: nothing can be done.
// tries counts the calls for the same need.
func (sh *shard) recycle(now uint32, tries int) bool {
	before := sh.bytes
	for sh.sweep(now) {
	}
	id, keepAll := sh.victim()
	if id == 0 {
		return sh.bytes < before // by what had expired
	}
	hard := tries > hardTries+len(sh.segs)
	s := &sh.segs[id]
	if s.large {
		sh.recycleLarge(id, now, hard)
		return true
	}
	stay := sh.survivors(id, now, keepAll, hard)
	// The last record that goes may have taken the segment with it.
	if sh.segs[id].buf == nil {
		return true
	}
	if sh.compact(id, stay, now); hard && sh.segs[id].used == 0 && sh.segs[id].buf != nil {
		sh.freeSegment(id) // even the one appended to: the memory is wanted elsewhere
	}
	return true
}

// victim is the segment to recycle next; keepAll says that its live records stay.
func (sh *shard) victim() (id uint32, keepAll bool) {
	if sh.dead > sh.held/16 || sh.noEvict {
		if id := sh.deadest(); id != 0 {
			return id, true
		}
	}
	if sh.noEvict {
		return 0, false
	}
	q := mainQueue
	if sh.policy == S3FIFO && (sh.queueHeld[smallQueue] > sh.maxBytes/smallShare || sh.segs[mainQueue].prev == uint32(mainQueue)) {
		q = smallQueue
	}
	id = sh.segs[q].prev
	if id == uint32(q) {
		return 0, false
	}
	return id, false
}

// deadest is the shared segment with the most dead bytes, a quarter of it at least (any,
// where nothing may be evicted).
func (sh *shard) deadest() (best uint32) {
	most := sh.segBytes * (keepDen - keepNum) / keepDen
	if sh.noEvict {
		most = 1
	}
	for id := firstSegment; id < uint32(len(sh.segs)); id++ {
		s := &sh.segs[id]
		if n := s.used - s.live; s.buf != nil && !s.large && n >= most {
			best, most = id, n+1
		}
	}
	return best
}

// recycleLarge drops the one record of a segment, or lets it pass.
func (sh *shard) recycleLarge(id uint32, now uint32, hard bool) {
	s := &sh.segs[id]
	addr := sh.addr(id, 0)
	r := sh.record(addr)
	h := sh.hash(r.key())
	switch {
	case s.live == 0: // just allocated, not yet written
		sh.toFront(id, s.queue)
	case sh.gone(r, now):
		sh.reclaim(addr, r)
	case sh.policy != LRU && !hard && sh.worth(s, r) > 0:
		sh.passed(s, r)
		sh.queueHeld[s.queue] -= int64(cap(s.buf))
		sh.queueHeld[mainQueue] += int64(cap(s.buf))
		sh.unlink(id)
		sh.pushFront(id, mainQueue)
	default:
		sh.dropped(s, h)
		sh.evict(h, addr, r)
	}
}

// survivors drops what has to go from segment id and lists what stays, in order.
func (sh *shard) survivors(id uint32, now uint32, keepAll, hard bool) []found {
	list := sh.scratch[:0]
	s := &sh.segs[id]
	for off := 0; off < s.used; {
		r := record(s.buf[off:])
		n := r.bytes()
		if !r.dead() {
			if sh.gone(r, now) {
				sh.reclaim(sh.addr(id, off), r)
				if s.used == 0 || s.buf == nil {
					break // that was the last one
				}
			} else {
				list = append(list, found{off: off, n: n, worth: sh.worth(s, r), hash: sh.hash(r.key())})
			}
		}
		off += n
	}
	sh.scratch = list
	if keepAll {
		return list
	}
	least := sh.leastWorth(list, hard)
	stay := list[:0]
	for _, f := range list {
		r := record(s.buf[f.off:])
		if f.worth >= least {
			sh.passed(s, r)
			stay = append(stay, f)
			continue
		}
		sh.dropped(s, f.hash)
		sh.evict(f.hash, sh.addr(id, f.off), r)
	}
	return stay
}

// leastWorth is what a record must be worth to stay, so that enough goes.
func (sh *shard) leastWorth(list []found, hard bool) stamp {
	if hard {
		return ^stamp(0)
	}
	room, total := sh.segBytes*keepNum/keepDen, 0
	for _, f := range list {
		if f.worth > 0 {
			total += f.n
		}
	}
	if total <= room {
		return 1
	}
	byWorth := slices.Clone(list)
	slices.SortFunc(byWorth, func(a, b found) int {
		switch {
		case a.worth > b.worth:
			return -1
		case a.worth < b.worth:
			return 1
		}
		return 0
	})
	for _, f := range byWorth {
		if room -= f.n; room < 0 {
			return f.worth + 1 // of equals none stays: there may be many
		}
	}
	return 1
}

// compact moves the records that stay into the segment appended to as far as they fit,
// and the rest together at the front of their own, which is then appended to.
func (sh *shard) compact(id uint32, stay []found, now uint32) {
	s := &sh.segs[id]
	sh.dead -= int64(s.used - s.live)
	to := sh.head[mainQueue]
	if to == id {
		to = 0
	}
	for to != 0 && len(stay) > 0 {
		t := &sh.segs[to]
		f := stay[0]
		if t.used+f.n > len(t.buf) {
			break
		}
		sh.move(f, id, to, t.used)
		t.used += f.n
		t.live += f.n
		stay = stay[1:]
	}
	if len(stay) == 0 {
		s.used, s.live, s.expiring = 0, 0, 0
		if sh.head[s.queue] != id {
			sh.freeSegment(id)
		}
		return
	}
	s.used, s.live, s.expiring = 0, 0, 0
	for _, f := range stay {
		sh.move(f, id, id, s.used)
		s.used += f.n
		s.live += f.n
	}
	if s.queue != mainQueue {
		if sh.head[s.queue] == id {
			sh.head[s.queue] = 0
		}
		sh.queueHeld[s.queue] -= int64(cap(s.buf))
		sh.queueHeld[mainQueue] += int64(cap(s.buf))
	}
	if to != 0 {
		sh.seal(to, now)
	}
	sh.unlink(id)
	sh.pushFront(id, mainQueue)
	sh.head[mainQueue] = id
	s.wake = never
}

// move copies a record and tells the index. Within one segment it moves towards the
// front, where everything has been moved already.
func (sh *shard) move(f found, from, to uint32, off int) {
	src, dst := sh.segs[from].buf[f.off:f.off+f.n], sh.segs[to].buf[off:]
	if record(src).expiry() != 0 {
		sh.segs[to].expiring += f.n
	}
	if from == to && f.off == off {
		return
	}
	copy(dst, src)
	sh.index.replace(f.hash, sh.addr(from, f.off), sh.addr(to, off))
}
