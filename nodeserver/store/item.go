package store

// Bits are an item's marks.
type Bits uint8

// The marks of memcached's meta protocol.
const (
	// Stale: md I or a late ms I marked the value as old (reply flag X).
	Stale Bits = 1 << iota
	// Won: somebody was told to recache the item (reply flags W, then Z).
	Won
	// Fetched: the item has been read since it was stored (flag h).
	Fetched
	// BinaryKey: the key came in base64 and is shown in base64.
	BinaryKey
)

// Meta is an item without its key and value.
type Meta struct {
	// CAS is the item's version.
	CAS uint64
	// ClientFlags belong to the client.
	ClientFlags uint32
	// Expiry is the second of the node's clock at which the item is gone; 0 is never.
	Expiry uint32
	// Access is the second of the node's clock of the last store or read.
	Access uint32
	// Bits are the marks.
	Bits Bits
}

// headerBytes is what one item costs besides key, value and client flags: what
// memcached counts for its item header, CAS, and the terminators of key and value.
const headerBytes = 48 + 8 + 1 + 2

// Size is what an item counts against the byte limits: exactly what memcached
// counts, so that -m and -I mean the same here.
func Size(keyLen int, clientFlags uint32, valueLen int) int {
	n := headerBytes + keyLen + valueLen
	if clientFlags != 0 {
		n += 4
	}
	return n
}

// item is one entry of a shard's map and of its LRU list.
type item struct {
	Meta
	key        string
	value      []byte
	prev, next *item
}

func (it *item) size() int { return Size(len(it.key), it.ClientFlags, len(it.value)) }
