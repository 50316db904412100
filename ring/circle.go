package ring

import "math/bits"

// circle is a compiled ketama ring. Slots would be faster to look up but are not exact: a
// slot's keys have one list, whereas a point may stand anywhere.
type circle struct {
	// places are the points' places in order, ended by a sentinel at the highest place, so
	// that a search always finds something. The sentinel stands for the first point:
	// that is where the circle closes.
	places []uint32

	// buckets cut the circle into equal parts, about as many as there are points: the
	// index of the first point in or after each. A search takes one or two steps from there.
	buckets []uint32
	shift   uint8 // a key's bucket is its hash shifted right by so many bits

	table []uint16 // lists of copies node indexes, one a place
}

// compileCircle lists the nodes that follow each point of c, which is a ketama ring.
func compileCircle(c *classic) circle {
	n := len(c.points)
	bucketBits := bits.Len(uint(n))
	o := circle{
		places:  make([]uint32, n+1),
		buckets: make([]uint32, 1<<bucketBits),
		shift:   uint8(64 - bucketBits),
		table:   make([]uint16, (n+1)*c.copies),
	}
	next := 0 // the first bucket without an index
	for i, p := range c.points {
		o.places[i] = uint32(p.hash >> 32)
		for ; next <= int(p.hash>>o.shift); next++ {
			o.buckets[next] = uint32(i)
		}
	}
	o.places[n] = ^uint32(0)
	for ; next < len(o.buckets); next++ {
		o.buckets[next] = uint32(n)
	}
	w := c.walkFrom(0)
	list := func(i int) []uint16 { return o.table[i*c.copies : (i+1)*c.copies] }
	for i := n - 1; i >= 0; i-- {
		w.meet(c.points[i].node)
		w.list(list(i))
	}
	copy(list(n), list(0))
	return o
}

// shares adds to owned, by node, how many of the circle's 2^32 places each owns.
func (o *circle) shares(owned []int64, copies int) {
	prev := int64(-1)
	for i, at := range o.places { // the sentinel closes the circle
		owned[o.table[i*copies]] += int64(at) - prev
		prev = int64(at)
	}
}
