package hotkey

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A Detector finds the hot keys among the accesses it is shown. All methods may be called from any number of
// goroutines.
//
// What it knows is approximate in one direction only: a key is promoted on accesses that were really seen, never on
// what the sketch believes, so colliding with a hot key makes nobody hot.
type Detector struct {
	mixer   mixer
	tags    []tagSet      // of the whole heavy table, by the hash's top bits; the stripes' parts one after the other
	shift   uint          // see setShift
	gate    atomic.Uint32 // sampling: count when the random number has none of these bits; 0 = always
	cfg     Config
	base    time.Time
	limits  atomic.Pointer[limits]
	bars    atomic.Pointer[bars]
	epoch   atomic.Uint32   // halvings due so far
	offset  atomic.Int64    // total + offset = counted accesses in the window, halved along with the counts
	tick    atomic.Uint64   // mask: the access whose number has none of these bits set does the ageing
	levels  [3]atomic.Int64 // residents per level, set by each review and kept in between
	shifted uint            // the unit of slot.stamp is 1<<shifted counted accesses
	_       [64]byte
	total   atomic.Uint64 // accesses counted since the start; alone on its line, every counted access writes it
	_       [64]byte
	ageing  ageing
	stripes [stripes]stripe

	elsewhere *elsewhere // nil without Config.AskNodes
}

// limits derive from the fleet's size and do not change otherwise.
type limits struct {
	hot, hottest int
	heavyShare   float64 // over this share of all accesses a key is one of the hottest whatever its rank: 1/(8n)
}

// NewDetector returns a detector for a fleet of so many nodes. cfg nil means the defaults. It allocates some 220 KiB at
// the defaults, 64 KiB more with Config.AskNodes, and does no I/O.
func NewDetector(cfg *Config, nodes int) (*Detector, error) {
	c, err := cfg.withDefaults(nodes)
	if err != nil {
		return nil, err
	}
	d := &Detector{cfg: c, mixer: newMixer(c.Seed), base: time.Now()}
	d.elsewhere = newElsewhere(c.AskNodes)
	for c.Window>>d.shifted >= 1<<15 {
		d.shifted++
	}
	sets := c.HeavyBytes / slotBytes / ways
	d.tags, d.shift = make([]tagSet, sets), setShift(sets)
	for i := range d.stripes {
		part := d.tags[i*sets/stripes : (i+1)*sets/stripes]
		d.stripes[i].init(d.mixer.mix(uint64(i)), c.SketchBytes/stripes, part)
	}
	d.ageing.start(d)
	d.SetNodes(nodes)
	return d, nil
}

// SetNodes tells the detector the fleet's new size, from which the sizes of the levels derive unless the Config sets
// them. The heavy table keeps the size it got at NewDetector: of its slots at most three quarters can be hot, so a detector made for
// a handful of nodes that is to serve hundreds wants Config.HeavyBytes. It waits
// for nothing.
func (d *Detector) SetNodes(nodes int) {
	hot, hottest := d.cfg.levelSizes(nodes)
	most := mostHot(d.cfg.HeavyBytes)
	l := &limits{hot: min(hot, most), hottest: min(hottest, most), heavyShare: 1 / float64(8*max(nodes, 1))}
	d.limits.Store(l)
	d.bars.CompareAndSwap(nil, &bars{hot: l.heavyShare, hottest: l.heavyShare})
}

// Observe counts one access of key with a value of so many bytes (0 for a miss) and returns the key's level, which
// this access may have raised. hash is the ring's hash of key. It takes no memory, except to copy the key of a new
// resident of the heavy table, and waits for nobody: an access that finds its stripe busy is not counted.
func (d *Detector) Observe(hash uint64, key string, bytes int) Level {
	m := d.mixer.mix(hash)
	if g := d.gate.Load(); g != 0 && rand.Uint32()&g != 0 {
		return d.tags[m>>d.shift].peek(m)
	}
	return d.count(m, key, bytes)
}

// fineClock says that two accesses seldom fall into one step of the clock: of Linux it is a nanosecond, of Windows up to 15 ms.
const fineClock = runtime.GOOS == "linux" || runtime.GOOS == "darwin" || runtime.GOOS == "freebsd"

// ObserveAt is Observe for one who has just read a clock of nanoseconds, whatever they count from, and does not ask for the level. Where only some of the
// accesses are counted, time is the coin, because a random number costs a tenth of a hit in memory.
func (d *Detector) ObserveAt(hash uint64, key string, bytes int, at time.Duration) {
	if !fineClock {
		d.Observe(hash, key, bytes)
		return
	}
	if g := d.gate.Load(); g != 0 {
		x := (hash ^ uint64(at)) * 0x9e3779b97f4a7c15
		x = (x ^ x>>32) * 0xd6e8feb86659fd93 // once more, or it shows that accesses come regularly
		if uint32(x>>32)&g != 0 {
			return
		}
	}
	d.count(d.mixer.mix(hash), key, bytes)
}

// Level returns the key's level without counting an access. It never waits.
func (d *Detector) Level(hash uint64, key string) Level {
	_ = key // two keys of one 64-bit hash share a level; whoever caches by level compares whole keys
	m := d.mixer.mix(hash)
	return d.tags[m>>d.shift].peek(m)
}

// change is a promotion or demotion to be told once no lock is held.
type change struct {
	key      string
	from, to Level
}

