package nodebench

import (
	"bufio"
	"context"
	"math/rand/v2"
	"net"
	"os"
	"testing"
	"time"

	"github.com/memherd/memherd/bench/internal/versus"
	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/nodeserver/stock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func node(t *testing.T) Server {
	s, err := nodeserver.Start(nodeserver.Config{})
	require.NoError(t, err)
	t.Cleanup(func() { s.Close() })
	return Server{Name: "node", Addr: s.Addr().String()}
}

// TestRowsAreAnsweredAsTheySay: the loader trusts lengths, so they have to be right.
func TestRowsAreAnsweredAsTheySay(t *testing.T) {
	s := node(t)
	require.NoError(t, s.Fill())
	for _, row := range Rows() {
		nc, err := net.Dial("tcp", s.Addr)
		require.NoError(t, err)
		br := bufio.NewReader(nc)
		rng := rand.New(rand.NewPCG(1, 1))
		for range 20 {
			req, ops, n := row.batch(nil, rng)
			assert.Positive(t, ops)
			_, err := nc.Write(append(req, "mn\r\n"...))
			require.NoError(t, err)
			reply := make([]byte, n+len("MN\r\n"))
			for got := 0; got < len(reply); {
				k, err := br.Read(reply[got:])
				require.NoError(t, err)
				got += k
			}
			require.Equal(t, "MN\r\n", string(reply[n:]), row.Name)
		}
		nc.Close()
	}
}

func TestTurn(t *testing.T) {
	s := node(t)
	require.NoError(t, s.Fill())
	used := time.Duration(0)
	s.CPU = func() (time.Duration, error) { used += time.Second; return used, nil }
	for _, row := range Rows() {
		turn, err := s.Turn(row)(t.Context(), versus.Slot{Length: 20 * time.Millisecond, Seed: 3})
		require.NoError(t, err, row.Name)
		assert.Positive(t, turn.OpsPerS)
		assert.Positive(t, turn.ServerCPU)
		assert.GreaterOrEqual(t, turn.P99, turn.P50)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Turn(Rows()[0])(ctx, versus.Slot{Length: time.Millisecond})
	require.ErrorIs(t, err, context.Canceled)
}

func TestTurnMindsWrongReplies(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		nc, err := ln.Accept()
		if err != nil {
			return
		}
		defer nc.Close()
		buf := make([]byte, 1<<16)
		for {
			if _, err := nc.Read(buf); err != nil {
				return
			}
			nc.Write(buf)
		}
	}()
	s := Server{Name: "echo", Addr: ln.Addr().String()}
	row := Rows()[2]
	row.Conns = 1
	_, err = s.Turn(row)(t.Context(), versus.Slot{Length: time.Second})
	require.Error(t, err)
	ln.Close()
	<-done
	require.Error(t, s.Fill(), "nobody listens")
}

func TestMemory(t *testing.T) {
	m := stock.ForTest(t)
	s := Server{Name: "memcached", Addr: m.Addr()}
	per, err := s.Memory(m.Pid(), 100_000)
	if _, statErr := os.Stat("/proc/self/status"); statErr != nil {
		t.Skip("no /proc")
	}
	require.NoError(t, err)
	assert.Greater(t, per, 119.0, "a key and a value are that long")
	assert.Less(t, per, 400.0)
	_, err = s.Memory(1<<30, 1)
	require.Error(t, err)
}

func TestAtRate(t *testing.T) {
	s := node(t)
	require.NoError(t, s.Fill())
	l, err := s.AtRate(t.Context(), Rows()[0], 5000, 100*time.Millisecond, 1)
	require.NoError(t, err)
	assert.Positive(t, l.P50)
	assert.GreaterOrEqual(t, l.P99, l.P50)
	assert.GreaterOrEqual(t, l.P999, l.P99)
	assert.Positive(t, l.OpsPerS)
	assert.LessOrEqual(t, l.OpsPerS, 5100.0)
	for _, bad := range []float64{0, -1} {
		_, err = s.AtRate(t.Context(), Rows()[0], bad, time.Second, 1)
		require.Error(t, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = s.AtRate(ctx, Rows()[0], 1, time.Second, 1)
	require.ErrorIs(t, err, context.Canceled)
}
