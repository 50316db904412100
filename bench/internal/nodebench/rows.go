// Package nodebench compares servers: what one machine's worth of connections gets out of
// a node and out of memcached, in turns within one run.
package nodebench

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// Row is one way to load a server.
type Row struct {
	Name  string
	Conns int
	// batch appends one batch of requests and returns how many operations it is and how
	// long the replies are.
	batch func(dst []byte, rng *rand.Rand) (req []byte, ops, replyBytes int)
	// Floor and Aim are what the ratio to memcached is held against.
	Floor, Aim float64
}

// What every row reads and writes: so many keys, values of so many bytes.
const (
	keys      = 100_000
	valueSize = 100
	depth     = 32
	metaDepth = 64
	multi     = 50
)

func key(n int) string { return fmt.Sprintf("key:%08d", n) }

var (
	value     = strings.Repeat("v", valueSize)
	hitBytes  = len("VALUE "+key(0)+" 0 100\r\n") + valueSize + len("\r\n")
	metaBytes = len("VA 100 f0 O1234") + valueSize + 2*len("\r\n")
)

// Rows are the rows of the table.
func Rows() []Row {
	return []Row{
		{Name: "50 connections, 90 % get, 10 % set", Conns: 50, Floor: 1.0, Aim: 1.1, batch: mixed},
		{Name: "50 connections, get, 32 deep", Conns: 50, Floor: 1.5, Aim: 2.5, batch: gets},
		{Name: "2 connections, mg, 64 deep", Conns: 2, Floor: 1.0, Aim: 1.5, batch: metaGets},
		{Name: "50 connections, get of 50 keys", Conns: 50, Floor: 1.0, Aim: 1.3, batch: multiGet},
	}
}

func mixed(dst []byte, rng *rand.Rand) ([]byte, int, int) {
	k := rng.IntN(keys)
	if rng.IntN(10) == 0 {
		return fmt.Appendf(dst, "set %s 0 0 %d\r\n%s\r\n", key(k), valueSize, value), 1, len("STORED\r\n")
	}
	return fmt.Appendf(dst, "get %s\r\n", key(k)), 1, hitBytes + len("END\r\n")
}

func gets(dst []byte, rng *rand.Rand) ([]byte, int, int) {
	for range depth {
		dst = fmt.Appendf(dst, "get %s\r\n", key(rng.IntN(keys)))
	}
	return dst, depth, depth * (hitBytes + len("END\r\n"))
}

// metaGets is what memherd's client sends. The opaque has four digits always.
func metaGets(dst []byte, rng *rand.Rand) ([]byte, int, int) {
	for i := range metaDepth {
		dst = fmt.Appendf(dst, "mg %s v f O%d\r\n", key(rng.IntN(keys)), 1000+i)
	}
	return dst, metaDepth, metaDepth * metaBytes
}

func multiGet(dst []byte, rng *rand.Rand) ([]byte, int, int) {
	dst = append(dst, "get"...)
	for range multi {
		dst = append(append(dst, ' '), key(rng.IntN(keys))...)
	}
	return append(dst, "\r\n"...), multi, multi*hitBytes + len("END\r\n")
}
