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

// headerBytes is what memcached counts for one item besides key, value and client
// flags: its item header, CAS, and the terminators of key and value.
const headerBytes = 48 + 8 + 1 + 2

// Size is what an item counts in stats and against the bound on one item: exactly what
// memcached counts, so that -I and the statistics mean the same here. The memory it
// takes is about 30 bytes less.
func Size(keyLen int, clientFlags uint32, valueLen int) int {
	return headerBytes + keyLen + valueLen + flagBytes(clientFlags)
}
