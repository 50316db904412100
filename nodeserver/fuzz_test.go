package nodeserver

import (
	"bytes"
	"fmt"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// feed gives a fresh node's connection the parts, one read after the other, without a
// network, and returns all it would send.
func feed(t *testing.T, users Users, parts ...[]byte) (out string, quit bool) {
	c := feedConn(t, users, parts...)
	return string(c.out.buf), c.quit
}

func feedConn(t *testing.T, users Users, parts ...[]byte) *conn {
	s, err := New(Config{MaxBytes: 1 << 20, Now: func() time.Time { return recorded }, Users: users})
	require.NoError(t, err)
	return feedServer(s, parts...)
}

func feedServer(s *Server, parts ...[]byte) *conn {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	c := newConn(s, a, 1)
	c.now, c.rbuf = s.clock.sec(), make([]byte, readBuf) // as serve does
	for _, p := range parts {
		for len(p) > 0 && !c.quit {
			c.room()
			n := copy(c.rbuf[c.w:], p)
			c.w += n
			p = p[n:]
			c.process()
		}
	}
	return c
}

// FuzzNodeStream: whatever is sent, the node answers the same however the stream is
// cut, keeps little in memory, and never panics.
func FuzzNodeStream(f *testing.F) {
	for _, c := range loadGolden(f) {
		if len(c.send) < 1000 && c.name != "watch" {
			f.Add([]byte(c.send), uint16(7), uint16(20))
		}
	}
	f.Add([]byte("ms k 2 T0\r\nhi\r\nmg k v f c\r\nmd k I T30\r\nmg k v N30 R10\r\nma n N0 J5\r\nincr n 3\r\n"), uint16(9), uint16(30))
	f.Add([]byte("stats\nstats settings\r\n"), uint16(7), uint16(20))
	f.Fuzz(func(t *testing.T, in []byte, cut1, cut2 uint16) {
		if len(in) > 1500 {
			return // longer lines may depend on whether they arrive whole
		}
		i := int(cut1) % (len(in) + 1)
		j := i + int(cut2)%(len(in)-i+1)
		whole, quit1 := feed(t, nil, in)
		cut, quit2 := feed(t, nil, in[:i], in[i:j], in[j:])
		require.Equal(t, own.ReplaceAllString(whole, ""), own.ReplaceAllString(cut, ""))
		require.Equal(t, quit1, quit2)
	})
}

// own finds the statistics that differ from server to server and from moment to moment.
var own = regexp.MustCompile(`STAT (pid|rusage_user|rusage_system) \S+\r\n`)

// FuzzNodeMeta: a meta command of any key, flags and block is answered with one reply or
// none, the connection stays in step or is closed, and the reply is no longer than the
// node has reason for.
func FuzzNodeMeta(f *testing.F) {
	for _, flags := range []string{"", "v f c t s k h l Oab q", "T30 N5 R10 E7", "b k", "C5 I F3 MA", "MS s c", "x I T5", "N0 J5 D2 MI v", "!", "O" + strings.Repeat("z", 32)} {
		for kind := range byte(6) {
			f.Add(kind, "k", flags, []byte("12"))
		}
	}
	f.Fuzz(func(t *testing.T, kind byte, key, flags string, block []byte) {
		if strings.ContainsAny(key+flags, "\r\n") || len(key)+len(flags) > 900 || bytes.IndexByte(block, '\n') >= 0 || len(block) > 5000 {
			return // more than one line
		}
		verb := []string{"mg", "ms", "md", "ma", "me", "mn"}[kind%6]
		line := verb + " " + key + " " + flags
		if verb == "ms" {
			line = fmt.Sprintf("ms %s %d %s\r\n%s", key, len(block), flags, block)
		}
		c := feedConn(t, nil, []byte("set k 7 0 2\r\n41\r\n"+line+"\r\nmn\r\n"))
		got, stored := strings.CutPrefix(string(c.out.buf), "STORED\r\n")
		require.True(t, stored)
		if c.quit || c.swallow > 0 || c.need > 0 {
			return // refused for good, or it takes more of what follows for its block
		}
		require.LessOrEqual(t, len(got), 2*len(line)+300, "%q", line)
		lines := strings.SplitAfter(got, "\r\n")
		require.Empty(t, lines[len(lines)-1], "half a line: %q", got)
		for _, l := range lines[:len(lines)-1] {
			require.Regexp(t, metaReply, l, "%q answered %q", line, got)
		}
		require.LessOrEqual(t, len(lines)-1, 4, "%q answered %q", line, got)
		c.out.buf = c.out.buf[:0]
		c.room()
		c.w += copy(c.rbuf[c.w:], "mn\r\n")
		c.process()
		require.Equal(t, "MN\r\n", string(c.out.buf), "%q answered %q", line, got)
	})
}

// metaReply is each line that may come: of the command, of a block that was taken for a
// line, of mn, and the value.
var metaReply = regexp.MustCompile(`^((HD|VA|EN|NF|NS|EX|ME|MN|VALUE|END|OK|VERSION|STORED|DELETED|TOUCHED|NOT_FOUND|ERROR|CLIENT_ERROR|SERVER_ERROR)( .*)?|\d* *)\r\n$`)

// FuzzNodeLogin: nobody gets in without user and password, nothing else is done or
// answered before, and little is kept.
func FuzzNodeLogin(f *testing.F) {
	for _, s := range []string{"set a 0 0 9\r\nuser pass\r\nget a\r\n", "set a 0 0 9\r\nuser p\r\n", "get a\r\n", "set a 0 0 99999\r\n", "set a b c 3\r\nu p\r\n",
		"set a 0 0 9\nuser pass\r\nmn\r\n", "set a 0 0 9\r\nuser pas\r\n\r\nset a 0 0 10\r\nuser  pass\r\nset k 0 0 1\r\nx\r\n"} {
		f.Add([]byte(s), uint16(9))
	}
	users := Users{"user": "pass"}
	f.Fuzz(func(t *testing.T, in []byte, cut uint16) {
		i := int(cut) % (len(in) + 1)
		c := feedConn(t, users, in[:i], in[i:])
		whole, quit := feed(t, users, in)
		if len(in) < maxAuthLine {
			require.Equal(t, own.ReplaceAllString(whole, ""), own.ReplaceAllString(string(c.out.buf), ""))
			require.Equal(t, quit, c.quit)
		}
		if c.authenticated {
			require.True(t, bytes.Contains(in, []byte("user")) && bytes.Contains(in, []byte("pass")))
			return
		}
		require.LessOrEqual(t, len(c.rbuf), 16<<10)
		require.Zero(t, c.srv.store.Stats().Items)
		require.LessOrEqual(t, strings.Count(string(c.out.buf), "\n"), maxAuthFailures)
		for line := range strings.Lines(string(c.out.buf)) {
			require.True(t, strings.HasPrefix(line, "CLIENT_ERROR "), line)
		}
	})
}
