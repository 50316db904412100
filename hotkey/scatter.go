package hotkey

import (
	"fmt"
	"strings"
	"time"
)

// Scatter is what a client does about keys that are hotter than their copies can bear and that memory does not take
// off the nodes: because each of many processes reads them too seldom to gain by holding them, because their values are too large
// for the near-cache, or because there is none. It keeps further copies of such a key, under names of their own on other nodes, and
// has most of its reads answered by them.
//
// A suffix copy is filled under a token, as any copy of a copy is, and lives so briefly that a read which starts at s gets nothing older
// than the newest version that all copies had confirmed at s − Staleness. Own writes are seen at once, and delete it; a
// client that does not scatter the key leaves it to its end. The seconds are the node's: one whose process has stopped for a while may
// answer from a suffix copy in the instant before its clock has moved on.
//
// Reads that want a token, and reads of the home copy alone, do not use suffix copies. A GetMulti fills one that it misses, and no more.
type Scatter struct {
	// Copies is how many suffix copies a key has. 0 = 8. At most 64.
	Copies int
	// Share is the share of a client's accesses from which a key is scattered; it stays so down to half of that. 0 = half of
	// what its copies' nodes would bear of evenly loaded ones: R/(2·n) for R copies and n nodes. At most 1.
	Share float64
	// Staleness is the bound, in whole seconds. 0 = 3 s, which is also the least: nodes count lives in seconds, the shortest that does not end at
	// once now and then is 2, and one second goes by between the token and the fill at most. At most one hour.
	Staleness time.Duration
}

const (
	minScatter       = 3 * time.Second
	maxScatterCopies = 64
)

// WithDefaults checks s and returns a copy with the zeros that need no fleet to be known replaced.
func (s Scatter) WithDefaults() (Scatter, error) {
	switch {
	case s.Copies < 0 || s.Copies > maxScatterCopies:
		return s, fmt.Errorf("hotkey: Config.Scatter.Copies %d is not within 0 to %d", s.Copies, maxScatterCopies)
	case !(s.Share >= 0 && s.Share <= 1):
		return s, fmt.Errorf("hotkey: Config.Scatter.Share %v is not within 0 to 1", s.Share)
	case s.Staleness != 0 && (s.Staleness < minScatter || s.Staleness > maxStaleness):
		return s, fmt.Errorf("hotkey: Config.Scatter.Staleness %v is not within %v to %v", s.Staleness, minScatter, maxStaleness)
	case s.Staleness%time.Second != 0:
		return s, fmt.Errorf("hotkey: Config.Scatter.Staleness %v is no whole number of seconds, in which nodes count", s.Staleness)
	}
	if s.Copies == 0 {
		s.Copies = 8
	}
	if s.Staleness == 0 {
		s.Staleness = minScatter
	}
	return s, nil
}

// MayScatter reports whether key may be: not if the longest of the Prefixes that it begins with has a negative Staleness, for those
// keys are to be read from their copies alone.
func (c *Config) MayScatter(key string) bool {
	if c == nil || c.Scatter == nil {
		return false
	}
	longest, may := -1, true
	for _, p := range c.Prefixes {
		if len(p.Prefix) > longest && strings.HasPrefix(key, p.Prefix) {
			longest, may = len(p.Prefix), p.Staleness >= 0
		}
	}
	return may
}
