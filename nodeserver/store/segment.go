package store

import "math"

// segment is a piece of memory that records are appended to. A large record has one of
// its own. Segments of a queue form a list: the front is the newest, the back is where
// room is made.
type segment struct {
	buf  []byte
	used int // bytes appended; records stand without gaps
	live int // bytes of records that are not dead
	// sealed is the stamp of the moment since when nothing is appended any more.
	sealed stamp
	// expiring is how many bytes were appended that have an expiry.
	expiring int
	// wake is the second from which on looking for expired records pays.
	wake       uint32
	prev, next uint32
	queue      queue
	large      bool
}

const never = math.MaxUint32

// queue is one of the lists of segments. Only the policy S3FIFO has two.
type queue uint8

const (
	mainQueue queue = iota
	smallQueue
	numQueues
)

// Segment numbers below firstSegment are the sentinels of the lists.
const firstSegment = uint32(numQueues)

func (sh *shard) pushFront(id uint32, q queue) {
	s := &sh.segs[id]
	s.queue, s.prev, s.next = q, uint32(q), sh.segs[q].next
	sh.segs[s.next].prev = id
	sh.segs[q].next = id
}

func (sh *shard) unlink(id uint32) {
	s := &sh.segs[id]
	sh.segs[s.prev].next, sh.segs[s.next].prev = s.next, s.prev
}

// toFront makes id the newest of q.
func (sh *shard) toFront(id uint32, q queue) {
	if sh.segs[q].next != id {
		sh.unlink(id)
		sh.pushFront(id, q)
	}
}

// newSegment puts buf to work as the newest segment of q; 0 when there are as many as
// addresses can name.
func (sh *shard) newSegment(buf []byte, q queue, large bool) uint32 {
	var id uint32
	if n := len(sh.freeSegs); n > 0 {
		id = sh.freeSegs[n-1]
		sh.freeSegs = sh.freeSegs[:n-1]
	} else {
		id = uint32(len(sh.segs))
		if uint64(id) > math.MaxUint32>>sh.offBits {
			return 0
		}
		sh.segs = append(sh.segs, segment{})
	}
	sh.segs[id] = segment{buf: buf, large: large, wake: never}
	sh.held += int64(cap(buf))
	sh.queueHeld[q] += int64(cap(buf))
	sh.pushFront(id, q)
	return id
}

// freeSegment gives up a segment without live records.
func (sh *shard) freeSegment(id uint32) {
	s := &sh.segs[id]
	sh.unlink(id)
	if sh.head[s.queue] == id {
		sh.head[s.queue] = 0
	}
	sh.held -= int64(cap(s.buf))
	sh.queueHeld[s.queue] -= int64(cap(s.buf))
	if !s.large {
		sh.dead -= int64(s.used - s.live)
		if len(s.buf) == sh.segBytes {
			sh.spare = s.buf
		}
	}
	*s = segment{}
	sh.freeSegs = append(sh.freeSegs, id)
}

// record is the one at an address.
func (sh *shard) record(addr uint32) record {
	s := &sh.segs[addr>>sh.offBits]
	return record(s.buf[int(addr&sh.offMask)*recordAlign:])
}

func (sh *shard) addr(id uint32, off int) uint32 { return id<<sh.offBits | uint32(off/recordAlign) }

// take appends room for n bytes to segment id, which has it.
func (sh *shard) take(id uint32, n int) uint32 {
	s := &sh.segs[id]
	addr := sh.addr(id, s.used)
	s.used += n
	s.live += n
	return addr
}

// alloc returns the address of n new bytes in queue q; false when the store is full
// and may not evict. It may move and evict any record.
func (sh *shard) alloc(q queue, n int, now uint32) (uint32, bool) {
	if n >= sh.largeBytes {
		return sh.allocLarge(q, n, now)
	}
	for tries := 0; ; tries++ {
		if id := sh.head[q]; id != 0 {
			s := &sh.segs[id]
			if s.used+n <= len(s.buf) || sh.enlarge(s, n) {
				return sh.take(id, n), true
			}
		}
		if sh.held+int64(sh.segBytes) <= sh.maxBytes {
			if sh.open(q, now) {
				continue
			}
		}
		if !sh.recycle(now, tries) {
			return 0, false
		}
	}
}

// open starts a new segment in q.
func (sh *shard) open(q queue, now uint32) bool {
	buf := sh.spare
	sh.spare = nil
	if buf == nil {
		n := sh.segBytes
		if len(sh.segs)-len(sh.freeSegs) < int(numQueues)+1 {
			n = min(n, leastSegment) // grows with what is stored: see enlarge
		}
		buf = make([]byte, n)
	}
	id := sh.newSegment(buf, q, false)
	if id == 0 {
		return false
	}
	if sh.head[q] != 0 {
		sh.seal(sh.head[q], now)
	}
	sh.head[q] = id
	return true
}

// enlarge grows a segment that started small until n more bytes fit.
func (sh *shard) enlarge(s *segment, n int) bool {
	size := len(s.buf)
	for size < s.used+n && size < sh.segBytes {
		size *= 2
	}
	more := int64(size - len(s.buf))
	if size < s.used+n || sh.held+more > sh.maxBytes {
		return false
	}
	bigger := make([]byte, size)
	copy(bigger, s.buf[:s.used])
	s.buf = bigger
	sh.held += more
	sh.queueHeld[s.queue] += more
	return true
}

// allocLarge gives a record a segment of its own.
func (sh *shard) allocLarge(q queue, n int, now uint32) (uint32, bool) {
	// append tells how much memory the allocator really gives for n bytes.
	buf := append([]byte(nil), make([]byte, n)...)
	for tries := 0; ; tries++ {
		if sh.held+int64(cap(buf)) <= sh.maxBytes {
			sh.spare = nil // it is not counted, and the room it took is taken now
			if id := sh.newSegment(buf, q, true); id != 0 {
				return sh.take(id, n), true
			}
		}
		if !sh.recycle(now, tries) {
			return 0, false
		}
	}
}
