package nodeserver

import (
	"regexp"
	"strings"
	"testing"

	"github.com/memherd/memherd/nodeserver/stock"
	"github.com/stretchr/testify/assert"
)

// TestEveryFlagAgainstMemcached plays each command with each of its flags, alone and where
// it matters in states that the flag reads, to a node and to memcached 1.6.18. want is the
// node's answer where 1.6.18 does not have the flag or answers otherwise; "" is the same
// answer as memcached's.
func TestEveryFlagAgainstMemcached(t *testing.T) {
	old := newDuel(t, stock.ForTest(t, "-o", "no_lru_maintainer,no_lru_crawler", "-A").Addr())
	need1618(t)
	node := newDuel(t, startNode(t, Config{}).Addr().String())
	const (
		item  = "set k 7 0 5\r\nhello\r\n"
		stale = item + "md k I T30\r\n"
	)
	for _, c := range []struct{ name, send, want string }{
		{"mg", item + "mg k\r\nmg none\r\n", ""},
		{"mg b", "ms a2V5 2 b\r\nhi\r\nmg a2V5 b k v\r\nmg key v\r\n", ""},
		{"mg c", item + "mg k c\r\n", ""},
		{"mg f", item + "mg k f\r\n", ""},
		{"mg h", item + "mg k h\r\nmg k h\r\n", ""},
		{"mg k", item + "mg k k\r\nmg none k\r\n", ""},
		{"mg l", item + "mg k l\r\n", ""},
		{"mg O", item + "mg k Oabc\r\nmg none Oabc\r\n", ""},
		{"mg q", item + "mg none q\r\nmg k q v\r\n", ""},
		{"mg s", item + "mg k s\r\nmg k s v\r\n", ""},
		{"mg t", item + "mg k t\r\n", ""},
		{"mg v", item + "mg k v\r\n", ""},
		{"mg all", item + "mg k s v t f c k h l O9\r\n", ""},
		{"mg N", "mg k N30 v t\r\nmg k N30 v\r\n", ""},
		{"mg R", "set k 0 20 1\r\nx\r\nmg k R30 v\r\nmg k R30 v\r\nmg k R5 v\r\n", ""},
		{"mg T", item + "mg k T90 t\r\nmg k t\r\nmg k T-1\r\nmg k\r\n", ""},
		{"mg E", "mg k N30 E77 c v\r\nmg k c\r\n", "VA 0 c77 W\r\n\r\nHD c77 Z\r\n"},
		{"mg win, stale", stale + "mg k v c\r\nmg k v\r\nms k 1 T0\r\nx\r\nmg k v\r\n", ""},
		{"ms", "ms k 2\r\nhi\r\nmg k v f t\r\n", ""},
		{"ms b", "ms a2V5 2 b k\r\nhi\r\nget key\r\n", ""},
		{"ms c", "ms k 2 c\r\nhi\r\n", ""},
		{"ms C", item + "ms k 2 C$k \r\nhi\r\nms k 2 C1\r\nhi\r\nmg k v\r\nms none 1 C5\r\nx\r\n", ""},
		{"ms E", "ms k 2 E77 c\r\nhi\r\nmg k c\r\n", "HD c77\r\nHD c77\r\n"},
		{"ms F", "ms k 2 F9\r\nhi\r\nmg k f\r\n", ""},
		{"ms I", item + "ms k 2 C999999999 I\r\nhi\r\nms k 2 C2 I T30\r\nhi\r\nmg k v\r\n", ""},
		{"ms k O", "ms k 2 k Oab\r\nhi\r\n", ""},
		{"ms q", "ms k 2 q\r\nhi\r\nms k 2 q ME\r\nhi\r\n", ""},
		{"ms s", "ms k 2 s\r\nhi\r\n", "HD s2\r\n"},
		{"ms T", "ms k 2 T50\r\nhi\r\nmg k t\r\n", ""},
		{"ms M", "ms k 1 ME\r\na\r\nms k 1 ME\r\nb\r\nms k 1 MA\r\nc\r\nms k 1 MP\r\nd\r\nms k 1 MR\r\ne\r\nms none 1 MR\r\nf\r\nms k 1 MS\r\ng\r\nmg k v\r\nms k 1 MX\r\nh\r\n", ""},
		{"ms lower case M", "ms k 1 Me\r\na\r\nms k 1 Ma\r\nb\r\nms k 1 Mp\r\nc\r\nms k 1 Mr\r\nd\r\nms k 1 Ms\r\ne\r\nmg k v\r\n", ""},
		{"ms N vivifies", "ms k 2 MA N60\r\nhi\r\nms k 1 MP N60\r\n!\r\nmg k v t\r\n", "HD\r\nHD\r\nVA 3 t60\r\n!hi\r\n"},
		{"ms missing append", "ms k 2 MA\r\nhi\r\n", ""},
		{"md", item + "md k\r\nmd k\r\n", ""},
		{"md b", "ms a2V5 2 b\r\nhi\r\nmd a2V5 b k\r\n", ""},
		{"md q", item + "md k q\r\nmd k q\r\n", ""},
		{"md k O", item + "md k k O5\r\nmd k k O5\r\n", ""},
		{"md C", item + "md k C1\r\nmd k C$k \r\nmg k\r\n", ""},
		{"md I T", item + "md k I T40\r\nmg k t v c\r\nmg k t v\r\n", ""},
		{"md E", item + "md k I E99\r\nmg k c\r\n", "STORED\r\nHD\r\nHD c99 X W\r\n"},
		{"md x", item + "md k x\r\nmg k v f\r\n", "STORED\r\nHD\r\nVA 0 f0\r\n\r\n"},
		{"ma", "set k 0 0 2\r\n10\r\nma k\r\nma k v\r\nma none\r\n", ""},
		{"ma N J", "ma k N0 J13 v\r\nma k N0 J13 v\r\n", ""},
		{"ma D M", "set k 0 0 2\r\n10\r\nma k D5 v\r\nma k D3 MD v\r\nma k D3 MI v\r\nma k M+ v\r\nma k M- v\r\nma k Mi v\r\nma k Md v\r\nma k D50 MD v\r\n", ""},
		{"ma T t", "set k 0 0 2\r\n10\r\nma k T60 t\r\nma k t v\r\n", ""},
		{"ma c C", "set k 0 0 2\r\n10\r\nma k c\r\nma k C1\r\nma k C$k v\r\n", ""},
		{"ma q k O b", "set k 0 0 2\r\n10\r\nma k q\r\nma k k O5\r\nma none q\r\nma aw== b k\r\n", ""},
		{"ma E", "set k 0 0 2\r\n10\r\nma k E88 c\r\n", "STORED\r\nHD c88\r\n"},
		{"incr a long number", "set k 0 0 40\r\n" + strings.Repeat("0", 30) + "1234567890\r\nincr k 1\r\nget k\r\n", ""},
		{"decr behind spaces", "set k 0 0 100\r\n" + strings.Repeat(" ", 98) + "42\r\ndecr k 2\r\nget k\r\n", ""},
		{"ma not a long number", "set k 0 0 40\r\n" + strings.Repeat("0", 39) + "x\r\nma k\r\n", ""},
		{"ma not a number", item + "ma k\r\n", ""},
		{"me", item + "me k\r\nme none\r\n", ""},
		{"noreply", "set k 0 0 1 noreply\r\nx\r\nadd k 0 0 1 noreply\r\ny\r\nappend k 0 0 1 noreply\r\nz\r\nget k\r\ndelete k noreply\r\nincr k 1 noreply\r\ntouch k 1 noreply\r\nflush_all noreply\r\nverbosity 0 noreply\r\n", ""},
		{"gat", item + "gat 50 k\r\nmg k t\r\ngats 0 k none\r\nmg k t\r\n", ""},
		{"verbosity", "verbosity 1\r\nverbosity 0\r\n", ""},
		{"cache_memlimit", "cache_memlimit 4\r\ncache_memlimit 64\r\n", ""},
		{"flush_all", item + "flush_all 0\r\nget k\r\nflush_all 900\r\nflush_all\r\nflush_all 0 noreply\r\n", ""},
		{"shutdown", "shutdown bogus\r\n", "SERVER_ERROR: shutdown not enabled\r\n"}, // memcached runs with -A
		{"debugtime", "debugtime p\r\n", ""},
		{"lru_crawler", "lru_crawler\r\n", ""},
		{"lru_crawler metadump", "lru_crawler metadump none\r\n", "BADCLASS invalid class id\r\n"}, // memcached runs without a crawler
		{"stats detail", "stats detail on\r\nset a:b 0 0 1\r\nx\r\nget a:b\r\nget a:c\r\nstats detail dump\r\nstats detail off\r\nstats detail\r\n", ""},
		{"stats reset", "stats reset\r\n", ""},
		{"stats sizes", "stats sizes\r\nstats sizes_enable\r\n" + item + "stats sizes\r\nstats sizes_disable\r\nstats sizes\r\n", ""},
		{"watch", "watch bogus\r\n", ""},
		{"config get cluster", "config get cluster\r\n", ""},
	} {
		for _, d := range []*duel{node, old} {
			d.ask("flush_all\r\nstats reset\r\n")
			d.ask("set k1 0 0 0\r\n\r\n") // no version of k is 1 or 2
			d.ask("set k1 0 0 0\r\n\r\n")
		}
		a, b := plays(node, c.send), plays(old, c.send)
		if c.want != "" {
			assert.True(t, strings.HasPrefix(a, c.want), "%s: %q answered %q, want %q", c.name, c.send, a, c.want)
			assert.NotEqual(t, masked(a), masked(b), "%s: memcached answers the same: list it as that", c.name)
			continue
		}
		assert.Equal(t, masked(b), masked(a), "%s: %q", c.name, c.send)
	}
}

var command = regexp.MustCompile(`(?s)^(?:(?:set|add|append|ms) [^\r]*\r\n[^\r]*\r\n|[^\r]*\r\n)`)

// plays asks the commands one by one, so that one may name the version the one before made.
func plays(d *duel, send string) string {
	var out strings.Builder
	for send != "" {
		cmd := command.FindString(send)
		send = send[len(cmd):]
		filled := cmd
		if strings.Contains(cmd, "$k ") {
			filled = strings.ReplaceAll(cmd, "$k ", cas(d, "k")+" ")
		}
		out.WriteString(d.ask(filled))
	}
	return out.String()
}

func cas(d *duel, key string) string {
	m := casInDebug.FindStringSubmatch(d.ask("me " + key + "\r\n"))
	if m == nil {
		return "12345"
	}
	return m[1]
}
