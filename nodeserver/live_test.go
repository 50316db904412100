package nodeserver

import (
	"io"
	"net"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/memherd/memherd/nodeserver/stock"
	"github.com/stretchr/testify/require"
)

// stockVersion is the version of the memcached that stands behind the tests that
// compare with it, like "1.6.18". See stock.Need for what happens when there is none.
func stockVersion(t testing.TB) string {
	t.Helper()
	stock.Need(t)
	path, err := stock.Find()
	require.NoError(t, err)
	v, err := stock.Version(path)
	require.NoError(t, err)
	return v
}

// need1618 skips a test that knows how 1.6.18 differs if another version is installed; in CI it fails.
func need1618(t testing.TB) {
	t.Helper()
	switch v := stockVersion(t); {
	case v == Profile1618.String():
	case os.Getenv("CI") == "true":
		t.Fatalf("memcached %s is installed, and the expected differences are known for 1.6.18", v)
	default:
		t.Skipf("memcached %s: the expected differences are known for 1.6.18", v)
	}
}

// farFuture hides TTLs that count down to a fixed date.
var farFuture = regexp.MustCompile(` t\d{9}\b`)

// TestGoldenRepliesLive plays the recorded dialogues to the memcached that is
// installed: the rows on which both recorded servers agree to any version, all rows to
// the version they were recorded from.
func TestGoldenRepliesLive(t *testing.T) {
	srv := stock.ForTest(t)
	version := stockVersion(t)
	played := 0
	for _, c := range loadGolden(t) {
		c := c
		if version != "1.6.18" && c.differs {
			continue
		}
		switch {
		case c.name == "version" || c.name == "version junk":
			c.old = "VERSION " + version + "\r\n"
		case c.oldEnd == "waits":
			continue // that nothing comes cannot be waited for
		}
		if c.name == oneRead || c.name == "stats cachedump" {
			continue // the first depends on how TCP cuts it, the second on background work
		}
		if bad := playLive(srv.Addr(), &c); bad != "" {
			t.Errorf("%s: %s", c.name, bad)
		}
		played++
	}
	t.Logf("%d dialogues played to memcached %s", played, version)
}

func playLive(addr string, c *goldenCase) string {
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		return err.Error()
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(10 * time.Second)) // against a hang, not a measure
	sent := make(chan struct{})                      // big inputs are answered before they are all sent
	go func() { defer close(sent); io.WriteString(nc, c.send) }()
	defer func() { nc.Close(); <-sent }()
	want := c.old
	if c.oldEnd == "closed" {
		got, err := io.ReadAll(nc)
		if e, ok := err.(net.Error); ok && e.Timeout() {
			return "not closed"
		}
		return differ(got, want)
	}
	got := make([]byte, len(want))
	if n, err := io.ReadFull(nc, got); err != nil {
		return err.Error() + " after " + string(got[:n])
	}
	if bad := differ(got, want); bad != "" {
		return bad
	}
	want = "MN\r\n"
	if then, ok := strings.CutPrefix(c.oldEnd, "then "); ok {
		want = then
	}
	<-sent
	if _, err := io.WriteString(nc, "mn\r\n"); err != nil {
		return err.Error()
	}
	got = make([]byte, len(want))
	if n, err := io.ReadFull(nc, got); err != nil {
		return err.Error() + " instead of " + want + " after " + string(got[:n])
	}
	return differ(got, want)
}

func differ(got []byte, want string) string {
	if farFuture.ReplaceAllString(string(got), " t#") != farFuture.ReplaceAllString(want, " t#") {
		return "answered " + string(got) + ", recorded was " + want
	}
	return ""
}
