package ring

import (
	"crypto/md5"
	"encoding/binary"
	"math"
	"slices"
	"strconv"
	"unsafe"
)

// Ketama is an agreement with clients in other languages: everything in this file is as
// libmemcached and libketama have it, to the bit, and for no other reason. A node has
// points on a circle of 32 bits, four from each MD5 of "label-0", "label-1" and so on; a key
// stands at the first four bytes of its own MD5 and belongs to the first point at or
// after that.

// ketamaPerHash is how many points one MD5 makes.
const ketamaPerHash = 4

// ketamaLabel is what a node is called on the circle. Neither library puts brackets around
// an IPv6 address.
func ketamaLabel(name string, pl Placement) string {
	addr, err := parseAddr(name)
	switch {
	case err != nil || addr.path != "":
		return name
	case pl == Ketama && addr.port == DefaultPort:
		return addr.host
	}
	return addr.host + ":" + strconv.Itoa(addr.port)
}

// ketamaCount returns the number of points a node of the given weight has among nodes that
// weigh total. It is 160 on the average of all nodes, in theory: both libraries compute it
// in floating point, each in its own way, and 25 equal nodes, for one, have 156 points each
// with libmemcached. Every step is converted on its own, lest the compiler fuse two of them into
// one that rounds once.
func ketamaCount(pl Placement, weight, total int64, nodes int) int {
	part := float32(float32(weight) / float32(total))
	var hashes float32
	if pl == Ketama {
		x := float32(part * 160)
		x = float32(x / ketamaPerHash)
		x = float32(x * float32(nodes))
		hashes = float32(float64(x) + 0.0000000001)
	} else {
		x := float64(float64(part) * 40)
		x = float64(x * float64(float32(nodes)))
		hashes = float32(x)
	}
	return int(math.Floor(float64(hashes))) * ketamaPerHash
}

// ketamaPlace is where a key stands on the circle.
func ketamaPlace(key string) uint32 {
	// md5.Sum reads its argument and keeps nothing of it, but the compiler can't see that
	// and would copy a long key to the heap.
	sum := md5.Sum(unsafe.Slice(unsafe.StringData(key), len(key)))
	return binary.LittleEndian.Uint32(sum[:])
}

// newKetama puts the nodes' points on the circle. The places are in the upper halves of the
// points' hashes.
func newKetama(p *plan) *classic {
	c := &classic{copies: p.copies, zoneOf: make([]int, len(p.active))}
	zoneNumber := make(map[string]int)
	for i := range p.active {
		n := p.node(i)
		if p.points[i] == 0 {
			continue // no list has it, so its zone must not be waited for
		}
		z, ok := zoneNumber[n.Zone]
		if !ok {
			z = len(zoneNumber)
			zoneNumber[n.Zone] = z
		}
		c.zoneOf[i] = z
		label := append([]byte(ketamaLabel(n.Name, p.placement)), '-')
		for v := range p.points[i] / ketamaPerHash {
			sum := md5.Sum(strconv.AppendInt(label, int64(v), 10))
			for part := range slices.Chunk(sum[:], 4) {
				c.points = append(c.points, point{hash: uint64(binary.LittleEndian.Uint32(part)) << 32, node: uint16(i)})
			}
		}
	}
	c.zones = len(zoneNumber)
	c.sort()
	return c
}
