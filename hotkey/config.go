package hotkey

import (
	"cmp"
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
	"time"
)

// Config is the set-up of a [Detector] and of a [Near]. The zero value, like a nil pointer, is a good one.
// It is copied by NewDetector and NewNear; later changes have no effect.
type Config struct {
	// Staleness is X: a near-cache entry serves reads that start before the send time of the request that validated it
	// plus X. 0 = 50 ms. Negative = no near-cache (detection works on). At least 1 ms, at most one hour.
	Staleness time.Duration
	// Prefixes have other bounds than Staleness, also where that is negative. Keys are meant as nodes know them: a loader's
	// Prefix is part of them. nil = none. At most 1,024.
	Prefixes []Prefix
	// MissTTL is how long a miss of a hot key is remembered, at most X. 0 = X. Negative = not at all.
	MissTTL time.Duration
	// NearBytes bounds the near-cache in bytes: keys, values and a fixed overhead per entry. 0 = 32 MiB.
	NearBytes int64
	// MaxValueBytes is the largest value, in bytes, the near-cache takes; at most NearBytes less an entry's overhead, 448. 0 = an eighth of
	// NearBytes, at most 1 MiB.
	MaxValueBytes int
	// NearAll has the near-cache hold what is read of every key, not of those at LevelHottest alone: a cache in the
	// process's memory in front of the nodes, for readers that can live with a Staleness of seconds. What was validated
	// longest ago makes room. Where X is negative nothing is held all the same. False = the hottest keys alone.
	NearAll bool
	// Scatter has keys that are hotter than their copies can bear read from further copies on other nodes. nil = not.
	Scatter *Scatter
	// HotKeys is the number of keys at LevelHot and above. 0 = max(1024, 8·n·ln n) for n nodes.
	HotKeys int
	// HottestKeys is the number of keys at LevelHottest. 0 = max(128, n·ln n) for n nodes.
	HottestKeys int
	// SketchBytes is the size of the count-min sketch, rounded up to a power of two, 4 KiB to 8 MiB. 0 = 64 KiB.
	SketchBytes int
	// HeavyBytes is the size of the heavy table's counters (16 bytes a slot; a slot's lookup tag and what
	// reports need of it take 60 bytes more, and the key's own), rounded up to a power of two, 2 KiB to 16 MiB. 0 = 16 KiB, or more where that is less
	// than two slots for each of HotKeys.
	HeavyBytes int
	// Window is the number of counted accesses after which every count is halved. 0 = 1,048,576. At least 1,024.
	Window int
	// Budget is the number of accesses a second that are counted in full; above it they are sampled, one in two, in
	// four, … 0 = 125,000, about 1 % of a core. Negative = count every access.
	Budget int
	// AskNodes has reads ask the node when the key was read last, by whomever (flags h and l of a meta get), one in so
	// many of those that could tell: of keys not read by this client for some seconds. So the many processes of a fleet, none of which
	// sees much, find the same keys hot, and a key on a fifth of the reads that are else needed. Costs the node a lock
	// for each. Get and Lease ask; nodes without meta commands know nothing. 0 = not. 1 = all of them. At most 65,536.
	AskNodes int
	// Seed makes detection repeatable in tests. 0 = random for each Detector, as it must be where an adversary may
	// choose keys.
	Seed uint64
	// OnPromote, if not nil, is called when a key rises to level, OnDemote when it sinks to level (perhaps LevelCold). Both
	// run on the goroutine that called Observe, outside every lock; calls for one key made by two goroutines at one
	// moment may arrive in either order. They must not block.
	OnPromote func(key string, level Level)
	OnDemote  func(key string, level Level)
}

// Level says how hot a key is.
type Level uint8

// The levels: hot keys are read from all their copies in turn, the hottest are held in the near-cache as well.
const (
	LevelCold Level = iota
	LevelHot
	LevelHottest
)

// String returns "cold", "hot" or "hottest".
func (l Level) String() string {
	switch l {
	case LevelCold:
		return "cold"
	case LevelHot:
		return "hot"
	case LevelHottest:
		return "hottest"
	}
	return fmt.Sprintf("Level(%d)", uint8(l))
}

const (
	maxStaleness   = time.Hour
	maxKeysOfLevel = 1 << 19
	maxNearBytes   = 1 << 40

	defaultNearBytes = int64(32 << 20)
)

// withDefaults checks c and returns a copy with every zero replaced. nodes is the fleet's size.
func (c *Config) withDefaults(nodes int) (Config, error) {
	var v Config
	if c != nil {
		v = *c
	}
	if err := v.check(); err != nil {
		return v, err
	}
	v.Prefixes = slices.Clone(v.Prefixes)
	if v.Scatter != nil {
		s, err := v.Scatter.WithDefaults()
		if err != nil {
			return v, err
		}
		v.Scatter = &s
	}
	if v.Staleness == 0 {
		v.Staleness = 50 * time.Millisecond
	}
	if v.MissTTL == 0 {
		v.MissTTL = maxStaleness
	}
	if v.NearBytes == 0 {
		v.NearBytes = defaultNearBytes
	}
	if v.MaxValueBytes == 0 {
		v.MaxValueBytes = int(min(v.NearBytes/8, 1<<20))
	}
	if v.SketchBytes == 0 {
		v.SketchBytes = 64 << 10
	}
	v.SketchBytes = ceilPow2(v.SketchBytes)
	if v.HeavyBytes == 0 {
		hot, _ := v.levelSizes(nodes)
		v.HeavyBytes = max(16<<10, 2*hot*slotBytes)
	}
	v.HeavyBytes = ceilPow2(v.HeavyBytes)
	if v.Window == 0 {
		v.Window = 1 << 20
	}
	if v.Budget == 0 {
		v.Budget = 125_000
	}
	for v.Seed == 0 {
		v.Seed = rand.Uint64()
	}
	return v, nil
}

