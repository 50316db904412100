package ring

import (
	"encoding/binary"

	"github.com/cespare/xxhash/v2"
)

// placementVersion would change together with the meaning of the table: the key
// hash and how it selects a slot; circleVersion with that of ketama's circle.
const (
	placementVersion = "memherd ring 1"
	circleVersion    = "memherd circle 1"
)

// fingerprint hashes the compiled placement itself, so that it can't miss an
// influence on it: the names of the nodes that take keys, the table of indexes
// into them, the places of ketama's points, and what encloses a key's tag. All integers are
// little-endian. A part that most rings lack comes last and adds nothing where it is absent.
func fingerprint(p *plan, o *circle) uint64 {
	table, places := o.table, o.places
	buf := make([]byte, 0, 8192)
	d := xxhash.New()
	if places == nil {
		buf = append(buf, placementVersion...)
	} else {
		buf = append(buf, circleVersion...)
		buf = binary.LittleEndian.AppendUint64(buf, uint64(len(places)))
	}
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
		buf = appendIndexes(buf, table[:n])
		table = table[n:]
	}
	for _, at := range places {
		if len(buf)+4 > cap(buf) {
			d.Write(buf)
			buf = buf[:0]
		}
		buf = binary.LittleEndian.AppendUint32(buf, at)
	}
	d.Write(buf)
	if p.tag.on() {
		d.Write([]byte{p.tag.open, p.tag.close})
	}
	return d.Sum64()
}

// appendIndexes reads a table that nobody writes any more (compile.go).
//
//go:norace
func appendIndexes(buf []byte, table []uint16) []byte {
	for _, v := range table {
		buf = binary.LittleEndian.AppendUint16(buf, v)
	}
	return buf
}
