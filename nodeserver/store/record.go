package store

import "encoding/binary"

// A record is an item as it lies in a segment: a header of 24 bytes, the client flags
// if they are not 0, the key, the value, and up to 7 bytes so that the next record
// starts at a multiple of 8. It holds no pointer, and neither does a segment, so that
// the garbage collector never looks at items.
//
//	0  CAS             8 bytes
//	8  expiry          4
//	12 last access     4
//	16 value's length  4
//	20 rank            2   what the eviction policy remembers: see policy.go
//	22 key's length    1
//	23 bits            1   Bits, and those below
type record []byte

const (
	offExpiry   = 8
	offAccess   = 12
	offValueLen = 16
	offRank     = 20
	offKeyLen   = 22
	offBits     = 23
	recordHead  = 24
	recordAlign = 8
	// maxKeyLen is what fits into the key's length.
	maxKeyLen = 255
)

// Bits of a record that are none of an item's.
const (
	publicBits = Stale | Won | Fetched | BinaryKey
	// withFlags: four bytes of client flags stand before the key.
	withFlags Bits = 1 << 4
	// deadBit: no entry of the index leads here any more.
	deadBit Bits = 1 << 5
)

var le = binary.LittleEndian

func flagBytes(clientFlags uint32) int {
	if clientFlags == 0 {
		return 0
	}
	return 4
}

// recordBytes is how many bytes of a segment an item takes.
func recordBytes(keyLen int, clientFlags uint32, valueLen int) int {
	n := recordHead + flagBytes(clientFlags) + keyLen + valueLen
	return (n + recordAlign - 1) &^ (recordAlign - 1)
}

func (r record) cas() uint64    { return le.Uint64(r) }
func (r record) expiry() uint32 { return le.Uint32(r[offExpiry:]) }
func (r record) access() uint32 { return le.Uint32(r[offAccess:]) }
func (r record) valueLen() int  { return int(le.Uint32(r[offValueLen:])) }
func (r record) rank() uint16   { return le.Uint16(r[offRank:]) }
func (r record) bits() Bits     { return Bits(r[offBits]) }
func (r record) dead() bool     { return r.bits()&deadBit != 0 }

func (r record) setRank(rank uint16) { le.PutUint16(r[offRank:], rank) }

// keyAt is where the key begins.
func (r record) keyAt() int {
	if r.bits()&withFlags != 0 {
		return recordHead + 4
	}
	return recordHead
}

func (r record) key() []byte {
	at := r.keyAt()
	return r[at : at+int(r[offKeyLen])]
}

func (r record) value() []byte {
	at := r.keyAt() + int(r[offKeyLen])
	return r[at : at+r.valueLen()]
}

// bytes is how many bytes of its segment the record takes.
func (r record) bytes() int {
	n := r.keyAt() + int(r[offKeyLen]) + r.valueLen()
	return (n + recordAlign - 1) &^ (recordAlign - 1)
}

// size is what the item counts: see Size.
func (r record) size() int {
	return headerBytes + r.keyAt() - recordHead + int(r[offKeyLen]) + r.valueLen()
}

// meta reads the item's meta data.
func (r record) meta() Meta {
	m := Meta{CAS: r.cas(), Expiry: r.expiry(), Access: r.access(), Bits: r.bits() & publicBits}
	if r.bits()&withFlags != 0 {
		m.ClientFlags = le.Uint32(r[recordHead:])
	}
	return m
}

// setMeta writes what of the meta data may change in place: all but the client flags.
func (r record) setMeta(m *Meta) {
	le.PutUint64(r, m.CAS)
	le.PutUint32(r[offExpiry:], m.Expiry)
	le.PutUint32(r[offAccess:], m.Access)
	r[offBits] = byte(r.bits()&^publicBits | m.Bits&publicBits)
}

// write fills the record; a, b and c together are the value.
func (r record) write(m *Meta, rank uint16, key, a, b, c []byte) {
	var bits Bits
	at := recordHead
	if m.ClientFlags != 0 {
		bits = withFlags
		le.PutUint32(r[at:], m.ClientFlags)
		at += 4
	}
	r[offBits] = byte(bits)
	r[offKeyLen] = byte(len(key))
	le.PutUint32(r[offValueLen:], uint32(len(a)+len(b)+len(c)))
	r.setRank(rank)
	r.setMeta(m)
	at += copy(r[at:], key)
	at += copy(r[at:], a)
	at += copy(r[at:], b)
	copy(r[at:], c)
}
