package hotkey

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestPrefixesRefuseNonsense(t *testing.T) {
	for want, ps := range map[string][]Prefix{
		"Config.Prefixes[1].Prefix is empty":         {{Prefix: "a"}, {}},
		"Config.Prefixes[2].Prefix is that of":       {{Prefix: "secret"}, {Prefix: "b"}, {Prefix: "secret"}},
		"Config.Prefixes[0].Staleness 2h0m0s is ove": {{Prefix: "secret", Staleness: 2 * time.Hour}},
		"Config.Prefixes[0].Staleness 1µs is under":  {{Prefix: "secret", Staleness: time.Microsecond}},
		"has 1025 entries":                           make([]Prefix, 1025),
	} {
		_, err := NewNear(&Config{Prefixes: ps})
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "secret", "a prefix is part of keys")
	}
	_, err := NewNear(&Config{Staleness: 100 * time.Microsecond})
	require.ErrorContains(t, err, "Config.Staleness 100µs is under 1ms")
	_, err = NewNear(&Config{MissTTL: 2 * time.Hour})
	require.ErrorContains(t, err, "Config.MissTTL")
}

// The longest prefix counts, whatever their order.
func TestTheLongestPrefixCounts(t *testing.T) {
	words := rapid.StringMatching(`[ab]{1,3}`)
	rapid.Check(t, func(t *rapid.T) {
		cfg := Config{Staleness: rapid.SampledFrom([]time.Duration{-1, 0, time.Minute}).Draw(t, "x")}
		for i, p := range rapid.SliceOfNDistinct(words, 0, 6, rapid.ID[string]).Draw(t, "prefixes") {
			x := rapid.SampledFrom([]time.Duration{-1, 0, time.Duration(i+1) * time.Second}).Draw(t, "of it")
			cfg.Prefixes = append(cfg.Prefixes, Prefix{p, x})
		}
		n, err := NewNear(&cfg)
		if err != nil {
			t.Fatal(err)
		}
		all := map[time.Duration]time.Duration{-1: 0, 0: 50 * time.Millisecond, time.Minute: time.Minute}[cfg.Staleness]
		key := rapid.StringMatching(`[ab]{0,5}`).Draw(t, "key")
		want, longest := all, 0
		for _, p := range cfg.Prefixes {
			if strings.HasPrefix(key, p.Prefix) && len(p.Prefix) > longest {
				longest = len(p.Prefix)
				switch {
				case p.Staleness > 0:
					want = p.Staleness
				case p.Staleness < 0:
					want = 0
				default:
					want = all
				}
			}
		}
		if got := n.Staleness(key); got != want {
			t.Fatalf("%v, want %v", got, want)
		}
		held := n.Put(1, key, Value{Bytes: []byte("v")}, n.Generation(1), time.Now())
		if held != (want > 0) || (n.Len() == 1) != held {
			t.Fatalf("held: %v with X = %v", held, want)
		}
	})
}

func TestShortest(t *testing.T) {
	for _, c := range []struct {
		cfg  Config
		want time.Duration
	}{
		{Config{}, 50 * time.Millisecond},
		{Config{Staleness: -1}, 0},
		{Config{Staleness: -1, Prefixes: []Prefix{{"a", time.Second}, {"b", -1}}}, time.Second},
		{Config{Prefixes: []Prefix{{"a", time.Second}, {"b", 5 * time.Millisecond}}}, 5 * time.Millisecond},
	} {
		require.Equal(t, c.want, newNear(t, c.cfg).Shortest())
	}
	require.Zero(t, (*Near)(nil).Shortest())
	require.Zero(t, (*Near)(nil).Len())
	require.Zero(t, (*Near)(nil).Staleness("k"))
}

// Each entry lasts as long as its own bound says, a miss as long as MissTTL; Due has what is past half of that.
func TestBoundsRunOutOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNear(t, Config{MissTTL: 10 * time.Millisecond, Prefixes: []Prefix{{"slow:", time.Second}}})
		put := func(key string, miss bool) {
			v := Value{Bytes: []byte("v"), Missing: miss}
			require.True(t, n.Put(xxhash.Sum64String(key), key, v, n.Generation(xxhash.Sum64String(key)), time.Now()))
		}
		serves := func(key string) bool { _, ok := n.Get(xxhash.Sum64String(key), key); return ok }
		put("k", false)
		put("slow:k", false)
		put("gone", true)
		v, ok := n.Get(xxhash.Sum64String("gone"), "gone")
		require.True(t, ok)
		require.True(t, v.Missing)
		require.Empty(t, v.Bytes)
		_, ok = n.Look(xxhash.Sum64String("gone"), "gone")
		require.False(t, ok)
		for range 20 {
			serves("k")
			serves("slow:k")
			serves("gone")
		}
		require.EqualValues(t, 40, n.Stats().Hits)
		reads, ok := n.Recent(xxhash.Sum64String("k"), "k")
		require.True(t, ok)
		require.Equal(t, 20, reads)
		for _, none := range []string{"gone", "never"} {
			_, ok = n.Recent(xxhash.Sum64String(none), none)
			require.False(t, ok, none)
		}
		require.EqualValues(t, 21, n.Stats().Misses)
		require.Empty(t, n.Due(16))
		require.Len(t, n.InUse(16), 2, "a miss is not renewed")
		time.Sleep(10 * time.Millisecond)
		require.Equal(t, []bool{true, true, false}, []bool{serves("k"), serves("slow:k"), serves("gone")})
		time.Sleep(15 * time.Millisecond)
		due := n.Due(16)
		require.Len(t, due, 1)
		require.Equal(t, "k", due[0].Key)
		require.True(t, n.Renew(due[0], n.Generation(due[0].Hash), time.Now()))
		require.Empty(t, n.Due(0))
		time.Sleep(49 * time.Millisecond)
		require.Equal(t, []bool{true, true}, []bool{serves("k"), serves("slow:k")})
		time.Sleep(time.Millisecond)
		reads, ok = n.Recent(xxhash.Sum64String("k"), "k")
		require.True(t, ok, "it has run out, and is remembered")
		require.Equal(t, 1, reads)
		require.Equal(t, []bool{false, true}, []bool{serves("k"), serves("slow:k")})
		time.Sleep(4 * time.Second)
		require.Empty(t, n.InUse(0))
		require.Zero(t, n.Len(), "what is long over makes room")
	})
}
