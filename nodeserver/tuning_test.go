package nodeserver

import (
	"bufio"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/memherd/memherd/client/memproto"
	"github.com/memherd/memherd/nodeserver/stock"
	"github.com/memherd/memherd/nodeserver/store"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// tuning are commands for parts of memcached that a node has not, with 1.6.18's answers,
// which are a node's, too.
var tuning = []struct{ send, want string }{
	{"lru\r\n", "ERROR\r\n"},
	{"lru tune 10 20 0.1 2\r\n", "OK\r\n"},
	{"lru tune 10 20 0.1\r\n", "ERROR\r\n"},
	{"lru tune 10 x 0.1 2\r\n", "ERROR\r\n"},
	{"lru tune 50 40 0.1 2\r\n", "ERROR hot and warm pcts must not exceed 80\r\n"},
	{"lru tune 10 20 0 2\r\n", "ERROR hot/warm age factors must be greater than 0\r\n"},
	{"lru mode flat\r\n", "OK\r\n"},
	{"lru mode segmented\r\n", "OK\r\n"},
	{"lru mode foo\r\n", "ERROR\r\n"},
	{"lru mode\r\n", "ERROR\r\n"},
	{"lru temp_ttl 60\r\n", "OK\r\n"},
	{"lru temp_ttl -1\r\n", "OK\r\n"},
	{"lru temp_ttl x\r\n", "ERROR\r\n"},
	{"slabs automove 1\r\n", "OK\r\n"},
	{"slabs automove x\r\n", "CLIENT_ERROR bad command line format\r\n"},
	{"slabs automove ratio 0.5\r\n", "OK\r\n"},
	{"slabs automove\r\n", "ERROR\r\n"},
	{"slabs reassign 1 1\r\n", "SAME src and dst class are identical\r\n"},
	{"slabs reassign 999 1\r\n", "BADCLASS invalid src or dst class id\r\n"},
	{"slabs reassign x y\r\n", "CLIENT_ERROR bad command line format\r\n"},
	{"slabs reassign 1\r\n", "ERROR\r\n"},
	{"lru_crawler crawl foo\r\n", "BADCLASS invalid class id\r\n"},
	{"lru_crawler crawl 999\r\n", "BADCLASS invalid class id\r\n"},
	{"lru_crawler metadump foo\r\n", "BADCLASS invalid class id\r\n"},
	{"lru_crawler sleep 10000000\r\n", "CLIENT_ERROR sleep must be one second or less\r\n"},
	{"lru_crawler tocrawl x\r\n", "CLIENT_ERROR bad command line format\r\n"},
}

func TestTuningCommands(t *testing.T) {
	_, nc := dialMem(t, Config{})
	for _, c := range tuning {
		assert.Equal(t, c.want, ask(t, nc, c.send), "%q", c.send)
	}
}

func TestTuningCommandsAgainstMemcached(t *testing.T) {
	need1618(t)
	old := newDuel(t, stock.ForTest(t).Addr())
	for _, c := range tuning {
		assert.Equal(t, c.want, old.ask(c.send), "%q", c.send)
	}
}

// TestMetadumpOfClasses: the classes that items are dumped under are those they are asked by.
func TestMetadumpOfClasses(t *testing.T) {
	_, nc := dialMem(t, Config{})
	ask(t, nc, "set small 0 0 1\r\nx\r\nset large 0 0 5000\r\n"+strings.Repeat("x", 5000)+"\r\n")
	assert.Regexp(t, `^OK\r\nkey=small [^\n]* cls=1 [^\n]*\nEND\r\n$`, ask(t, nc, "lru_crawler metadump 1\r\n"))
	assert.Regexp(t, `^OK\r\nkey=large [^\n]* cls=19 [^\n]*\nEND\r\n$`, ask(t, nc, "lru_crawler metadump 2,19\r\n"))
	assert.Equal(t, 2, strings.Count(ask(t, nc, "lru_crawler metadump all\r\n"), "key="))
	assert.Equal(t, "OK\r\nEND\r\n", ask(t, nc, "lru_crawler metadump 7\r\n"))
}

var keyShown = regexp.MustCompile(`key=(\S+)`)

// TestKeysShownAsInMemcached: whatever byte is in a key, it is shown, to who dumps and to who
// watches, as memcached shows it.
func TestKeysShownAsInMemcached(t *testing.T) {
	var sets strings.Builder
	for c := range 256 {
		key := []byte{'k', byte(c)}
		fmt.Fprintf(&sets, "ms %s 0 b\r\n\r\n", memproto.AppendKey64(nil, key))
	}
	shown := func(addr string) (dumped, watched []string) {
		nc, watcher := newDuel(t, addr), newDuel(t, addr)
		io.WriteString(watcher.nc, "watch mutations\r\n")
		_, err := watcher.br.ReadString('\n')
		require.NoError(t, err)
		nc.ask(sets.String())
		for range 256 {
			line, err := watcher.br.ReadString('\n')
			require.NoError(t, err)
			watched = append(watched, keyShown.FindStringSubmatch(line)[1])
		}
		io.WriteString(nc.nc, "lru_crawler metadump all\r\n")
		for line := ""; line != "END\r\n"; {
			line, err = nc.br.ReadString('\n')
			require.NoError(t, err)
			if m := keyShown.FindStringSubmatch(line); m != nil {
				assert.NotContains(t, line, "\r", "the lines of a dump, and what is watched, end in a line feed alone")
				dumped = append(dumped, m[1])
			}
		}
		slices.Sort(dumped)
		slices.Sort(watched)
		return dumped, watched
	}
	dumped, watched := shown(startNode(t, Config{}).Addr().String())
	assert.Contains(t, dumped, "k%20")
	assert.Equal(t, dumped, watched)
	stock.Need(t)
	oldDumped, oldWatched := shown(stock.ForTest(t).Addr())
	assert.Equal(t, oldDumped, dumped)
	assert.Equal(t, oldWatched, watched)
}

// TestMetadumpOfMuch: a dump longer than what waits for a reader at once is whole.
func TestMetadumpOfMuch(t *testing.T) {
	s, nc := dialMem(t, Config{})
	const n = 30_000
	for i := range n {
		tx := s.store.Begin(fmt.Appendf(nil, "%s%d", strings.Repeat("\x01", 200), i), 2)
		tx.Put(store.Meta{}, nil)
		tx.End()
	}
	io.WriteString(nc, "lru_crawler metadump all\r\n")
	lines := bufio.NewScanner(nc)
	items, size := 0, 0
	for lines.Scan() && lines.Text() != "END" {
		items += strings.Count(lines.Text(), "key=")
		size += len(lines.Text())
	}
	assert.Equal(t, n, items)
	assert.Greater(t, size, maxQueued)
	assert.Equal(t, "END\r\n", ask(t, nc, "get none\r\n"), "it goes on as before")
}

func TestWhatIsNotAllowed(t *testing.T) {
	_, nc := dialMem(t, Config{Admin: Admin{NoDump: true, NoWatch: true}})
	assert.Equal(t, "ERROR metadump not allowed\r\nCLIENT_ERROR stats cachedump not allowed\r\nCLIENT_ERROR watch commands not allowed\r\n",
		ask(t, nc, "lru_crawler metadump all\r\nstats cachedump 1 1\r\nwatch fetchers\r\n"))
	assert.Contains(t, ask(t, nc, "stats settings\r\n"), "STAT dump_enabled no\r\n")
}

func TestPrefixEnd(t *testing.T) {
	_, nc := dialMem(t, Config{Admin: Admin{PrefixEnd: '/'}})
	ask(t, nc, "get a/b\r\nget c:d\r\n")
	assert.Equal(t, "PREFIX a get 1 hit 0 set 0 del 0\r\nEND\r\n", ask(t, nc, "stats detail dump\r\n"), "it counts from the start")
	assert.Contains(t, ask(t, nc, "stats settings\r\n"), "STAT stat_key_prefix /\r\n")
}
