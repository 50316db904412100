// Package trace reads recorded cache requests: `*.keys` files (one key number a
// line), Twitter's CSV (Yang, Yue, Rashmi, OSDI '20), and what memcached prints for `lru_crawler metadump all`,
// `watch fetchers` and `watch mutations`; plain, gzip or zstd. A
// reader returns one record at a time; Load holds a whole trace in compact form, so
// that a replay measures the cache and not the parsing. Every error about content
// says the file and the line.
package trace

import "fmt"

// Op is what a request of the trace did.
type Op uint8

// The operations of Twitter's traces. *.keys files have Get only.
const (
	Get Op = iota
	Gets
	Set
	Add
	Replace
	CAS
	Append
	Prepend
	Delete
	Incr
	Decr
	ops // how many there are
)

var names = [ops]string{"get", "gets", "set", "add", "replace", "cas", "append", "prepend", "delete", "incr", "decr"}

func (o Op) String() string {
	if o < ops {
		return names[o]
	}
	return fmt.Sprintf("op %d", uint8(o))
}

func parseOp(s string) (Op, bool) {
	for i, n := range names {
		if s == n {
			return Op(i), true
		}
	}
	return 0, false
}

// Record is one request.
type Record struct {
	Time      uint32 // in seconds; 0 in *.keys files
	Micros    uint32 // microseconds beyond Time, where the trace has them
	Key       string
	ValueSize uint32 // bytes; 0 where the trace does not know it
	Client    uint32
	Op        Op
	TTL       uint32 // seconds; 0 on reads and for no expiry
}
