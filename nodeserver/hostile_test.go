package nodeserver

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/memherd/memherd/nodeserver/stock"
	"github.com/stretchr/testify/require"
)

// playStream sends a stream on a connection of its own, in pieces of any size, ends it, and
// returns all that comes back until the server closes.
func playStream(t *testing.T, addr, stream string, rng *rand.Rand) string {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer nc.Close()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for rest := stream; rest != ""; {
			n := min(1+rng.IntN(len(stream)), len(rest))
			if _, err := io.WriteString(nc, rest[:n]); err != nil {
				return // it has been closed, as some streams deserve
			}
			rest = rest[n:]
		}
		nc.(*net.TCPConn).CloseWrite()
	}()
	var got strings.Builder
	io.Copy(&got, nc) // an error is a reset: closed before all was read
	<-sent
	return got.String()
}

// spoil makes one command of a stream hostile.
func (g *generator) spoil(cmd string) string {
	b := []byte(cmd)
	at := g.rng.IntN(len(b))
	switch g.rng.IntN(12) {
	case 0: // one byte is another
		b[at] = printable(g.rng)
	case 1: // one is missing
		b = append(b[:at], b[at+1:]...)
	case 2: // one too many
		b = append(b[:at], append([]byte{printable(g.rng)}, b[at:]...)...)
	case 3:
		return strings.ReplaceAll(cmd, "\r\n", "\n")
	case 4:
		return strings.Replace(cmd, " ", strings.Repeat(" ", 1+g.rng.IntN(4)), 1)
	case 5:
		return strings.ToUpper(cmd)
	case 6:
		return fmt.Sprintf("%s %s 0 0 %s\r\n%s\r\n", g.pick("set", "add", "append"), g.key, g.pick("5", "0", "1", "-1", "2", "007", "1000000"), g.pick("x", "xyzxyz", "", "xy\r\n", "x\n"))
	case 7:
		return fmt.Sprintf("ms %s %s%s\r\n%s\r\n", g.key, g.pick("5", "0", "1", "-1", "2", "007"), g.flags("T0", "c", "q", "b"), g.pick("x", "xyzxyz", "", "xy\r\n", "x\n"))
	case 8:
		long := strings.Repeat("k", 249+g.rng.IntN(4))
		return g.pick("delete ", "incr ", "touch ", "mg ", "md ", "ma ") + long + g.pick("", " 1", " v", " k1") + "\r\n"
	case 9:
		return g.pick("\x80", "\x81", "\x00", "\r", " ", "\t", "get\x00k0", "\xff\xfe") + g.pick("", "abc", strings.Repeat("\x00", 23)) + g.pick("\r\n", "\n", "")
	case 10:
		return g.pick("GET / HTTP/1.0", "POST /x HTTP/1.1", "get / HTTP/1.1", "HEAD k0", "OPTIONS *", "put k0 1") + "\r\n"
	case 11: // more words than memcached counts
		return g.pick("get", "gets k0", "mg k0", "md k1", "bogus", "gets") + strings.Repeat(" "+g.pick("a", "k0", "v", "1"), g.rng.IntN(40)) + "\r\n"
	}
	return string(b)
}

func printable(rng *rand.Rand) byte { return byte(' ' + rng.IntN('~'-' '+1)) }

// stream is some commands, most of them well-formed, on few keys. None is long: a line is
// refused by its length when it arrives in parts.
func (g *generator) stream() string {
	var b strings.Builder
	for range 1 + g.rng.IntN(8) {
		cmd := ""
		for cmd == "" || len(cmd) > 900 || foreign.MatchString(cmd) {
			cmd = g.command()
		}
		if g.rng.IntN(3) == 0 {
			whole := cmd
			for cmd = g.spoil(whole); foreign.MatchString(cmd) || strays(cmd); {
				cmd = g.spoil(whole)
			}
		}
		b.WriteString(cmd)
		if closes(cmd) || strings.Contains(cmd, "1000000") {
			return b.String()
		}
	}
	return b.String() + "mn\r\n"
}

// strays reports whether 1.6.18 and head are not in step behind the line: with a carriage
// return alone in it or a space before it, which 1.6.18 takes for nothing; with words too
// many or a flag that is no letter, of which only head takes the data block for one; with a
// delete's words that only head ignores; with a plus before a number, which head refuses,
// or a mode that is not one letter, at which head looks less closely; with
// a cas, an me or a touch that is not quite one; a get of too long a key, at which 1.6.18
// forgets replies that wait; and bget, which is not in memcached's protocol text.
func strays(cmd string) bool {
	return stray.MatchString(cmd) || strings.HasPrefix(cmd, "delete") && !plainDelete.MatchString(cmd)
}

