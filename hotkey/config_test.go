package hotkey

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestConfigDefaults(t *testing.T) {
	for _, cfg := range []*Config{nil, {}} {
		c, err := cfg.withDefaults(10)
		require.NoError(t, err)
		assert.Equal(t, 50*time.Millisecond, c.Staleness)
		assert.EqualValues(t, 32<<20, c.NearBytes)
		assert.Equal(t, 1<<20, c.MaxValueBytes)
		assert.Equal(t, 64<<10, c.SketchBytes)
		assert.Equal(t, 32<<10, c.HeavyBytes, "two slots for each of 1,024 hot keys")
		assert.NotZero(t, c.Seed)
	}
	a, err := (&Config{}).withDefaults(1)
	require.NoError(t, err)
	b, err := (&Config{}).withDefaults(1)
	require.NoError(t, err)
	require.NotEqual(t, a.Seed, b.Seed, "every detector has a seed of its own")
}

func TestLevelSizesDeriveFromTheFleet(t *testing.T) {
	for _, tt := range []struct {
		cfg          Config
		nodes        int
		hot, hottest int
	}{
		{Config{}, 0, 1024, 128},
		{Config{}, 1, 1024, 128},
		{Config{}, 10, 1024, 128},
		{Config{}, 100, 3685, 461},
		{Config{HotKeys: 50}, 100, 50, 50},
		{Config{HottestKeys: 5000}, 10, 5000, 5000},
		{Config{HotKeys: 70, HottestKeys: 7}, 10, 70, 7},
	} {
		hot, hottest := tt.cfg.levelSizes(tt.nodes)
		assert.Equal(t, [2]int{tt.hot, tt.hottest}, [2]int{hot, hottest}, "%+v %d", tt.cfg, tt.nodes)
	}
}

func TestConfigRefusesNonsense(t *testing.T) {
	for field, cfg := range map[string]Config{
		"Staleness":     {Staleness: 2 * time.Hour},
		"NearBytes":     {NearBytes: -1},
		"one value":     {NearBytes: 100},
		"2^40":          {NearBytes: 1 << 50},
		"MaxValueBytes": {NearBytes: 1 << 20, MaxValueBytes: 1 << 20},
		"-1 is not":     {MaxValueBytes: -1},
		"HotKeys":       {HotKeys: -5},
		"HottestKeys":   {HottestKeys: 1 << 30},
		"more than":     {HotKeys: 10, HottestKeys: 11},
		"SketchBytes":   {SketchBytes: 12},
		"HeavyBytes":    {HeavyBytes: 1 << 30},
		"has room for":  {HeavyBytes: 2 << 10, HotKeys: 97},
		"Window":        {Window: 3},
		"33554432":      {MaxValueBytes: 64 << 20},
		"room for":      {MaxValueBytes: math.MaxInt},
	} {
		_, err := NewDetector(&cfg, 3)
		require.ErrorContains(t, err, field)
		_, err = NewNear(&cfg)
		require.ErrorContains(t, err, field)
	}
}

// What there is room for is taken, to the byte.
func TestTheLargestValueFits(t *testing.T) {
	const most = 32<<20 - entryOverhead
	require.Equal(t, 448, entryOverhead, "as Config.MaxValueBytes says")
	n, err := NewNear(&Config{MaxValueBytes: most, Staleness: time.Hour})
	require.NoError(t, err)
	require.True(t, n.put("", strings.Repeat("v", most)))
	_, err = NewNear(&Config{MaxValueBytes: most + 1})
	require.ErrorContains(t, err, "Config.MaxValueBytes")
}

func TestLevelNames(t *testing.T) {
	require.Equal(t, "cold hot hottest Level(3)", fmt.Sprint(LevelCold, LevelHot, LevelHottest, Level(3)))
}