func (c *Config) check() error {
	if err := cmp.Or(checkStaleness("Config.Staleness", c.Staleness), checkPrefixes(c.Prefixes)); err != nil {
		return err
	}
	switch {
	case c.MissTTL > maxStaleness:
		return fmt.Errorf("hotkey: Config.MissTTL %v is over %v", c.MissTTL, maxStaleness)
	case c.NearBytes < 0 || c.NearBytes > maxNearBytes:
		return fmt.Errorf("hotkey: Config.NearBytes %d is not within 0 to 2^40; use Staleness -1 to turn the near-cache off", c.NearBytes)
	case c.NearBytes > 0 && c.NearBytes < 2*entryOverhead:
		return fmt.Errorf("hotkey: Config.NearBytes %d cannot hold one value; give at least %d, or Staleness -1 for no near-cache", c.NearBytes, 2*entryOverhead)
	case c.MaxValueBytes < 0 || int64(c.MaxValueBytes) > cmp.Or(c.NearBytes, defaultNearBytes)-entryOverhead:
		return fmt.Errorf("hotkey: Config.MaxValueBytes %d is not within 0 to %d, which is what NearBytes %d has room for", c.MaxValueBytes,
			cmp.Or(c.NearBytes, defaultNearBytes)-entryOverhead, cmp.Or(c.NearBytes, defaultNearBytes))
	case c.HotKeys < 0 || c.HotKeys > maxKeysOfLevel:
		return fmt.Errorf("hotkey: Config.HotKeys %d is not within 0 to %d", c.HotKeys, maxKeysOfLevel)
	case c.HottestKeys < 0 || c.HottestKeys > maxKeysOfLevel:
		return fmt.Errorf("hotkey: Config.HottestKeys %d is not within 0 to %d", c.HottestKeys, maxKeysOfLevel)
	case c.HotKeys > 0 && c.HottestKeys > c.HotKeys:
		return fmt.Errorf("hotkey: Config.HottestKeys %d is more than HotKeys %d", c.HottestKeys, c.HotKeys)
	case c.SketchBytes != 0 && (c.SketchBytes < 4<<10 || c.SketchBytes > 8<<20):
		return fmt.Errorf("hotkey: Config.SketchBytes %d is not within 4 KiB to 8 MiB", c.SketchBytes)
	case c.HeavyBytes != 0 && (c.HeavyBytes < 2<<10 || c.HeavyBytes > 16<<20):
		return fmt.Errorf("hotkey: Config.HeavyBytes %d is not within 2 KiB to 16 MiB", c.HeavyBytes)
	case c.HeavyBytes != 0 && max(c.HotKeys, c.HottestKeys) > mostHot(ceilPow2(c.HeavyBytes)):
		return fmt.Errorf("hotkey: Config.HeavyBytes %d has room for %d hot keys, not for %d; leave it 0 to have it derived",
			c.HeavyBytes, mostHot(ceilPow2(c.HeavyBytes)), max(c.HotKeys, c.HottestKeys))
	case c.AskNodes < 0 || c.AskNodes > 1<<16:
		return fmt.Errorf("hotkey: Config.AskNodes %d is not within 0 to 65,536", c.AskNodes)
	case c.Window != 0 && (c.Window < 1<<10 || c.Window > 1<<30):
		return fmt.Errorf("hotkey: Config.Window %d is not within 2^10 to 2^30 accesses", c.Window)
	}
	return nil
}

// levelSizes returns how many keys the two levels hold for a fleet of so many nodes. Balance needs n·ln n keys out of
// the way (Fan, Lim, Andersen, Kaminsky: "Small Cache, Big Effect", SoCC 2011); the floors are for latency.
func (c *Config) levelSizes(nodes int) (hot, hottest int) {
	n := float64(max(nodes, 1))
	hot, hottest = c.HotKeys, c.HottestKeys
	if hot == 0 {
		hot = max(1024, min(maxKeysOfLevel, int(math.Ceil(8*n*math.Log(n)))), hottest)
	}
	if hottest == 0 {
		hottest = min(hot, max(128, int(math.Ceil(n*math.Log(n)))))
	}
	return hot, hottest
}

// mostHot is how many keys can be hot in a heavy table of so many bytes: three quarters of its slots, so that in each
// set newcomers have a place to be tried in.
func mostHot(heavyBytes int) int { return heavyBytes / slotBytes * 3 / 4 }

func ceilPow2(n int) int {
	return 1 << bits.Len(uint(n-1))
}

// mixer turns the ring's hash, which every client computes alike and an adversary can compute too, into one that only
// this process knows: which counters two keys share can be neither predicted nor aimed at.
type mixer struct {
	a, b uint64
}

func newMixer(seed uint64) mixer {
	r := rand.New(rand.NewPCG(seed, 0x6d656d68657264))
	return mixer{a: r.Uint64(), b: r.Uint64() | 1}
}

func (m mixer) mix(hash uint64) uint64 {
	hi, lo := bits.Mul64(hash^m.a, m.b)
	return hi ^ lo
}
