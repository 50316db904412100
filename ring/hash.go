package ring

import (
	"strings"

	"github.com/cespare/xxhash/v2"
)

// slotRest are the bits of a hash that don't choose a slot; circleRest those that don't
// choose a place on ketama's circle.
const (
	slotRest   = 1<<slotShift - 1
	circleRest = 1<<32 - 1
)

// keyTag are the two characters that enclose a key's tag; the zero value turns tags off.
type keyTag struct{ open, close byte }

func (t keyTag) on() bool { return t.open != 0 }

// of returns the part of key that decides its place. Twemproxy has the same rule: the
// first opening character, the first closing one after it, and something in between.
func (t keyTag) of(key string) string {
	i := strings.IndexByte(key, t.open)
	if i < 0 {
		return key
	}
	rest := key[i+1:]
	if n := strings.IndexByte(rest, t.close); n > 0 {
		return rest[:n]
	}
	return key
}

// mixedHash is Hash where the key's own xxhash64 doesn't decide its place. It still fills
// the bits below the place: whoever counts or caches by hash needs keys of one tag
// told apart.
func (r *Ring) mixedHash(key string) uint64 {
	placed := key
	if r.tag.on() {
		placed = r.tag.of(key)
	}
	own := xxhash.Sum64String(key)
	switch {
	case r.places != nil:
		return uint64(ketamaPlace(placed))<<32 | own&circleRest
	case len(placed) == len(key):
		return own
	}
	return xxhash.Sum64String(placed)&^slotRest | own&slotRest
}
