package nodeserver

import (
	"net"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// feed gives a fresh node's connection the parts, one read after the other, without a
// network, and returns all it would send.
func feed(t *testing.T, users Users, parts ...[]byte) (out string, quit bool) {
	s, err := New(Config{MaxBytes: 1 << 20, Now: func() time.Time { return recorded }, Users: users})
	require.NoError(t, err)
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	c := newConn(s, a, 1)
	c.now = s.clock.sec()
	for _, p := range parts {
		for len(p) > 0 && !c.quit {
			c.room()
			n := copy(c.rbuf[c.w:], p)
			c.w += n
			p = p[n:]
			c.process()
		}
	}
	return string(c.out.buf), c.quit
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
