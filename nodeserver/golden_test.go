package nodeserver

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// goldenCase is one block of testdata/golden/replies.txt, which explains the fields.
type goldenCase struct {
	name, send, note string
	head, end        string
	old, oldEnd      string
	node, nodeEnd    string
	differs          bool // old from head
}

func loadGolden(t testing.TB) []goldenCase {
	t.Helper()
	text, err := os.ReadFile("../testdata/golden/replies.txt")
	require.NoError(t, err)
	var cases []goldenCase
	var c *goldenCase
	for i, line := range strings.Split(string(text), "\n") {
		word, rest, _ := strings.Cut(line, " ")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if word == "case" {
			cases = append(cases, goldenCase{name: rest})
			c = &cases[len(cases)-1]
			continue
		}
		value := rest
		switch word {
		case "note":
			c.note = rest
			continue
		case "end", "oldend", "nodeend":
			if then, ok := strings.CutPrefix(rest, "then "); ok {
				value = "then " + unquoteGolden(t, i, then)
			}
		default:
			value = unquoteGolden(t, i, rest)
		}
		switch word {
		case "send":
			c.send = value
		case "head":
			c.head, c.old, c.node = value, value, value
		case "end":
			c.end, c.oldEnd, c.nodeEnd = value, value, value
		case "old":
			c.old, c.differs = value, true
		case "oldend":
			c.oldEnd, c.differs = value, true
		case "node":
			c.node = value
		case "nodeend":
			c.nodeEnd = value
		default:
			t.Fatalf("replies.txt:%d: unknown word %q", i+1, word)
		}
	}
	require.Len(t, cases, 144)
	return cases
}

// unquoteGolden reads "text" 3*"more".
func unquoteGolden(t testing.TB, line int, s string) string {
	t.Helper()
	var out strings.Builder
	for s = strings.TrimSpace(s); s != ""; s = strings.TrimSpace(s) {
		times := 1
		if n, rest, ok := strings.Cut(s, `*"`); ok && s[0] != '"' {
			var err error
			times, err = strconv.Atoi(n)
			require.NoErrorf(t, err, "replies.txt:%d", line+1)
			s = `"` + rest
		}
		quoted, err := strconv.QuotedPrefix(s)
		require.NoErrorf(t, err, "replies.txt:%d: %s", line+1, s)
		text, err := strconv.Unquote(quoted)
		require.NoErrorf(t, err, "replies.txt:%d", line+1)
		out.WriteString(strings.Repeat(text, times))
		s = s[len(quoted):]
	}
	return out.String()
}

// goldenPeer is a connection whose replies are gathered as they come.
type goldenPeer struct {
	nc  io.ReadWriteCloser
	mu  sync.Mutex
	got []byte
	eof bool
}

func newGoldenPeer(nc io.ReadWriteCloser) *goldenPeer {
	p := &goldenPeer{nc: nc}
	go func() {
		buf := make([]byte, 64<<10)
		for {
			n, err := nc.Read(buf)
			p.mu.Lock()
			p.got = append(p.got, buf[:n]...)
			p.eof = err != nil
			p.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return p
}

// exchange sends each part, waits after each until the node rests, and returns what
// was answered.
func (p *goldenPeer) exchange(parts ...string) (got string, closed bool) {
	for _, part := range parts {
		io.WriteString(p.nc, part) // an error shows as closed
		synctest.Wait()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	got, p.got = string(p.got), nil
	return got, p.eof
}

// play runs one case, its input cut into parts, and returns "" or what went wrong.
func play(mem *MemNetwork, t *testing.T, c *goldenCase, parts ...string) string {
	nc, err := mem.DialContext(t.Context(), "", "golden")
	if err != nil {
		return err.Error()
	}
	defer func() { nc.Close(); synctest.Wait() }()
	p := newGoldenPeer(nc)
	got, closed := p.exchange(parts...)
	if got != c.node {
		return fmt.Sprintf("sent %.60q: answered %.100q, want %.100q", parts, got, c.node)
	}
	if closed != (c.nodeEnd == "closed") {
		return fmt.Sprintf("sent %.60q: closed %v, want %q", parts, closed, c.nodeEnd)
	}
	if closed {
		return ""
	}
	want := map[string]string{"mn": "MN\r\n", "waits": ""}[c.nodeEnd]
	if then, ok := strings.CutPrefix(c.nodeEnd, "then "); ok {
		want = then
	}
	if got, _ := p.exchange("mn\r\n"); got != want {
		return fmt.Sprintf("sent %.60q: mn answered %.100q, want %.100q", parts, got, want)
	}
	return ""
}

// recorded is when the golden replies were recorded: one of them counts the seconds
// from then to 2038.
var recorded = time.Unix(1795378559, 0)

func startGolden(t *testing.T) *MemNetwork {
	mem := NewMemNetwork()
	startNode(t, Config{Addr: "golden", Network: mem, Now: func() time.Time { return recorded }})
	return mem
}

func TestGoldenReplies(t *testing.T) {
	cases := loadGolden(t)
	synctest.Test(t, func(t *testing.T) {
		mem := startGolden(t)
		for i := range cases {
			if bad := play(mem, t, &cases[i], cases[i].send); bad != "" {
				t.Errorf("%s: %s", cases[i].name, bad)
			}
		}
	})
}

// oneRead names the case whose reply depends on its line arriving whole: a line of
// more than 2,048 bytes is refused while its end is missing and read when it is there.
const oneRead = "long bogus with newline 4096"

func TestGoldenRepliesByteByByte(t *testing.T) {
	cases := loadGolden(t)
	synctest.Test(t, func(t *testing.T) {
		mem := startGolden(t)
		for i := range cases {
			c := &cases[i]
			parts := bytewise(c.send)
			if c.name == oneRead {
				parts = []string{c.send}
			}
			if bad := play(mem, t, c, parts...); bad != "" {
				t.Errorf("%s: %s", c.name, bad)
			}
		}
	})
}

// bytewise cuts s into single bytes, the inside of long inputs into larger pieces.
func bytewise(s string) []string {
	const edge = 300
	var parts []string
	for len(s) > 0 {
		n := 1
		if len(s) > 2*edge && len(parts) > edge {
			n = len(s) - edge
			if n > 1<<16 {
				n = 1 << 16
			}
		}
		parts = append(parts, s[:n])
		s = s[n:]
	}
	return parts
}

// worthCutting thins out the cuts of long inputs: near both ends, near line ends, and
// near where buffers might end.
func worthCutting(s string, k int) bool {
	const edge = 20
	if len(s) < 2048 || k < edge || k > len(s)-edge || strings.Contains(s[k-2:k+2], "\n") {
		return true
	}
	return len(s) < 1<<20 && k%4096 < 2
}

func TestGoldenRepliesInTwoParts(t *testing.T) {
	cases := loadGolden(t)
	synctest.Test(t, func(t *testing.T) {
		mem := startGolden(t)
		for i := range cases {
			c := &cases[i]
			for k := 1; k < len(c.send); k++ {
				if !worthCutting(c.send, k) || c.name == oneRead && k > 2048 {
					continue
				}
				if bad := play(mem, t, c, c.send[:k], c.send[k:]); bad != "" {
					t.Errorf("%s: %s", c.name, bad)
					break
				}
			}
		}
	})
}
