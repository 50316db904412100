package trace

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
)

// parseKey reads a line of a *.keys file: the number of the key.
func parseKey(line []byte) (Record, error) {
	if len(line) == 0 || len(line) > 20 {
		return Record{}, fmt.Errorf("want the number of a key, have %s", quote(line))
	}
	for _, c := range line {
		if c < '0' || c > '9' {
			return Record{}, fmt.Errorf("want the number of a key, have %s", quote(line))
		}
	}
	return Record{Key: string(line)}, nil
}

// twitter reads `timestamp,key,key size,value size,client id,operation,TTL`.
type twitter struct {
	clients map[string]uint32 // client ids that are no numbers, by first appearance
}

func newTwitter() *twitter { return &twitter{clients: map[string]uint32{}} }

func (t *twitter) parse(line []byte) (Record, error) {
	// A key may hold commas itself, so the fields are counted from both ends.
	first := bytes.IndexByte(line, ',')
	var tail [5][]byte
	rest := line
	for i := len(tail) - 1; i >= 0; i-- {
		c := bytes.LastIndexByte(rest, ',')
		if c <= first {
			return Record{}, fmt.Errorf("want 7 fields (timestamp,key,key size,value size,client id,operation,TTL), have %d", bytes.Count(line, []byte(","))+1)
		}
		tail[i], rest = rest[c+1:], rest[:c]
	}
	rec := Record{Key: string(rest[first+1:])}
	var err error
	if rec.Time, err = number("timestamp", line[:first]); err != nil {
		return Record{}, err
	}
	if err := checkKey(rec.Key); err != nil {
		return Record{}, err
	}
	if _, err = number("key size", tail[0]); err != nil {
		return Record{}, err
	}
	if rec.ValueSize, err = number("value size", tail[1]); err != nil {
		return Record{}, err
	}
	if rec.ValueSize > MaxValue {
		return Record{}, fmt.Errorf("value size %d: more than %d, the largest item of a memcached", rec.ValueSize, MaxValue)
	}
	rec.Client = t.client(tail[2])
	op, ok := parseOp(string(tail[3]))
	if !ok {
		return Record{}, fmt.Errorf("unknown operation %s: want get gets set add replace cas append prepend delete incr or decr", quote(tail[3]))
	}
	rec.Op = op
	if rec.TTL, err = number("TTL", tail[4]); err != nil {
		return Record{}, err
	}
	return rec, nil
}

func (t *twitter) client(b []byte) uint32 {
	if n, err := strconv.ParseUint(string(b), 10, 32); err == nil {
		return uint32(n)
	}
	n, ok := t.clients[string(b)]
	if !ok {
		n = math.MaxUint32 - uint32(len(t.clients))
		t.clients[string(b)] = n
	}
	return n
}

func number(what string, b []byte) (uint32, error) {
	n, err := strconv.ParseUint(string(b), 10, 32)
	if err != nil {
		return 0, fmt.Errorf("%s: want a whole number up to %d, have %s", what, uint32(math.MaxUint32), quote(b))
	}
	return uint32(n), nil
}

// checkKey holds a key to what memcached takes; the replay adds a prefix, whose
// room is left.
func checkKey(key string) error {
	if len(key) == 0 {
		return errors.New("the key is empty")
	}
	if len(key) > MaxKey {
		return fmt.Errorf("the key has %d bytes, more than %d", len(key), MaxKey)
	}
	for i := range len(key) {
		if key[i] <= ' ' || key[i] == 0x7f {
			return errors.New("the key holds a space or control character, which memcached does not take")
		}
	}
	return nil
}

// MaxValue is the largest value a trace may have, in bytes: memcached's default -I. A
// replay makes every value, and a damaged line must not ask for gigabytes.
const MaxValue = 1 << 20

// MaxKey is the longest key a trace may have: memcached's 250 bytes.
const MaxKey = 250
