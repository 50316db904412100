package nodeserver

import (
	"bufio"
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

// scaled multiplies a random test's size by MEMHERD_SCALE.
func scaled(n int) int {
	if f, err := strconv.ParseFloat(os.Getenv("MEMHERD_SCALE"), 64); err == nil && f > 0 {
		n = int(float64(n) * f)
	}
	return max(n, 10)
}

// duel is one connection to one of the two servers.
type duel struct {
	t  testing.TB
	nc net.Conn
	br *bufio.Reader
}

func newDuel(t testing.TB, addr string) *duel {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	t.Cleanup(func() { nc.Close() })
	return &duel{t: t, nc: nc, br: bufio.NewReader(nc)}
}

// ask sends one command and mn, and returns what came before MN.
func (d *duel) ask(cmd string) string {
	d.t.Helper()
	_, err := io.WriteString(d.nc, cmd+"mn\r\n")
	require.NoError(d.t, err)
	var out strings.Builder
	for {
		line, err := d.br.ReadString('\n')
		require.NoErrorf(d.t, err, "%.200q answered %q", cmd, out.String())
		if line == "MN\r\n" {
			return out.String()
		}
		out.WriteString(line)
	}
}

var casInDebug = regexp.MustCompile(` cas=(\d+) `)

// fill replaces $key by the CAS the key has on this server, 12345 if it has none.
func (d *duel) fill(cmd string) string {
	for {
		i := strings.IndexByte(cmd, '$')
		if i < 0 {
			return cmd
		}
		key := cmd[i+1 : i+3]
		cas := "12345"
		if m := casInDebug.FindStringSubmatch(d.ask("me " + key + "\r\n")); m != nil {
			cas = m[1]
		}
		cmd = cmd[:i] + cas + cmd[i+3:]
	}
}

var masks = []struct {
	re *regexp.Regexp
	to string
}{
	{regexp.MustCompile(` c\d+\b`), " c#"},
	{regexp.MustCompile(`cas=\d+`), "cas=#"},
	{regexp.MustCompile(`(VALUE \S+ \d+ \d+) \d+\r`), "$1 #\r"},
	// The servers' seconds do not tick together, and memcached notes not every access.
	{regexp.MustCompile(` t42949\d+\b`), " t0"}, // memcached: 0 minus a second or more
	{regexp.MustCompile(` t[1-9]\d*\b`), " t+"},
	{regexp.MustCompile(` l\d+\b`), " l#"},
	{regexp.MustCompile(`exp=-?\d+ la=\d+`), "exp=# la=#"},
}

func masked(s string) string {
	for _, m := range masks {
		s = m.re.ReplaceAllString(s, m.to)
	}
	return s
}

// expectedDifferences are the ways in which Debian's 1.6.18 differs from memcached's
// head, whom a node follows.
var expectedDifferences = []struct {
	why  string
	same func(cmd, node, old string) bool
}{
	{"a line with too few tokens or a bad number: head says why, 1.6.18 ERROR or another word", func(cmd, node, old string) bool {
		const bad = "CLIENT_ERROR bad command line format\r\n"
		return strings.HasPrefix(node, bad) && (strings.HasPrefix(old, "ERROR\r\n") || strings.HasPrefix(old, bad) || old == "CLIENT_ERROR invalid flag\r\n")
	}},
	{"a flag that is no letter: head refuses before all else and does not swallow the block", func(cmd, node, old string) bool {
		return strings.Contains(cmd, " !") && strings.HasPrefix(old, "CLIENT_ERROR ")
	}},
	{"md says which flag is wrong; 1.6.18 says only that one is", func(cmd, node, old string) bool {
		return strings.HasPrefix(cmd, "md") && strings.HasPrefix(node, "CLIENT_ERROR ") && old == "CLIENT_ERROR invalid or duplicate flag\r\n"
	}},
	{"a counter of 2^63 or more: 1.6.18 looks for a minus sign beyond its end, in whatever lies there", func(cmd, node, old string) bool {
		return old == notNumber+"\r\n" && (strings.HasPrefix(cmd, "ma") || len(node) >= len("9223372036854775808") || wrapped(cmd, node))
	}},
	{"q on ma that creates the counter: head is quiet, 1.6.18 is not", func(cmd, node, old string) bool {
		return strings.HasPrefix(cmd, "ma") && strings.Contains(cmd, " q") && strings.Contains(cmd, " N") && node == "" && (strings.HasPrefix(old, "HD") || strings.HasPrefix(old, "VA"))
	}},
	{"an s on ms is newer", func(cmd, node, old string) bool {
		return strings.HasPrefix(cmd, "ms ") && regexp.MustCompile(` s\d+`).ReplaceAllString(node, "") == old
	}},
	{"flags newer than 1.6.18: x on md, N on ms", func(cmd, node, old string) bool {
		return regexp.MustCompile(`^md .* x[ \r]|^ms .* N\d`).MatchString(cmd) && strings.HasPrefix(old, "CLIENT_ERROR ")
	}},
	{"E twice: head refuses it, 1.6.18 was sent none", func(cmd, node, old string) bool {
		return regexp.MustCompile(` E\d+.* E\d`).MatchString(cmd) && strings.HasPrefix(node, "CLIENT_ERROR ")
	}},
}

// ownVersion finds a flag that 1.6.18 does not know, but which changes nothing that can be
// seen but the CAS, and that is masked: 1.6.18 is sent the same command without it.
var ownVersion = regexp.MustCompile(` E\d+`)

// wrapped reports whether a counter was so large that adding to it went past 2^64.
func wrapped(cmd, node string) bool {
	words := strings.Fields(cmd)
	if len(words) < 3 || words[0] != "incr" {
		return false
	}
	delta, err := strconv.ParseUint(strings.TrimPrefix(words[2], "+"), 10, 63)
	sum, bad := strconv.ParseUint(strings.TrimSpace(node), 10, 64)
	return err == nil && bad == nil && sum < delta
}

// newer finds commands that use what 1.6.18 does not have.
var newer = regexp.MustCompile(`^m[gsda] .* (E\d+.* E\d|x[ \r]|MA .*N|MP .*N|N.* M[AP])`)

// silentCount finds changes of a counter that are not answered.
var silentCount = regexp.MustCompile(`^(incr|decr) .* noreply`)

func TestDifferentialAgainstMemcached(t *testing.T) {
	// Without its background threads: they hold items for moments, and an incr of a held
	// item makes a new item instead of changing the old one in place.
	old := newDuel(t, stock.ForTest(t, "-o", "no_lru_maintainer,no_lru_crawler").Addr())
	need1618(t)
	node := newDuel(t, startNode(t, Config{}).Addr().String())
	seed := uint64(os.Getpid())
	if s, err := strconv.ParseUint(os.Getenv("MEMHERD_SEED"), 10, 64); err == nil {
		seed = s
	}
	g := &generator{rng: rand.New(rand.NewPCG(seed, 1))}
	for _, d := range []*duel{node, old} {
		d.ask(strings.Repeat("set k0 0 0 0\r\n\r\n", 3)) // no item has version 1, which commands name
	}
	explained := map[string]int{}
	var history []string
	for i := range scaled(100_000) {
		cmd := g.command()
		a, b := node.ask(node.fill(cmd)), old.ask(old.fill(ownVersion.ReplaceAllString(cmd, "")))
		history = append(history, fmt.Sprintf("%.80q -> %.60q | %.60q", cmd, a, b))
		if ma, mb := masked(a), masked(b); ma != mb {
			why := ""
			for _, d := range expectedDifferences {
				if d.same(cmd, ma, mb) {
					why = d.why
					break
				}
			}
			if why == "" {
				t.Fatalf("command %d: %q\nnode:      %q\nmemcached: %q\nbefore:\n%s\nrepeat with MEMHERD_SEED=%d",
					i, cmd, a, b, strings.Join(history[max(0, len(history)-12):], "\n"), seed)
			}
			explained[why]++
		}
		// Where the servers may now hold different items the key starts afresh: a flag
		// 1.6.18 does not know, or an opaque that memcached refuses only when it has done
		// all the rest, or a large counter, which 1.6.18 may have refused without saying so.
		silent := false
		if silentCount.MatchString(cmd) {
			look := "get " + g.key + "\r\n"
			old.ask(look)
			silent = len(node.ask(look)) >= len("VALUE k0 0 19\r\n9223372036854775808\r\nEND\r\n")
		}
		if newer.MatchString(cmd) || silent || strings.Contains(a, "opaque token too long") || a != b && strings.HasPrefix(b, notNumber) {
			node.ask("md " + g.key + "\r\n")
			old.ask("md " + g.key + "\r\n")
		}
	}
	for why, n := range explained {
		t.Logf("%5d × %s", n, why)
	}
}

// generator makes commands that are valid, or nearly, on few keys.
type generator struct {
	rng *rand.Rand
	key string // of the last command
}

func (g *generator) pick(words ...string) string { return words[g.rng.IntN(len(words))] }

func (g *generator) number() string {
	switch g.rng.IntN(12) {
	case 0:
		return g.pick("-1", "abc", "1x", "+1", "0x1", "18446744073709551615", "18446744073709551616", "4294967296", "99999999999")
	case 1:
		return "0"
	}
	return strconv.Itoa(g.rng.IntN(120))
}

func (g *generator) exptime() string {
	// Either for long or over at once: in between the servers' clocks decide.
	return g.pick("0", "0", "5000", "700", "-1", "2592001", "90000", "4000000000", "abc", "1x")
}

// version is one to be given: above 1 and below 999999998, which commands compare with.
func (g *generator) version() string { return g.pick("777", "5000000", "123456789") }

func (g *generator) value() string {
	switch g.rng.IntN(6) {
	case 0:
		return ""
	case 1:
		return strconv.FormatUint(g.rng.Uint64(), 10)
	case 2:
		return g.pick("1 ", "9", "99", " 7", "-3", "18446744073709551615", "hi", "1\r\n2")
	case 3:
		return strings.Repeat("v", g.rng.IntN(3000))
	}
	return strconv.Itoa(g.rng.IntN(1000))
}

func (g *generator) command() string {
	g.key = g.pick("k0", "k1", "k2", "k3", "k4")
	value := g.value()
	n := strconv.Itoa(len(value))
	noreply := g.pick("", "", "", " noreply", " junk")
	switch g.rng.IntN(20) {
	case 0, 1:
		return fmt.Sprintf("%s %s %s %s %s%s\r\n%s\r\n", g.pick("set", "add", "replace", "append", "prepend"), g.key, g.pick("0", "7", "123", "4294967295", "4294967296"), g.pick("0", "5000", "-1"), n, noreply, value)
	case 2:
		return fmt.Sprintf("cas %s 1 0 %s %s%s\r\n%s\r\n", g.key, n, g.pick("$"+g.key, "0", "1", "999999999"), noreply, value)
	case 3:
		return fmt.Sprintf("%s %s %s\r\n", g.pick("get", "gets"), g.key, g.pick("", "k1", "k2 k3", strings.Repeat("x", 249)))
	case 4:
		return fmt.Sprintf("%s %s %s\r\n", g.pick("gat", "gats"), g.pick("0", "5000", "-1", "abc"), g.key)
	case 5:
		return fmt.Sprintf("%s %s %s%s\r\n", g.pick("incr", "decr"), g.key, g.number(), noreply)
	case 6:
		return fmt.Sprintf("touch %s %s%s\r\n", g.key, g.exptime(), noreply)
	case 7:
		return fmt.Sprintf("delete %s%s\r\n", g.key, g.pick("", " noreply", " 0"))
	case 8:
		return g.pick("flush_all\r\n", "bogus\r\n", "\r\n", "get\r\n", "mg\r\n", "set k0\r\n", "verbosity 0\r\n", "ms k0 abc\r\n", "me\r\n", "delete\r\n", "touch k0\r\n", "incr k0\r\n", "stats bogus\r\n")
	case 9:
		return "me " + g.key + "\r\n"
	case 10, 11, 12:
		return "mg " + g.key + g.flags("v", "v", "v", "f", "c", "t", "k", "s", "h", "q", "u", "Oab", "T"+g.exptime(), "N"+g.pick("5000", "0", "700"), "R"+g.pick("30", "6000"), "E"+g.version(), "Pxx", "v") + "\r\n"
	case 13, 14, 15:
		return "ms " + g.key + " " + n + g.flags("c", "k", "q", "Oab", "F"+g.pick("5", "0", "9"), "T"+g.exptime(), "M"+g.pick("E", "A", "P", "R", "S", "S", "Z"), "C"+g.pick("$"+g.key, "1", "999999999"), "I", "s", "E"+g.version(), "Lyy") + "\r\n" + value + "\r\n"
	case 16, 17:
		return "md " + g.key + g.flags("q", "k", "Oxyz", "I", "I", "T"+g.pick("5000", "0", "700"), "C"+g.pick("$"+g.key, "999999998"), "E"+g.version(), "x") + "\r\n"
	case 18:
		return "ma " + g.key + g.flags("v", "v", "t", "c", "k", "q", "Oq", "N"+g.pick("5000", "0"), "J"+g.number(), "D"+g.number(), "M"+g.pick("I", "D", "+", "-", "Q"), "C"+g.pick("$"+g.key, "999999998"), "E"+g.version()) + "\r\n"
	default:
		bin := g.pick("a2I=", "QUJD", "@@@", "a")
		if g.rng.IntN(2) == 0 {
			return "mg " + bin + " b" + g.flags("v", "k", "f", "Oab", "q") + "\r\n"
		}
		return "ms " + bin + " " + n + " b" + g.flags("k", "Oab", "T0") + "\r\n" + value + "\r\n"
	}
}

// flags draws some of the flags, now and then one twice or an unknown one.
func (g *generator) flags(of ...string) string {
	var out strings.Builder
	used := map[byte]bool{}
	for range g.rng.IntN(5) {
		f := of[g.rng.IntN(len(of))]
		if used[f[0]] && g.rng.IntN(20) > 0 {
			continue
		}
		used[f[0]] = true
		out.WriteString(" " + f)
	}
	if g.rng.IntN(60) == 0 {
		out.WriteString(" " + g.pick("!", "y", "W", "S1", "O"+strings.Repeat("z", 31), "O"+strings.Repeat("z", 32)))
	}
	return out.String()
}
