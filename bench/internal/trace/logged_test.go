package trace

import (
	"bufio"
	"bytes"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/nodeserver/stock"
)

const (
	dump = "key=a%20b exp=1700000300 la=1700000000 cas=2 fetch=no cls=1 size=162\r\n" + // refused: a space in the key
		"END\r\n"
	watched = "OK\r\nts=1700000001.5 gid=1 type=item_get key=k%3A1 status=found clsid=1 cfd=27 size=100\n" +
		"ts=1700000000.999999 gid=2 type=item_get key=k2 status=not_found clsid=0 cfd=27 size=0\n" +
		"ts=1700000002.0 gid=3 type=conn_close rip=- rport=0 transport=local reason=normal cfd=1\n" +
		"skipped=3\n" +
		"ts=1700000002.7 gid=4 type=item_store key=k2 status=stored cmd=add ttl=60 clsid=1 cfd=27 size=9\n"
)

func TestLoggedFormats(t *testing.T) {
	r, err := NewReader("w", strings.NewReader(watched))
	require.NoError(t, err)
	tr, err := load(r, 0, nil)
	require.NoError(t, err)
	assert.Equal(t, []string{"k:1", "k2"}, tr.Keys)
	assert.Equal(t, []Request{{1, 0, 0, Get}, {0, 100, 0, Get}, {1, 9, 60, Add}}, tr.Reqs, "in the order of their times")
	assert.Equal(t, []int64{0, 6, 1_000_008}, tr.At)

	recs, err := readAll("d", strings.ReplaceAll(dump, "a%20b", "a%2Fb"))
	require.NoError(t, err)
	assert.Equal(t, []Record{{Key: "a/b", Time: 1_700_000_000, TTL: 300, ValueSize: 162 - itemOverhead - 4}}, recs)
	for text, want := range map[string]string{
		dump:                                                     "t:1: the key holds a space",
		"key=%zz exp=-1 la=1 size=80\n":                          "t:1: key: \"%zz\" is not URL-encoded",
		"key=a exp=-1 la=x size=80\n":                            "t:1: la",
		"key=a exp=y la=1 size=80\n":                             "t:1: exp",
		"key=a exp=-1 la=1 size=9999999\n":                       "t:1: size",
		"ts=1 type=item_get key=a\n":                             "t:1: ts: want seconds.microseconds",
		"ts=1.1000000 type=item_get key=a\n":                     "t:1: ts: want microseconds",
		"ts=1.1 type=item_lost key=a\n":                          "t:1: type",
		"ts=1.1 type=item_store key=a cmd=set ttl=soon size=1\n": "t:1: ttl",
		"OK\r\nhello\n":                                          "t:2: want words name=value",
		"ts=1.1 type=item_get status=found\n":                    "t:1: the key is empty",
	} {
		_, err := readAll("t", text)
		assert.ErrorContains(t, err, want, "%q", text)
	}
	path := filepath.Join(t.TempDir(), "t")
	require.NoError(t, os.WriteFile(path, []byte("OK\nEND\n"), 0o644))
	_, err = Load(path, 0, nil)
	assert.ErrorContains(t, err, "the trace has no requests")
}

func TestSecondsAreSpread(t *testing.T) {
	r, err := NewReader("t", strings.NewReader("5,a,1,10,1,get,0\n5,b,1,5,1,set,60\n7,a,1,30,1,get,0\n"))
	require.NoError(t, err)
	tr, err := load(r, 0, nil)
	require.NoError(t, err)
	assert.Equal(t, []int64{0, 500_000, 2_000_000}, tr.At)
	r, err = NewReader("t", strings.NewReader("1\n2\n"))
	require.NoError(t, err)
	tr, err = load(r, 0, nil)
	require.NoError(t, err)
	assert.Nil(t, tr.At)
}

// lastOfDump is a line that ends a dump, or is instead of one.
var lastOfDump = regexp.MustCompile(`(?m)^(END|BUSY|NOTSTARTED|[A-Z_]*ERROR|BADCLASS)[^\n]*\n\z`)

// TestWhatMemcachedPrints reads what the real one prints: a dump, and what its watchers see.
func TestWhatMemcachedPrints(t *testing.T) {
	srv := stock.ForTest(t)
	dial := func() net.Conn {
		nc, err := net.Dial("tcp", srv.Addr())
		require.NoError(t, err)
		t.Cleanup(func() { nc.Close() })
		return nc
	}
	watch, nc := dial(), dial()
	until := func(nc net.Conn, ends ...string) string {
		var got bytes.Buffer
		buf := make([]byte, 4096)
		for {
			n, err := nc.Read(buf)
			got.Write(buf[:n])
			require.NoError(t, err, "so far: %q", got.String())
			all := true
			for _, e := range ends {
				all = all && strings.Contains(got.String(), e)
			}
			if all && strings.HasSuffix(got.String(), "\n") {
				return got.String()
			}
		}
	}
	_, err := watch.Write([]byte("watch fetchers mutations\r\n"))
	require.NoError(t, err)
	seen := until(watch, "OK\r\n")
	_, err = nc.Write([]byte("set k:1 0 60 5\r\nhello\r\nget k:1\r\nget none\r\n"))
	require.NoError(t, err)
	until(nc, "STORED", "hello", "END\r\nEND")
	seen += until(watch, "key=none")
	r, err := NewReader("w", strings.NewReader(seen))
	require.NoError(t, err)
	tr, err := load(r, 0, nil)
	require.NoError(t, err, "%q", seen)
	assert.Equal(t, []string{"k:1", "none"}, tr.Keys)
	require.Len(t, tr.Reqs, 4)
	assert.Equal(t, Request{Key: 0}, tr.Reqs[0], "the server's own look before it stores")
	assert.Equal(t, Request{Key: 0, ValueSize: 5, TTL: 60, Op: Set}, tr.Reqs[1])
	assert.Equal(t, Request{Key: 0, ValueSize: 5}, tr.Reqs[2])
	assert.Equal(t, Request{Key: 1}, tr.Reqs[3])
	assert.Less(t, time.Duration(tr.At[3])*time.Microsecond, time.Minute)

	got := "BUSY"
	for strings.HasPrefix(got, "BUSY") { // while memcached's own crawl, its first thing after it has started, is not over
		_, err = nc.Write([]byte("lru_crawler metadump all\r\n"))
		require.NoError(t, err)
		in := bufio.NewReader(nc)
		for got = ""; !lastOfDump.MatchString(got); {
			line, err := in.ReadString('\n')
			require.NoError(t, err, "so far: %q", got)
			got += line
		}
	}
	recs, err := readAll("d", got)
	require.NoError(t, err, "%q", got)
	require.Len(t, recs, 1)
	assert.Equal(t, "k:1", recs[0].Key)
	assert.EqualValues(t, 5, recs[0].ValueSize)
	assert.InDelta(t, 60, recs[0].TTL, 2)
}
