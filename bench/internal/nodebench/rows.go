// Package nodebench compares servers: what one machine's worth of connections gets out of
// a node and out of memcached, in turns within one run.
package nodebench

import (
	"fmt"
	"math/rand/v2"
	"strconv"
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

func key(n int) string { return string(appendKey(nil, n)) }

// appendKey appends the name of key n. With fmt the batches took longer to make than to measure.
func appendKey(dst []byte, n int) []byte {
	dst = append(dst, "key:00000000"...)
	for i := len(dst) - 1; n > 0; i-- {
		dst[i] += byte(n % 10)
		n /= 10
	}
	return dst
}

// appendGet appends a classic get of key n.
func appendGet(dst []byte, n int) []byte {
	return append(appendKey(append(dst, "get "...), n), "\r\n"...)
}

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
	return appendGet(dst, k), 1, hitBytes + len("END\r\n")
}

func gets(dst []byte, rng *rand.Rand) ([]byte, int, int) {
	for range depth {
		dst = appendGet(dst, rng.IntN(keys))
	}
	return dst, depth, depth * (hitBytes + len("END\r\n"))
}

// metaGets is what memherd's client sends. The opaque has four digits always.
func metaGets(dst []byte, rng *rand.Rand) ([]byte, int, int) {
	for i := range metaDepth {
		dst = appendKey(append(dst, "mg "...), rng.IntN(keys))
		dst = append(strconv.AppendInt(append(dst, " v f O"...), int64(1000+i), 10), "\r\n"...)
	}
	return dst, metaDepth, metaDepth * metaBytes
}

func multiGet(dst []byte, rng *rand.Rand) ([]byte, int, int) {
	dst = append(dst, "get"...)
	for range multi {
		dst = appendKey(append(dst, ' '), rng.IntN(keys))
	}
	return append(dst, "\r\n"...), multi, multi*hitBytes + len("END\r\n")
}
