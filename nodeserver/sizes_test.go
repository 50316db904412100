package nodeserver

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/memherd/memherd/nodeserver/stock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestStatsSizes was recorded from memcached 1.6.18.
func TestStatsSizes(t *testing.T) {
	_, nc := dialMem(t, Config{})
	x := strings.Repeat("x", 100)
	for _, c := range []struct{ send, want string }{
		{"stats sizes\r\n", "STAT sizes_status disabled\r\nEND\r\n"},
		{"set before 0 0 1\r\nx\r\nstats sizes_enable\r\nstats sizes\r\n", "STORED\r\nSTAT sizes_status enabled\r\nEND\r\n"},
		{"set a 0 0 1\r\nx\r\nstats sizes\r\n", "STORED\r\nSTAT 64 1\r\nEND\r\n"},
		{"set b 5 0 100\r\n" + x + "\r\nset c 5 0 100\r\n" + x + "\r\nstats sizes\r\n", "STORED\r\nSTORED\r\nSTAT 64 1\r\nSTAT 192 2\r\nEND\r\n"},
		{"delete c\r\nstats sizes\r\n", "DELETED\r\nSTAT 64 1\r\nSTAT 192 1\r\nEND\r\n"},
		{"stats sizes_enable\r\nstats sizes\r\n", "STAT sizes_status enabled\r\nSTAT 64 1\r\nSTAT 192 1\r\nEND\r\n"},
		{"set n 0 0 3\r\n100\r\nincr n 1\r\nstats sizes\r\n", "STORED\r\n101\r\nSTAT 64 2\r\nSTAT 192 1\r\nEND\r\n"},
		{"append b 0 0 50\r\n" + x[:50] + "\r\nstats sizes\r\n", "STORED\r\nSTAT 64 2\r\nSTAT 224 1\r\nEND\r\n"},
		{"set big 0 0 20000\r\n" + strings.Repeat("y", 20000) + "\r\nstats sizes x\r\n", "STORED\r\nSTAT 64 2\r\nSTAT 224 1\r\nSTAT 20064 1\r\nEND\r\n"},
		{"stats sizes_disable\r\nstats sizes\r\n", "STAT sizes_status disabled\r\nSTAT sizes_status disabled\r\nEND\r\n"},
		{"stats sizes_enable x\r\nstats sizes\r\n", "STAT sizes_status enabled\r\nEND\r\n"},
		{"incr n 1\r\ntouch b 100\r\ngat 100 a\r\nstats sizes\r\n", "102\r\nTOUCHED\r\nVALUE a 0 1\r\nx\r\nEND\r\nSTAT 64 1\r\nEND\r\n"},
		{"stats sizes_enablex\r\n", "ERROR\r\n"},
		{"flush_all\r\nstats sizes\r\n", "OK\r\nEND\r\n"},
	} {
		assert.Equal(t, c.want, ask(t, nc, c.send), "%.40q", c.send)
	}
	assert.Contains(t, ask(t, nc, "stats settings\r\n"), "STAT track_sizes yes\r\n")
}

func TestTrackSizes(t *testing.T) {
	_, nc := dialMem(t, Config{Admin: Admin{TrackSizes: true}})
	assert.Equal(t, "STORED\r\nSTAT 64 1\r\nEND\r\n", ask(t, nc, "set a 0 0 1\r\nx\r\nstats sizes\r\n"))
	assert.Equal(t, "STORED\r\nSTAT 64 1\r\nEND\r\n", ask(t, nc, "set b 0 -1 1\r\nx\r\nstats sizes\r\n"), "its time is over")
}

// TestStatsSizesOfALoop: who asks leaves the loop, and those that stay are served.
func TestStatsSizesOfALoop(t *testing.T) {
	s := startNode(t, Config{Loops: 1, Admin: Admin{TrackSizes: true}})
	a, b := newDuel(t, s.Addr().String()), newDuel(t, s.Addr().String())
	for range 3 {
		assert.Equal(t, "STORED\r\nSTAT 64 1\r\nEND\r\n", a.ask("set a 0 0 1\r\nx\r\nstats sizes\r\n"))
		assert.Equal(t, "STAT 64 1\r\nEND\r\n", b.ask("stats sizes\r\n"))
	}
}