var (
	stray = regexp.MustCompile(`^ |^[^\n]*\r([^\n]|\z)|^[^\r\n]* \+|^m[sa] [^\r\n]* M(\S{2}|[ \r\n])|^m[gd] [^\r\n]* M|^ms [^\r\n]* [^a-zA-Z0-9 \r\n]|` +
		`^(set|add|replace|append|prepend|cas)( +[^ \r\n]+){6}|^cas|^(me|touch +\S+ +\S+) +\S+ +\S|^b?gets? [^\r\n]*\S{251}|^bget|^m[sda] [^\r\n]* [ExsNyWS]|^mg [^\r\n]* x`)
	plainDelete = regexp.MustCompile(`^delete +\S+( +noreply| +0)?\r?\n`)
)

// closes reports whether a node closes the connection for the command, where memcached does
// not always. Nothing is sent behind it, or a reset might take replies away that are on
// their way.
func closes(cmd string) bool { return cmd[0] >= 0x80 || http.MatchString(cmd) }

var http = regexp.MustCompile(`(?i)^\s*(GET|POST|HEAD|OPTIONS|PUT) (/|\*|k0)| HTTP/1\.`)

// foreign finds commands whose outcome is not the same on purpose, so that all behind
// them may be different, too: flags newer than 1.6.18, and a version looked up on the
// server, which a stream that is sent as a whole cannot wait for.
var foreign = regexp.MustCompile(`(?s)\$k|^m[sadg] .*( E\d| x\b| s\b| N| !|O\S{31})|^md .* [yWS]|` + // newer flags, other refusals
	`^(incr|decr|ma) |^(bogus|get|mg|set k0|ms k0 abc|me|delete|touch k0|incr k0|verbosity 0)?\r\n`)

// TestHostileStreams plays streams that are wrong in any way to a node and to memcached,
// each on a connection of its own. They have the same items before each: none.
func TestHostileStreams(t *testing.T) {
	stock.Need(t)
	need1618(t)
	old := stock.ForTest(t, "-o", "no_lru_maintainer,no_lru_crawler").Addr()
	node := startNode(t, Config{}).Addr().String()
	seed := uint64(1) // the same each time: another may find a difference between the versions that is not listed yet
	if s, err := strconv.ParseUint(os.Getenv("MEMHERD_SEED"), 10, 64); err == nil {
		seed = s
	}
	g := &generator{rng: rand.New(rand.NewPCG(seed, 2))}
	explained, commands := map[string]int{}, 0
	for i := range scaled(4_000) {
		stream := "flush_all\r\n" + g.stream()
		commands += strings.Count(stream, "\n")
		cuts := g.rng.Uint64()
		a := playStream(t, node, stream, rand.New(rand.NewPCG(cuts, 1)))
		b := playStream(t, old, stream, rand.New(rand.NewPCG(cuts, 1)))
		ma, mb := masked(a), masked(b)
		if ma == mb {
			continue
		}
		why := ""
		for _, d := range hostileDifferences {
			if d.same(stream, ma, mb) {
				why = d.why
				break
			}
		}
		if why == "" {
			t.Fatalf("stream %d: %q\nnode:      %q\nmemcached: %q\nrepeat with MEMHERD_SEED=%d", i, stream, a, b, seed)
		}
		explained[why]++
	}
	t.Logf("%d lines", commands)
	for why, n := range explained {
		t.Logf("%5d × %s", n, why)
	}
}

// hostileDifferences are the ways in which 1.6.18 differs from memcached's head on whole
// streams.
var hostileDifferences = []struct {
	why  string
	same func(stream, node, old string) bool
}{
	{"a refused line: other words, and 1.6.18 has another for the line end behind a refused block", func(_, node, old string) bool {
		return withoutRefusals(node) == withoutRefusals(old)
	}},
	{"the stream ends in what a node closes for, or in half a data block: 1.6.18 then leaves without the replies it has not sent yet, or answers", func(stream, node, old string) bool {
		node, old = withoutRefusals(node), withoutRefusals(old)
		return !strings.HasSuffix(node+old, "MN\r\n") && (strings.HasPrefix(node, old) || closes(stream[strings.LastIndex(stream[:len(stream)-1], "\n")+1:]) && old == node+"END\r\n")
	}},
}

var refusals = regexp.MustCompile(`(?m)^(ERROR|CLIENT_ERROR [^\r\n]*)\r\n`)

// withoutRefusals leaves what the commands did that were understood.
func withoutRefusals(s string) string { return refusals.ReplaceAllString(s, "") }
