package ring

import (
	"encoding/binary"

	"github.com/cespare/xxhash/v2"
)

// placementVersion would change together with the meaning of the table: the key
// hash and how it selects a slot.
const placementVersion = "memherd ring 1"

// fingerprint hashes the compiled placement itself, so that it can't miss an
// influence on it: the names of the nodes that take keys and the table of indexes
// into them. All integers are little-endian.
func fingerprint(p *plan, table []uint16) uint64 {
	buf := make([]byte, 0, 8192)
	d := xxhash.New()
	buf = append(buf, placementVersion...)
	buf = binary.LittleEndian.AppendUint64(buf, uint64(p.copies))
	buf = binary.LittleEndian.AppendUint64(buf, uint64(len(p.active)))
	for i := range p.active {
		name := p.node(i).Name
		if len(buf)+8+len(name) > cap(buf) {
			d.Write(buf) // a Digest never fails
			buf = buf[:0]
		}
		buf = binary.LittleEndian.AppendUint64(buf, uint64(len(name)))
		buf = append(buf, name...)
	}
	for len(table) > 0 {
		if len(buf)+2 > cap(buf) {
			d.Write(buf)
			buf = buf[:0]
		}
		n := min(len(table), (cap(buf)-len(buf))/2)
		for _, v := range table[:n] {
			buf = binary.LittleEndian.AppendUint16(buf, v)
		}
		table = table[n:]
	}
	d.Write(buf)
	return d.Sum64()
}