// changeOfSize draws a command that stores, changes or deletes one of a few items.
func changeOfSize(rng *rand.Rand) string {
	key := fmt.Sprintf("k%0*d", 1+rng.IntN(3)*20, rng.IntN(4))
	value := strings.Repeat("7", rng.IntN(4)*rng.IntN(40))
	if rng.IntN(20) == 0 {
		value = strings.Repeat("v", rng.IntN(100_000))
	}
	flags := []string{"0", "9"}[rng.IntN(2)]
	switch rng.IntN(8) {
	case 0:
		return "delete " + key + "\r\n"
	case 1:
		return fmt.Sprintf("%s %s %d\r\n", []string{"incr", "decr"}[rng.IntN(2)], key, rng.IntN(1000))
	case 2:
		return fmt.Sprintf("ms %s %d F%s\r\n%s\r\n", key, len(value), flags, value)
	case 3:
		return "touch " + key + " 5000\r\n"
	}
	verb := []string{"set", "add", "append", "prepend", "replace"}[rng.IntN(5)]
	return fmt.Sprintf("%s %s %s 0 %d\r\n%s\r\n", verb, key, flags, len(value), value)
}

// TestStatsSizesAgainstMemcached: after each of many commands both count the same.
func TestStatsSizesAgainstMemcached(t *testing.T) {
	old := newDuel(t, stock.ForTest(t, "-o", "no_lru_maintainer,no_lru_crawler").Addr())
	need1618(t)
	node := newDuel(t, startNode(t, Config{}).Addr().String())
	seed := uint64(os.Getpid())
	rng := rand.New(rand.NewPCG(seed, 2))
	lines := 0
	for i := range scaled(5000) {
		cmd := changeOfSize(rng)
		if i == 20 || rng.IntN(500) == 0 {
			cmd = "stats sizes_enable\r\n"
		} else if rng.IntN(1000) == 0 {
			cmd = "stats sizes_disable\r\n"
		}
		a, b := node.ask(cmd), old.ask(cmd)
		if strings.HasPrefix(cmd, "stats") {
			require.Equal(t, b, a)
		}
		if a != b { // a large counter: see expectedDifferences
			key := strings.Fields(cmd)[1]
			node.ask("md " + key + "\r\n")
			old.ask("md " + key + "\r\n")
		}
		a, b = node.ask("stats sizes\r\n"), old.ask("stats sizes\r\n")
		require.Equal(t, b, a, "after command %d, %.80q, seed %d", i, cmd, seed)
		lines += strings.Count(a, "\n") - 1
	}
	assert.Positive(t, lines)
}

var sizeInDump = regexp.MustCompile(`(?m) size=(\d+) `)

// TestStatsSizesAreTheDumps: the counts are those of the items' sizes as the dump shows them.
func TestStatsSizesAreTheDumps(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s, err := New(Config{MaxBytes: 4 << 20, Admin: Admin{TrackSizes: true}})
		require.NoError(rt, err)
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 3))
		var in strings.Builder
		for range rapid.IntRange(0, 30).Draw(rt, "commands") {
			in.WriteString(changeOfSize(rng))
		}
		replies := func(cmd string) string { return string(feedServer(s, []byte(cmd)).out.buf) }
		replies(in.String())
		want := map[int]int{}
		for _, m := range sizeInDump.FindAllStringSubmatch(replies("lru_crawler metadump all\r\n"), -1) {
			n, err := strconv.Atoi(m[1])
			require.NoError(rt, err)
			for upTo := n; ; upTo++ {
				if upTo%32 == 0 {
					want[upTo]++
					break
				}
			}
		}
		var text strings.Builder
		for _, upTo := range slices.Sorted(maps.Keys(want)) {
			fmt.Fprintf(&text, "STAT %d %d\r\n", upTo, want[upTo])
		}
		require.Equal(rt, text.String()+"END\r\n", replies("stats sizes\r\n"))
	})
}