func (d *Detector) count(m uint64, key string, bytes int) Level {
	s := &d.stripes[m>>60]
	if !s.tryLock() {
		return d.tags[m>>d.shift].peek(m)
	}
	total := d.total.Add(1)
	s.catchUp(d.epoch.Load())
	size := uint32(min(max(bytes, 0), 1<<30))
	var ch change
	level := LevelCold
	at, tag := s.find(m)
	switch {
	case at < 0:
		var left string
		if at, left, ch.from = s.admit(m, s.sketch.add(m), d.stamp(total), d.drift(), size); at >= 0 && ch.from != LevelCold {
			ch.key = left
		}
	case s.labels[at].key == "":
		s.labels[at].key = strings.Clone(key)
		level, ch = d.hit(s, at, tag, total, size)
	case s.labels[at].key == key:
		level, ch = d.hit(s, at, tag, total, size)
	default: // another key of the same fingerprint: known only to the sketch, and cold
		s.sketch.add(m)
	}
	s.unlock()
	if ch.from != ch.to {
		d.tell(ch)
	}
	if total&d.tick.Load() == 0 {
		d.age(total)
	}
	return level
}

// hit counts an access of the resident at slot i. The caller holds the stripe.
func (d *Detector) hit(s *stripe, i int, tag uint32, total uint64, size uint32) (Level, change) {
	sl := &s.slots[i]
	sl.count++
	sl.size = uint32(int64(sl.size) + (int64(size)-int64(sl.size))/8)
	b := d.bars.Load()
	was := Level(tag & tagLevelMask)
	now := was
	if now != LevelHottest {
		now = d.judge(sl, b, was, total)
	}
	if now == was {
		return was, change{}
	}
	s.setLevel(i, now, time.Now())
	return now, change{key: s.labels[i].key, from: was, to: now}
}

// Waiting for a stripe is for the reports, never for Observe. The holder is at work for a few µs at most unless the
// scheduler took its processor away, hence the yield.
func (s *stripe) lock() {
	for !s.tryLock() {
		runtime.Gosched()
	}
}

func (d *Detector) tell(c change) {
	d.levels[c.from].Add(-1)
	d.levels[c.to].Add(1)
	switch {
	case c.to > c.from && d.cfg.OnPromote != nil:
		d.cfg.OnPromote(c.key, c.to)
	case c.to < c.from && d.cfg.OnDemote != nil:
		d.cfg.OnDemote(c.key, c.to)
	}
}

// Hot is one key of a report.
type Hot struct {
	Key            string
	Share          float64 // of all accesses in the window, 0 to 1
	PerSecond      float64 // accesses a second
	BytesPerSecond float64 // value bytes a second
	Count          uint64  // counted accesses in the window, halved as the window ages
	Level          Level
	Since          time.Time // when Level was reached; zero for cold keys that never were anything else
}

// Top returns the n keys with the most accesses in the window, hottest first, whatever their level. It looks at one
// sixteenth of the table after the other, so the counts are not of one moment. n below 1 returns nil.
func (d *Detector) Top(n int) []Hot {
	if n < 1 {
		return nil
	}
	var out []Hot
	window, rate := float64(d.window(d.total.Load())), d.ageing.rateNow(d)
	for i := range d.stripes {
		s := &d.stripes[i]
		s.lock()
		s.catchUp(d.epoch.Load())
		for j := range s.slots {
			sl, lb := &s.slots[j], &s.labels[j]
			if lb.key == "" {
				continue
			}
			share := min(1, float64(sl.count)/max(1, window))
			out = append(out, Hot{
				Key: lb.key, Share: share, PerSecond: share * rate, BytesPerSecond: share * rate * float64(sl.size),
				Count: uint64(sl.count), Level: s.level(j), Since: lb.since,
			})
		}
		s.unlock()
	}
	slices.SortFunc(out, func(a, b Hot) int {
		if a.Count != b.Count {
			return int(int64(b.Count) - int64(a.Count))
		}
		return strings.Compare(a.Key, b.Key)
	})
	return out[:min(n, len(out))]
}

// DetectorStats is a reading of a detector's own state.
type DetectorStats struct {
	Counted       uint64  // accesses counted since the start
	SampleOneIn   int     // of so many accesses one is counted at present
	PerSecond     float64 // accesses a second, counted or not
	Hot, Hottest  int     // keys at the two levels; Hot does not include Hottest
	HotShare      float64 // the share of all accesses a key needs for Hot
	HottestShare  float64 // … and for Hottest
	Window, Slots int     // accesses in the window; slots of the heavy table
}

// Stats returns the sampling rate in force, the sizes of the levels and the thresholds.
func (d *Detector) Stats() DetectorStats {
	total, b := d.total.Load(), d.bars.Load()
	return DetectorStats{
		Counted: total, SampleOneIn: int(d.gate.Load()) + 1, PerSecond: d.ageing.rateNow(d),
		Hot: int(max(0, d.levels[LevelHot].Load())), Hottest: int(max(0, d.levels[LevelHottest].Load())),
		HotShare: b.hot, HottestShare: b.hottest,
		Window: int(d.window(total)), Slots: d.cfg.HeavyBytes / slotBytes,
	}
}

// ageing is the state of what happens once in many accesses. mu guards it; Observe only ever tries it.
type ageing struct {
	mu       sync.Mutex
	lastAt   time.Duration // since base: when the sampling rate was last thought over
	lastN    uint64        // total at that moment
	rate     float64       // accesses a second, moving
	reviewAt uint64        // total at which the thresholds are due
	histo    [256]int32    // scratch of review
}
