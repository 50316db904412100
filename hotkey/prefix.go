package hotkey

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Prefix gives keys that begin alike another bound than Config.Staleness. Of several prefixes of a key the longest
// counts.
type Prefix struct {
	// Prefix is what the keys begin with; not empty.
	Prefix string
	// Staleness is X for them. 0 = Config.Staleness. Negative = they are never held in memory. Otherwise 1 ms to one hour.
	Staleness time.Duration
}

const (
	// minStaleness is the least X: in less a node can hardly be asked whether a value is still the same.
	minStaleness = time.Millisecond
	maxPrefixes  = 1024
)

// checkStaleness refuses an X that cannot be kept, or that nobody means.
func checkStaleness(field string, x time.Duration) error {
	switch {
	case x > maxStaleness:
		return fmt.Errorf("hotkey: %s %v is over %v; give a bound your readers can live with", field, x, maxStaleness)
	case x > 0 && x < minStaleness:
		return fmt.Errorf("hotkey: %s %v is under %v, in which no node can be asked again; a negative one turns the near-cache off", field, x, minStaleness)
	}
	return nil
}

// checkPrefixes names no prefix: they are parts of keys.
func checkPrefixes(ps []Prefix) error {
	if len(ps) > maxPrefixes {
		return fmt.Errorf("hotkey: Config.Prefixes has %d entries, more than %d", len(ps), maxPrefixes)
	}
	seen := map[string]int{}
	for i, p := range ps {
		if p.Prefix == "" {
			return fmt.Errorf("hotkey: Config.Prefixes[%d].Prefix is empty; Config.Staleness is for all keys", i)
		}
		if j, twice := seen[p.Prefix]; twice {
			return fmt.Errorf("hotkey: Config.Prefixes[%d].Prefix is that of Config.Prefixes[%d] again", i, j)
		}
		seen[p.Prefix] = i
		if err := checkStaleness(fmt.Sprintf("Config.Prefixes[%d].Staleness", i), p.Staleness); err != nil {
			return err
		}
	}
	return nil
}

// bound is X for the keys with a prefix, in nanoseconds, 0 for off.
type bound struct {
	prefix string
	x      int64
}

// bounds makes them of a checked config with its defaults, the longest first.
func (c *Config) bounds() []bound {
	var out []bound
	for _, p := range c.Prefixes {
		out = append(out, bound{p.Prefix, int64(max(0, cmp.Or(p.Staleness, c.Staleness)))})
	}
	slices.SortFunc(out, func(a, b bound) int { return cmp.Compare(len(b.prefix), len(a.prefix)) })
	return out
}

// staleness is X for key. Only fills ask, never a hit.
func (n *Near) staleness(key string) int64 {
	for i := range n.prefixes {
		if strings.HasPrefix(key, n.prefixes[i].prefix) {
			return n.prefixes[i].x
		}
	}
	return n.x
}

// Staleness returns X for key; 0 means that it is never held.
func (n *Near) Staleness(key string) time.Duration {
	if n.Off() {
		return 0
	}
	return time.Duration(n.staleness(key))
}

// Shortest returns the smallest X of any key that may be held; 0 means that none may.
func (n *Near) Shortest() time.Duration {
	if n.Off() {
		return 0
	}
	least := n.x
	for _, p := range n.prefixes {
		if p.x > 0 && (least == 0 || p.x < least) {
			least = p.x
		}
	}
	return time.Duration(least)
}
