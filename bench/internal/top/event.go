// Package top shows which keys a fleet of memcached is asked for most, without touching who asks: through `watch fetchers`,
// for a moment at a time, because a node that is watched works more and drops events when they are too many.
package top

import (
	"bytes"
	"net/url"
	"strconv"
)

// Event is one key that a node was asked for.
type Event struct {
	Key   string
	Found bool
	Size  int // bytes of the value; 0 for a miss, or where the node does not say
}

// parse reads a line of a watcher. skipped is how many events the node says it has left out. Lines of other kinds, and
// those that make no sense, are no event.
func parse(line []byte) (e Event, skipped uint64, ok bool) {
	isGet := false
	for word := range bytes.FieldsSeq(line) {
		name, v, found := bytes.Cut(word, []byte("="))
		if !found {
			continue
		}
		switch string(name) {
		case "type":
			isGet = string(v) == "item_get"
		case "key":
			key, err := url.PathUnescape(string(v))
			if err != nil || key == "" || len(key) > 250 {
				return Event{}, 0, false
			}
			e.Key = key
		case "status":
			e.Found = string(v) == "found"
		case "size":
			n, err := strconv.ParseUint(string(v), 10, 31)
			if err != nil {
				return Event{}, 0, false
			}
			e.Size = int(n)
		case "skipped":
			n, err := strconv.ParseUint(string(v), 10, 32)
			if err != nil {
				return Event{}, 0, false
			}
			skipped = n
		}
	}
	if !isGet || e.Key == "" {
		return Event{}, skipped, false
	}
	return e, skipped, true
}
