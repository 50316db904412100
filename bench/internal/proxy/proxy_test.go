package proxy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/nodeserver"
)

// rig is a node behind a proxy, and a line straight to the node.
type rig struct {
	*Proxy
	t      *testing.T
	direct *wire
}

func newRig(t *testing.T) *rig {
	s, err := nodeserver.Start(nodeserver.Config{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	p, err := Start(s.Addr().String(), 1)
	require.NoError(t, err)
	t.Cleanup(p.Close)
	return &rig{p, t, newWire(t, s.Addr().String())}
}

func (r *rig) set(p Plan) { require.NoError(r.t, r.Set(p)) }

// wire is a connection that speaks line by line.
type wire struct {
	net.Conn
	t *testing.T
	r *bufio.Reader
}

func newWire(t *testing.T, addr string) *wire {
	c, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return &wire{c, t, bufio.NewReader(c)}
}

func (w *wire) send(text string) {
	_, err := io.WriteString(w, text)
	require.NoError(w.t, err)
}

func (w *wire) expect(text string) {
	w.t.Helper()
	b := make([]byte, len(text))
	_, err := io.ReadFull(w.r, b)
	require.NoError(w.t, err)
	require.Equal(w.t, text, string(b))
}

func (w *wire) ended() {
	w.t.Helper()
	b, err := io.ReadAll(w.r)
	require.Empty(w.t, b)
	require.True(w.t, err == nil || errors.Is(err, syscall.ECONNRESET), "%v", err)
}

func (r *rig) dial() *wire { return newWire(r.t, r.Addr()) }

// await asks the node itself until it answers so. Whoever waits for ever has found a fault.
func (r *rig) await(ask, want string) {
	for {
		r.direct.send(ask)
		line, err := r.direct.r.ReadString('\n')
		require.NoError(r.t, err)
		if strings.HasPrefix(line, "VA ") {
			_, err = r.direct.r.ReadString('\n')
			require.NoError(r.t, err)
		}
		if line == want {
			return
		}
	}
}

// awaitLoss waits until so many connections have lost bytes.
func (r *rig) awaitLoss(want int) {
	for n := 0; n < want; {
		n = 0
		r.mu.Lock()
		for l := range r.links {
			if l.lost.Load() {
				n++
			}
		}
		r.mu.Unlock()
	}
}

func TestPassing(t *testing.T) {
	r := newRig(t)
	w := r.dial()
	big := strings.Repeat("x", 200_000)
	w.send(fmt.Sprintf("ms k %d\r\n%s\r\nmg k v\r\nmn\r\n", len(big), big))
	w.expect("HD\r\nVA 200000\r\n" + big + "\r\nMN\r\n")
	require.Equal(t, Counts{Accepted: 1, Replies: 3}, r.Counts())
	require.Equal(t, 1, r.Open())
	require.NoError(t, w.Close())
	for r.Open() > 0 {
		require.Zero(t, r.Counts().Stray)
	}
}

func TestCrash(t *testing.T) {
	r := newRig(t)
	w, addr := r.dial(), r.Addr()
	w.send("mn\r\n")
	w.expect("MN\r\n")
	r.set(Crashed)
	_, err := w.r.ReadByte()
	require.ErrorIs(t, err, syscall.ECONNRESET)
	_, err = net.Dial("tcp", addr)
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	r.set(Crashed)
	r.set(Healthy)
	require.Equal(t, addr, r.Addr())
	w = r.dial()
	w.send("mn\r\n")
	w.expect("MN\r\n")
}

func TestMove(t *testing.T) {
	r := newRig(t)
	w, addr := r.dial(), r.Addr()
	require.NoError(t, r.Move())
	require.NotEqual(t, addr, r.Addr())
	w.ended()
	_, err := net.Dial("tcp", addr)
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	w = r.dial()
	w.send("mn\r\n")
	w.expect("MN\r\n")
}

// TestHang: what was swallowed is lost, and so is the connection that it was lost on.
func TestHang(t *testing.T) {
	r := newRig(t)
	w := r.dial()
	w.send("mn\r\n")
	w.expect("MN\r\n")
	r.set(Hung)
	w.send("ms k 1\r\na\r\n")
	other := r.dial() // is taken, like a node's that has stopped
	other.send("mn\r\n")
	r.awaitLoss(2)
	r.set(Healthy)
	w.ended()
	other.ended()
	r.await("mg k v\r\n", "EN\r\n")
}

// TestPartition: what was held comes through, even of a client that has gone.
func TestPartition(t *testing.T) {
	r := newRig(t)
	w, gone := r.dial(), r.dial()
	r.set(Partitioned)
	w.send("mn\r\n")
	gone.send("ms k 1\r\na\r\n")
	require.NoError(t, gone.Close())
	r.direct.send("mg k v\r\n")
	r.direct.expect("EN\r\n")
	r.set(Healthy)
	w.expect("MN\r\n")
	r.await("mg k v\r\n", "VA 1\r\n")
}

func TestPartitionOfOneWay(t *testing.T) {
	r := newRig(t)
	w := r.dial()
	r.set(Plan{Replies: Hold})
	w.send("ms k 1\r\na\r\n")
	r.await("mg k v\r\n", "VA 1\r\n")
	require.Zero(t, r.Counts().Replies)
	r.set(Healthy)
	w.expect("HD\r\n")
	r.set(Plan{Replies: Swallow})
	w.send("ms l 1\r\na\r\n")
	r.await("mg l v\r\n", "VA 1\r\n")
	r.awaitLoss(1)
	r.set(Healthy)
	w.ended()
}

func TestMeddling(t *testing.T) {
	r := newRig(t)
	w := r.dial()
	w.send("ms k 4\r\nabcd\r\n")
	w.expect("HD\r\n")
	r.set(Plan{StrayEvery: 1})
	w.send("mg k v\r\nmn\r\n")
	first, second := "VA 4\r\nabcd\r\n", "MN\r\n"
	w.expect(first + first + second)
	b, err := w.r.Peek(2)
	require.NoError(t, err)
	require.Contains(t, []string{first[:2], second[:2]}, string(b), "a copy of this reply or of the one before")

	r.set(Plan{CutEvery: 1})
	for range 8 {
		w = r.dial()
		w.send("mg k v\r\n")
		w.expect(first[:6])
		w.ended()
	}
	require.EqualValues(t, 8, r.Counts().Cut)
	require.EqualValues(t, 2, r.Counts().Stray)
}

// TestDelays: replies wait side by side, in order, and a late one holds up the others.
func TestDelays(t *testing.T) {
	r := newRig(t)
	w := r.dial()
	for plan, late := range map[Plan]int64{
		{Latency: 20 * time.Millisecond}:              0,
		{LateEvery: 1, LateBy: 20 * time.Millisecond}: 2,
	} {
		before := r.Counts().Late
		r.set(plan)
		began := time.Now()
		w.send("mg a v\r\nmn\r\n")
		w.expect("EN\r\nMN\r\n")
		require.GreaterOrEqual(t, time.Since(began), 20*time.Millisecond)
		require.Equal(t, late, r.Counts().Late-before)
	}
	r.set(Plan{Latency: time.Hour})
	w.send("mn\r\n")
	for range 3 { // a connection that waits ends with the proxy
		r.dial().send("mn\r\n")
	}
	r.Close()
	r.Close()
	require.ErrorIs(t, r.Set(Healthy), errClosed)
	require.ErrorIs(t, r.Move(), errClosed)
}

func TestNodeGone(t *testing.T) {
	s, err := nodeserver.Start(nodeserver.Config{})
	require.NoError(t, err)
	p, err := Start(s.Addr().String(), 1)
	require.NoError(t, err)
	defer p.Close()
	require.NoError(t, s.Close())
	c, err := net.Dial("tcp", p.Addr())
	if err == nil { // or it was reset before it was noticed that it was open
		_, err = c.Read(make([]byte, 1))
		require.Error(t, err)
		require.NoError(t, c.Close())
	}
}

func TestFlapping(t *testing.T) {
	const ms = time.Millisecond
	ways := []Plan{Crashed, Hung}
	steps := Flapping(3, 10*time.Second, 50*ms, 500*ms, ways...)
	require.Equal(t, steps, Flapping(3, 10*time.Second, 50*ms, 500*ms, ways...))
	require.NotEqual(t, steps, Flapping(4, 10*time.Second, 50*ms, 500*ms, ways...))
	seen := map[Plan]int{}
	for i, s := range steps[:len(steps)-1] {
		seen[s.Plan]++
		require.Equal(t, i%2 == 1, s.Plan == Healthy)
		if i > 0 {
			require.True(t, s.At-steps[i-1].At >= 50*ms && s.At-steps[i-1].At <= 500*ms)
		}
	}
	require.Len(t, seen, 3)
	require.Equal(t, Step{10 * time.Second, Healthy}, steps[len(steps)-1])

	r := newRig(t)
	require.NoError(t, r.Play(t.Context(), Flapping(3, 20*ms, ms, 3*ms, Crashed)))
	w := r.dial()
	w.send("mn\r\n")
	w.expect("MN\r\n")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, r.Play(ctx, []Step{{time.Hour, Healthy}}), context.Canceled)
	r.Close()
	require.ErrorIs(t, r.Play(t.Context(), []Step{{0, Healthy}}), errClosed)
}