func TestNearOff(t *testing.T) {
	off := newNear(t, Config{Staleness: -1})
	for _, n := range []*Near{nil, off} {
		require.False(t, n.Put(1, "k", Value{Bytes: []byte("v")}, n.Generation(1), time.Now()))
		_, ok := n.Get(1, "k")
		require.False(t, ok)
		n.Drop(1, "k")
		n.DropNode("a")
		n.DropAll()
		require.Empty(t, n.InUse(0))
		require.False(t, n.Renew(Entry{}, 0, time.Now()))
		require.Zero(t, n.Stats())
	}
}

func TestNearRefusesWhatIsTooLargeAndForgetsWhatItHad(t *testing.T) {
	n := newNear(t, Config{Staleness: time.Hour, MaxValueBytes: 10})
	require.True(t, n.put("k", strings.Repeat("v", 10)))
	require.False(t, n.put("k", strings.Repeat("v", 11)))
	_, ok := n.get("k")
	require.False(t, ok)
	n.check(t)
}

func TestNearDoesNotGoBackInTime(t *testing.T) {
	n := newNear(t, Config{Staleness: time.Hour})
	first := time.Now()
	second := first.Add(time.Nanosecond)
	require.True(t, n.Put(1, "k", Value{Bytes: []byte("new")}, n.Generation(1), second))
	require.False(t, n.Put(1, "k", Value{Bytes: []byte("old")}, n.Generation(1), first))
	v, ok := n.Get(1, "k")
	require.True(t, ok)
	require.Equal(t, "new", string(v.Bytes))
}

func TestNearGrowsAndEmptiesAgain(t *testing.T) {
	n := newNear(t, Config{Staleness: time.Hour})
	keys, hashes := keyNames(20_000)
	for i, k := range keys {
		require.True(t, n.Put(hashes[i], k, Value{Bytes: []byte(k), Node: "a"}, n.Generation(hashes[i]), time.Now()))
	}
	n.check(t)
	for i, k := range keys {
		v, ok := n.Get(hashes[i], k)
		require.True(t, ok)
		require.Equal(t, k, string(v.Bytes))
	}
	before := n.Generation(hashes[0])
	n.DropNode("b")
	require.Equal(t, len(keys), n.Stats().Entries)
	require.False(t, n.Put(hashes[0], keys[0], Value{}, before, time.Now()), "in flight while a node was voided")
	n.DropAll()
	require.Zero(t, n.Stats().Entries)
	require.Zero(t, n.Stats().Bytes)
	n.check(t)
	require.True(t, n.put("k", "v"))
	n.check(t)
}

// A hit counts itself one by one only so far; what the sweep sees is exact up to there.
func TestInUseSeesWhatIsRead(t *testing.T) {
	n := newNear(t, Config{Staleness: time.Hour})
	require.True(t, n.put("busy", "v"))
	require.True(t, n.put("idle", "v"))
	for range 1000 {
		_, ok := n.get("busy")
		require.True(t, ok)
	}
	for range 15 {
		_, ok := n.get("idle")
		require.True(t, ok)
	}
	use := n.InUse(16)
	require.Len(t, use, 1)
	require.Equal(t, "busy", use[0].Key)
	require.Equal(t, readsCounted, use[0].Reads)
	require.True(t, n.Renew(use[0], n.Generation(use[0].Hash), time.Now()))
	require.Empty(t, n.InUse(16))
	require.Len(t, n.InUse(15), 1)

	// Not the same version, node or epoch, or written meanwhile: not renewed.
	for _, e := range []Entry{
		{Hash: use[0].Hash, Key: "busy", CAS: 1},
		{Hash: use[0].Hash, Key: "busy", Node: "x"},
		{Hash: use[0].Hash, Key: "busy", Epoch: 1},
		{Hash: 5, Key: "nobody"},
	} {
		require.False(t, n.Renew(e, n.Generation(e.Hash), time.Now()))
	}
	gen := n.Generation(use[0].Hash)
	n.Drop(use[0].Hash, "busy")
	require.False(t, n.Renew(use[0], gen, time.Now()))
	require.True(t, n.put("busy", "v")) // the same version again, read while the write was on its way
	require.False(t, n.Renew(use[0], gen, time.Now()), "the check was sent before the write")
}
