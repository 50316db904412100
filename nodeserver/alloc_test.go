package nodeserver

import (
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestCommandsDoNotAllocate: what a busy node does most costs the collector nothing.
func TestCommandsDoNotAllocate(t *testing.T) {
	s, err := New(Config{})
	require.NoError(t, err)
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	c := newConn(s, a, 1)
	c.now, c.rbuf = s.clock.sec(), make([]byte, readBuf)
	for name, commands := range map[string]string{
		"set":        "set k 7 0 100\r\n" + string(make([]byte, 100)) + "\r\n",
		"get":        "get k\r\nget missing\r\ngets k k k\r\n",
		"ms":         "ms k 100 T0 F7 c\r\n" + string(make([]byte, 100)) + "\r\n",
		"mg":         "mg k v f c t k O123\r\nmg missing v k\r\n",
		"new length": "ms k 10\r\n0123456789\r\nms k 100\r\n" + string(make([]byte, 100)) + "\r\n",
		"counter":    "set n 0 0 1\r\n1\r\nincr n 1\r\nma n v\r\n",
		"delete":     "set d 0 0 1\r\n1\r\ndelete d\r\nmd d q\r\n",
		"touch":      "touch k 0\r\ngat 0 k\r\n",
	} {
		run := func() {
			c.r, c.w = 0, copy(c.rbuf, commands)
			c.process()
			c.out.buf = c.out.buf[:0]
		}
		for range 100 {
			run() // buffers and the first segments grow to their size
		}
		assert.Zero(t, testing.AllocsPerRun(200, run), name)
		assert.Equal(t, c.w, c.r, name)
		assert.Equal(t, len(commands), c.w, name)
	}
}
