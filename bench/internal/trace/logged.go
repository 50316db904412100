package trace

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"net/url"
	"strconv"
	"strings"
)

// What memcached itself tells of its keys, in lines of name=value: `lru_crawler metadump all`, an item a line, and
// `watch fetchers` or `watch mutations`, a request a line. Keys are URL-encoded there. To fetchers a server shows its own
// look at a key before it stores it, too: who records both has a read in front of every write.

// isLogged says whether the first line of a trace is one of memcached's own: an item, an event, or the OK to a watcher.
func isLogged(line []byte) bool {
	return bytes.HasPrefix(line, []byte("key=")) || bytes.HasPrefix(line, []byte("ts=")) || string(line) == "OK"
}

// chatter is what memcached says around the lines that count: a watcher's OK, the end of a dump, how many events were
// left out, and what begins and ends a connection.
func chatter(line []byte) bool {
	switch {
	case len(line) == 0, string(line) == "OK", string(line) == "END", bytes.HasPrefix(line, []byte("skipped=")):
		return true
	}
	return bytes.HasPrefix(line, []byte("ts=")) && (bytes.Contains(line, []byte(" type=conn_")) || bytes.Contains(line, []byte(" type=eviction ")) ||
		bytes.Contains(line, []byte(" type=deleted ")))
}

// itemOverhead is what memcached's item has besides key and value: a header of 48 bytes, 8 for the CAS, 2 for the end
// of the value. metadump tells the sum.
const itemOverhead = 48 + 8 + 2

// parseLogged reads one line.
func parseLogged(line []byte) (Record, error) {
	fields := map[string]string{}
	for word := range strings.FieldsSeq(string(line)) {
		name, v, ok := strings.Cut(word, "=")
		if !ok {
			return Record{}, fmt.Errorf("want words name=value as memcached writes them, have %s", quote(word))
		}
		fields[name] = v
	}
	rec := Record{}
	var err error
	if rec.Key, err = url.PathUnescape(fields["key"]); err != nil {
		return Record{}, fmt.Errorf("key: %s is not URL-encoded", quote(fields["key"]))
	}
	if err := checkKey(rec.Key); err != nil {
		return Record{}, err
	}
	if _, watched := fields["type"]; watched {
		return watchedRecord(rec, fields)
	}
	return dumpedRecord(rec, fields)
}

// watchedRecord is a request that a watcher saw.
func watchedRecord(rec Record, fields map[string]string) (Record, error) {
	seconds, micros, ok := strings.Cut(fields["ts"], ".")
	if !ok {
		return Record{}, fmt.Errorf("ts: want seconds.microseconds, have %s", quote(fields["ts"]))
	}
	var err error
	if rec.Time, err = number("ts", []byte(seconds)); err != nil {
		return Record{}, err
	}
	// memcached writes the microseconds without the zeros in front.
	if rec.Micros, err = number("ts", []byte(micros)); err != nil {
		return Record{}, err
	}
	if rec.Micros >= 1e6 {
		return Record{}, fmt.Errorf("ts: want microseconds below a million, have %d", rec.Micros)
	}
	switch fields["type"] {
	case "item_get":
		rec.Op = Get
		if fields["status"] == "found" {
			rec.ValueSize, err = size(fields["size"], 0)
		}
	case "item_store":
		op, known := parseOp(fields["cmd"])
		if rec.Op = op; !known || op == Get { // meta commands and touches are sets to a replay
			rec.Op = Set
		}
		if rec.ValueSize, err = size(fields["size"], 0); err == nil && fields["ttl"] != "" {
			rec.TTL, err = ttlOf(fields["ttl"])
		}
	default:
		return Record{}, fmt.Errorf("type: want item_get or item_store, have %s", quote(fields["type"]))
	}
	return rec, err
}

// dumpedRecord makes an item of a dump the read that touched it last.
func dumpedRecord(rec Record, fields map[string]string) (Record, error) {
	var err error
	if rec.Time, err = number("la", []byte(fields["la"])); err != nil {
		return Record{}, err
	}
	if rec.ValueSize, err = size(fields["size"], itemOverhead+len(rec.Key)+1); err != nil {
		return Record{}, err
	}
	if fields["exp"] != "-1" {
		end, err := number("exp", []byte(fields["exp"]))
		if err != nil {
			return Record{}, err
		}
		if end > rec.Time {
			rec.TTL = end - rec.Time
		}
	}
	return rec, nil
}

// size reads the size of a value from that of an item that is overhead bytes larger. memcached 1.6.18 does not
// tell it of every request.
func size(text string, overhead int) (uint32, error) {
	if text == "" {
		return 0, nil
	}
	n, err := number("size", []byte(text))
	if err != nil {
		return 0, err
	}
	n -= uint32(min(int(n), overhead))
	if n > MaxValue {
		return 0, fmt.Errorf("size %d: more than %d, the largest item of a memcached", n, MaxValue)
	}
	return n, nil
}

// ttlOf reads what a client sent as exptime: a time below 30 days is one from now; what ends at a given second has no TTL here.
func ttlOf(text string) (uint32, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, errors.New("ttl: want a whole number, have " + quote(text))
	}
	if n < 0 || n > 30*24*3600 || n > math.MaxUint32 {
		return 0, nil
	}
	return uint32(n), nil
}
