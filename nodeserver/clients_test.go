package nodeserver

import (
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bradfitz/gomemcache/memcache"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestGomemcache drives the node with somebody else's client.
func TestGomemcache(t *testing.T) {
	s := startNode(t, Config{})
	c := memcache.New(s.Addr().String())
	defer c.Close()

	require.NoError(t, c.Ping())
	require.NoError(t, c.Set(&memcache.Item{Key: "a", Value: []byte("one"), Flags: 7}))
	it, err := c.Get("a")
	require.NoError(t, err)
	assert.Equal(t, "one", string(it.Value))
	assert.EqualValues(t, 7, it.Flags)
	_, err = c.Get("b")
	require.ErrorIs(t, err, memcache.ErrCacheMiss)

	require.ErrorIs(t, c.Add(&memcache.Item{Key: "a", Value: []byte("x")}), memcache.ErrNotStored)
	require.NoError(t, c.Replace(&memcache.Item{Key: "a", Value: []byte("two")}))
	require.NoError(t, c.Append(&memcache.Item{Key: "a", Value: []byte("+")}))
	require.NoError(t, c.Prepend(&memcache.Item{Key: "a", Value: []byte("-")}))
	it, err = c.Get("a")
	require.NoError(t, err)
	assert.Equal(t, "-two+", string(it.Value))

	it.Value = []byte("cas")
	require.NoError(t, c.CompareAndSwap(it))
	require.ErrorIs(t, c.CompareAndSwap(it), memcache.ErrCASConflict)

	require.NoError(t, c.Set(&memcache.Item{Key: "n", Value: []byte("41")}))
	n, err := c.Increment("n", 1)
	require.NoError(t, err)
	assert.EqualValues(t, 42, n)
	n, err = c.Decrement("n", 50)
	require.NoError(t, err)
	assert.EqualValues(t, 0, n)
	_, err = c.Increment("none", 1)
	require.ErrorIs(t, err, memcache.ErrCacheMiss)

	require.NoError(t, c.Touch("n", 100))
	it, err = c.GetAndTouch("n", 0)
	require.NoError(t, err)
	assert.Equal(t, "0 ", string(it.Value), "a shorter number keeps its length")
	many, err := c.GetMulti([]string{"a", "n", "none"})
	require.NoError(t, err)
	assert.Len(t, many, 2)
	require.NoError(t, c.Delete("a"))
	require.ErrorIs(t, c.Delete("a"), memcache.ErrCacheMiss)
	require.NoError(t, c.FlushAll())
	_, err = c.Get("n")
	require.ErrorIs(t, err, memcache.ErrCacheMiss)
}

// tool finds a program of Debian's or skips.
func tool(t *testing.T, name, pkg string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s not installed: apt-get install %s", name, pkg)
		}
		t.Skipf("%s not installed: apt-get install %s", name, pkg)
	}
	return path
}

func TestLibmemcachedTools(t *testing.T) {
	memccp, memccat := tool(t, "memccp", "libmemcached-tools"), tool(t, "memccat", "libmemcached-tools")
	addr := startNode(t, Config{}).Addr().String()
	file := filepath.Join(t.TempDir(), "greeting")
	require.NoError(t, os.WriteFile(file, []byte("hello from a file"), 0o600))
	out, err := exec.Command(memccp, "--servers="+addr, file).CombinedOutput()
	require.NoError(t, err, "%s", out)
	out, err = exec.Command(memccat, "--servers="+addr, "greeting").CombinedOutput()
	require.NoError(t, err, "%s", out)
	assert.Equal(t, "hello from a file", strings.TrimSpace(string(out)))
}

// TestMemccapable runs libmemcached's conformance test, its ASCII half.
func TestMemccapable(t *testing.T) {
	path := tool(t, "memccapable", "libmemcached-tools")
	host, port, err := net.SplitHostPort(startNode(t, Config{}).Addr().String())
	require.NoError(t, err)
	out, err := exec.Command(path, "-a", "-h", host, "-p", port).CombinedOutput()
	require.NoError(t, err, "%s", out)
	assert.Contains(t, string(out), "All tests passed")
	assert.NotContains(t, string(out), "FAIL")
	t.Logf("%d ASCII tests", strings.Count(string(out), "[pass]"))
}

