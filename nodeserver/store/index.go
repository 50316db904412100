package store

import "math/bits"

// index finds records by the hash of their keys: linear hashing (Litwin, "Linear
// hashing: a new tool for file and table addressing", 1980) over buckets of one cache
// line. It grows by one bucket at a time, so that no insertion ever waits for a whole
// table to be moved, and so that it is never much larger than it has to be.
//
// An entry is 6 bytes: a tag of the hash, which spares a look at most records with
// another key, and the record's address, 0 for none. Entries of a bucket stand without
// gaps, in the bucket itself and then in its overflow buckets.
type index struct {
	chunks [][]bucket // bucket i is chunks[i/chunkBuckets][i%chunkBuckets]
	n      uint32     // buckets in use
	over   [][]bucket // overflow buckets, by number - 1
	nOver  uint32     // overflow buckets ever used
	free   uint32     // list of those not in use now, 0 for none
	items  int
}

const (
	slots = 10
	// chunkBuckets is how many buckets are allocated at a time.
	chunkBuckets = 256
	bucketBytes  = 64
	chunkBytes   = chunkBuckets * bucketBytes
	// firstBuckets is what an index begins with.
	firstBuckets = 4
	// fill is the mean number of entries in a bucket above which one is split. With more
	// the overflow buckets eat what is saved: BenchmarkBytesPerItem shows 12.0 bytes an
	// entry at 6, 10.9 at 7, 10.0 at 8 and 9.9 at 10.
	fill = 8
)

type bucket struct {
	tags  [slots]uint16
	addrs [slots]uint32
	next  uint32 // overflow bucket, 0 for none
}

func tagOf(h uint64) uint16 { return uint16(h >> 40) }

// held is the memory of the index in bytes.
func (x *index) held() int64 {
	n := 0
	for _, list := range [2][][]bucket{x.chunks, x.over} {
		if len(list) > 0 {
			n += len(list[0]) + (len(list)-1)*chunkBuckets
		}
	}
	return int64(n) * bucketBytes
}

// extend makes room for bucket number i in list. The first chunk starts small and
// doubles, so that a store with few items is small.
func extend(list [][]bucket, i uint32) [][]bucket {
	c := int(i / chunkBuckets)
	switch {
	case c == len(list) && c == 0:
		return append(list, make([]bucket, firstBuckets))
	case c == len(list):
		return append(list, make([]bucket, chunkBuckets))
	case int(i%chunkBuckets) >= len(list[c]):
		bigger := make([]bucket, 2*len(list[c]))
		copy(bigger, list[c])
		list[c] = bigger
	}
	return list
}

func (x *index) at(i uint32) *bucket { return &x.chunks[i/chunkBuckets][i%chunkBuckets] }

func (x *index) overflow(next uint32) *bucket {
	return &x.over[(next-1)/chunkBuckets][(next-1)%chunkBuckets]
}

// number is the bucket of a hash.
func (x *index) number(h uint64) uint32 {
	mask := uint32(1)<<bits.Len32(x.n-1) - 1
	i := uint32(h) & mask
	if i >= x.n {
		i &= mask >> 1
	}
	return i
}

func (x *index) home(h uint64) *bucket { return x.at(x.number(h)) }

// insert adds an entry. The caller has seen that none for the key is there.
func (x *index) insert(h uint64, addr uint32) {
	if x.n == 0 {
		x.chunks = extend(x.chunks, 0)
		x.n = 1
	}
	x.add(x.home(h), tagOf(h), addr)
	x.items++
}

func (x *index) add(b *bucket, tag uint16, addr uint32) {
	for {
		for i := range b.addrs {
			if b.addrs[i] == 0 {
				b.tags[i], b.addrs[i] = tag, addr
				return
			}
		}
		if b.next == 0 {
			b = x.chain(b)
		} else {
			b = x.overflow(b.next)
		}
	}
}

// chain hangs an empty overflow bucket behind b and returns it.
func (x *index) chain(b *bucket) *bucket {
	next := x.free
	if next != 0 {
		x.free = x.overflow(next).next
	} else {
		x.nOver++
		next = x.nOver
		// extend may copy the chunk b is in: what is written to b comes before.
		b.next = next
		x.over = extend(x.over, next-1)
	}
	b.next = next
	o := x.overflow(next)
	*o = bucket{}
	return o
}

// replace points the entry of a record that has moved to its new address.
func (x *index) replace(h uint64, from, to uint32) {
	for b := x.home(h); ; b = x.overflow(b.next) {
		for i := range b.addrs {
			if b.addrs[i] == from {
				b.addrs[i] = to
				return
			}
		}
	}
}

// remove takes an entry out; the last one of the chain fills its place.
func (x *index) remove(h uint64, addr uint32) {
	b := x.home(h)
	var hole *bucket
	hi := 0
	var before *bucket
	for {
		for i := range b.addrs {
			if b.addrs[i] == addr {
				hole, hi = b, i
			}
		}
		if b.next == 0 {
			break
		}
		before, b = b, x.overflow(b.next)
	}
	last := slots - 1
	for b.addrs[last] == 0 {
		last--
	}
	hole.tags[hi], hole.addrs[hi] = b.tags[last], b.addrs[last]
	b.addrs[last] = 0
	if last == 0 && before != nil {
		x.release(before.next)
		before.next = 0
	}
	x.items--
}

func (x *index) release(next uint32) {
	o := x.overflow(next)
	o.next = x.free
	x.free = next
}

// growth is how much memory grow takes.
func (x *index) growth() int64 {
	if len(x.chunks) == 0 {
		return 0
	}
	have := len(x.chunks[0]) + (len(x.chunks)-1)*chunkBuckets
	n := have
	for n <= x.items/fill {
		n += min(n, chunkBuckets)
	}
	return int64(n-have) * bucketBytes
}

// grow splits buckets until one more entry fits the filling. hash tells the hash of a
// record's key.
func (x *index) grow(hash func(addr uint32) uint64) {
	for x.n > 0 && x.items >= int(x.n)*fill {
		x.chunks = extend(x.chunks, x.n)
		from := x.n &^ (1 << (bits.Len32(x.n) - 1)) // n without its highest bit
		x.n++
		b := x.at(from)
		all := *b
		*b = bucket{}
		for {
			for i, addr := range all.addrs {
				if addr != 0 {
					x.add(x.home(hash(addr)), all.tags[i], addr)
				}
			}
			if all.next == 0 {
				break
			}
			next := all.next
			all = *x.overflow(next)
			x.release(next)
		}
	}
}
