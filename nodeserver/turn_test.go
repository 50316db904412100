package nodeserver

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func statOf(t *testing.T, stats, name string) int {
	t.Helper()
	m := regexp.MustCompile(`STAT ` + name + ` (\d+)\r`).FindStringSubmatch(stats)
	require.NotNil(t, m, name)
	n, err := strconv.Atoi(m[1])
	require.NoError(t, err)
	return n
}

// manyCommands is a pipeline and its answers: blocks larger than any buffer, and a block
// that is refused, among small commands.
func manyCommands() (send, want string) {
	var in, out strings.Builder
	large := strings.Repeat("v", 150_000)
	for i := range 300 {
		switch i % 100 {
		case 50:
			fmt.Fprintf(&in, "set large 0 0 %d\r\n%s\r\nget large\r\n", len(large), large)
			fmt.Fprintf(&out, "STORED\r\nVALUE large 0 %d\r\n%s\r\nEND\r\n", len(large), large)
		case 70:
			fmt.Fprintf(&in, "set k 0 0 %d\r\n%s\r\n", 2<<20, strings.Repeat("v", 2<<20))
			out.WriteString("SERVER_ERROR object too large for cache\r\n")
		default:
			fmt.Fprintf(&in, "set n 0 0 3\r\n%03d\r\nmg n v\r\n", i)
			fmt.Fprintf(&out, "STORED\r\nVA 3\r\n%03d\r\n", i)
		}
	}
	return in.String(), out.String()
}

// TestTurnsOfCommands: however few commands a connection may have executed in a row, all of
// a pipeline are, in order.
func TestTurnsOfCommands(t *testing.T) {
	send, want := manyCommands()
	for _, loops := range ways {
		for _, turn := range []int{1, 3, 20, 1000} {
			s := startNode(t, Config{Loops: loops, TurnCommands: turn})
			nc := dialNode(t, s)
			go io.WriteString(nc, send)
			got := make([]byte, len(want))
			_, err := io.ReadFull(nc, got)
			require.NoError(t, err)
			require.True(t, want == string(got), "%d loops, %d", loops, turn)
			stats := ask(t, nc, "stats\r\n")
			if turn <= 3 {
				assert.GreaterOrEqual(t, statOf(t, stats, "conn_yields"), 100, "%d loops, %d", loops, turn)
			}
			s.Close()
		}
	}
	s := startNode(t, Config{Loops: -1})
	nc := dialNode(t, s)
	ask(t, nc, strings.Repeat("mg k\r\n", 1000))
	assert.Zero(t, statOf(t, ask(t, nc, "stats\r\n"), "conn_yields"), "only who is told to")
}

// TestShutdownInATurn: commands that were read are answered, though their turn was over when
// the node was told to stop.
func TestShutdownInATurn(t *testing.T) {
	for _, loops := range ways {
		stopping := make(chan error, 1)
		var hold atomic.Bool
		held, release := make(chan struct{}), make(chan struct{})
		var s *Server
		s = startNode(t, Config{Loops: loops, TurnCommands: 2, Admin: Admin{Shutdown: func() {
			go func() { stopping <- s.Shutdown(context.Background()) }()
			<-s.done
		}}, Now: func() time.Time {
			if hold.CompareAndSwap(true, false) {
				close(held)
				<-release
			}
			return time.Now()
		}})
		other, nc := dialNode(t, s), dialNode(t, s)
		ask(t, nc, "")
		ask(t, other, "")
		// All is read, and nothing executed, when the order to stop is sent.
		hold.Store(true)
		_, err := io.WriteString(nc, strings.Repeat("mg k\r\n", 50))
		require.NoError(t, err)
		<-held
		_, err = io.WriteString(other, "shutdown\r\n")
		require.NoError(t, err)
		close(release)
		all, err := io.ReadAll(nc)
		require.NoError(t, err)
		assert.Equal(t, strings.Repeat("EN\r\n", 50), string(all), "%d loops", loops)
		require.NoError(t, <-stopping)
	}
}