func TestPymemcache(t *testing.T) {
	python := "/usr/bin/python3" // Debian's, to which its packages belong
	if exec.Command(python, "-c", "import pymemcache").Run() != nil {
		if python = tool(t, "python3", "python3-pymemcache"); exec.Command(python, "-c", "import pymemcache").Run() != nil {
			if os.Getenv("CI") == "true" {
				t.Fatal("pymemcache not installed: apt-get install python3-pymemcache")
			}
			t.Skip("pymemcache not installed: apt-get install python3-pymemcache")
		}
	}
	host, port, err := net.SplitHostPort(startNode(t, Config{}).Addr().String())
	require.NoError(t, err)
	const script = `
import sys
from pymemcache.client.base import Client
c = Client((sys.argv[1], int(sys.argv[2])))
assert c.set("a", b"one") and c.get("a") == b"one" and c.get("b") is None
v, cas = c.gets("a")
assert c.cas("a", b"two", cas) is True and c.cas("a", b"three", cas) is False
c.set("n", b"5", noreply=False); assert c.incr("n", 3) == 8 and c.decr("n", 1) == 7
assert c.set_many({"x": b"1", "y": b"2"}) == [] and c.get_many(["x", "y", "z"]) == {"x": b"1", "y": b"2"}
assert c.touch("x", 10, noreply=False) and c.delete("x", noreply=False) and not c.delete("x", noreply=False)
assert c.append("y", b"+", noreply=False) and c.get("y") == b"2+"
assert c.version().startswith(b"1.6.")
assert int(c.stats()[b"curr_items"]) == 3
c.flush_all(noreply=False); assert c.get("a") is None
c.quit()
print("ok")
`
	out, err := exec.Command(python, "-c", script, host, port).CombinedOutput()
	require.NoError(t, err, "%s", out)
	assert.Equal(t, "ok\n", string(out))
}

// TestTelnet types a dialogue into telnet, which sends a line at a time and has no idea of
// the protocol, and waits for each answer.
func TestTelnet(t *testing.T) {
	path := tool(t, "telnet", "telnet")
	for _, loops := range []int{0, -1} {
		host, port, err := net.SplitHostPort(startNode(t, Config{Loops: loops}).Addr().String())
		require.NoError(t, err)
		cmd := exec.Command(path, host, port)
		in, err := cmd.StdinPipe()
		require.NoError(t, err)
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		readUntil(t, out, "Escape character is '^]'.\n")
		for _, line := range []struct{ typed, answer string }{
			{"set greeting 5 0 5", ""}, {"hello", "STORED"},
			{"get greeting", "VALUE greeting 5 5\nhello\nEND"},
			{"mg greeting v f", "VA 5 f5\nhello"},
			{"set n 0 0 1", ""}, {"9", "STORED"}, {"incr n 3", "12"},
			{"get", "CLIENT_ERROR bad command line format"}, {"hello?", "ERROR"},
			{"delete greeting", "DELETED"}, {"get greeting", "END"},
			{"", "CLIENT_ERROR bad command line format"}, {"mn", "MN"},
		} {
			_, err := io.WriteString(in, line.typed+"\n")
			require.NoError(t, err)
			if line.answer != "" {
				got := strings.ReplaceAll(readUntil(t, out, line.answer[strings.LastIndex(line.answer, "\n")+1:]), "\r", "")
				assert.Equal(t, line.answer[:strings.LastIndex(line.answer, "\n")+1], strings.TrimPrefix(got, "\n"), "after %q", line.typed)
			}
		}
		io.WriteString(in, "quit\n")
		_, err = io.ReadAll(out)
		require.NoError(t, err)
		cmd.Wait() // it calls it an error that the other side has closed
	}
}
