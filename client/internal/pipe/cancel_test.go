package pipe

import (
	"context"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/client/memproto"
)

// settled counts what its calls came to.
type settled struct {
	n    atomic.Int64
	errs atomic.Int64
	last atomic.Value // string
}

func (s *settled) Settle(_ *Conn, k *Call) {
	s.n.Add(1)
	if k.Err != nil {
		s.errs.Add(1)
		return
	}
	s.last.Store(string(k.Value))
}

// echo answers every request after delay.
func (g *rig) echo(delay func(i int) time.Duration) {
	g.wg.Go(func() {
		for i := 0; ; i++ {
			r, err := g.request()
			if err != nil {
				return
			}
			time.Sleep(delay(i))
			if _, err := io.WriteString(g.peer, answer(r)); err != nil {
				return
			}
		}
	})
}

// The lone caller leaves while it reads. The connection lives on, the late reply is
// read though nobody else comes, and its Settler learns it.
func TestALoneCallerLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		g.echo(func(int) time.Duration { return 100 * time.Millisecond })
		var s settled
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		defer cancel()
		k := g.call(get())
		k.Settler = &s
		start := time.Now()
		require.False(t, g.do(ctx, k))
		require.Equal(t, 30*time.Millisecond, time.Since(start))
		time.Sleep(100 * time.Millisecond)
		require.EqualValues(t, 1, s.n.Load())
		require.Equal(t, "value of key", s.last.Load())
		require.Zero(t, g.c.Pending())
		next := g.call(get())
		require.True(t, g.do(t.Context(), next))
		require.NoError(t, next.Err)
		require.False(t, g.c.Dead())
		g.close()
	})
}

// Who comes to wait after its context has ended, because it waited elsewhere, takes the reply
// that has come by then: over a plain socket and over another connection.
func TestAReplyThatHasComeIsTaken(t *testing.T) {
	try := func(t *testing.T, g *rig, come func(answered <-chan struct{})) {
		answered := make(chan struct{})
		g.wg.Go(func() {
			defer close(answered)
			r, err := g.request()
			if err == nil {
				_, _ = io.WriteString(g.peer, answer(r))
			}
		})
		ctx, cancel := context.WithCancel(t.Context())
		k := g.call(get())
		require.NoError(t, g.c.Start(ctx, k))
		come(answered)
		cancel()
		require.True(t, g.c.Wait(ctx, k), "the reply lay there")
		require.NoError(t, k.Err)
		require.Equal(t, "value of key", string(k.Value))
		g.close()
	}
	t.Run("socket", func(t *testing.T) {
		for range 200 {
			try(t, newSocketRig(t), func(answered <-chan struct{}) { <-answered })
		}
	})
	t.Run("pipe", func(t *testing.T) {
		for range 200 {
			synctest.Test(t, func(t *testing.T) {
				ours, theirs := net.Pipe()
				try(t, newRigOn(t, unhurried{ours}, theirs), func(<-chan struct{}) { synctest.Wait() })
			})
		}
	})
}

// unhurried lets others go first whenever it is read.
type unhurried struct{ net.Conn }

func (c unhurried) Read(p []byte) (int, error) {
	time.Sleep(time.Microsecond)
	return c.Conn.Read(p)
}

// newSocketRig is newRig over a Unix socket.
func newSocketRig(t *testing.T) *rig {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	require.NoError(t, err)
	defer l.Close()
	ours, err := net.Dial("unix", l.Addr().String())
	require.NoError(t, err)
	theirs, err := l.Accept()
	require.NoError(t, err)
	return newRigOn(t, ours, theirs)
}

// A cancelled context before the start changes nothing for the connection.
func TestCancelledBeforeTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		g.echo(func(int) time.Duration { return time.Millisecond })
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for range 50 {
			g.do(ctx, g.call(get()))
		}
		k := g.call(get())
		require.True(t, g.do(t.Context(), k))
		require.NoError(t, k.Err)
		g.close()
	})
}

// Many callers, replies at uneven times, each caller with its own patience: every call
// is either complete with its own value, or abandoned and settled once.
func TestCallersWithTheirOwnPatience(t *testing.T) {
	for seed := range 50 {
		synctest.Test(t, func(t *testing.T) {
			g := newRig(t)
			g.echo(func(i int) time.Duration { return time.Duration((i*7919+seed*104729)%5) * time.Millisecond })
			var s settled
			var abandoned atomic.Int64
			var wg sync.WaitGroup
			for i := range 40 {
				wg.Go(func() {
					time.Sleep(time.Duration((i*31+seed*17)%60) * 500 * time.Microsecond)
					patience := time.Duration((i*131+seed*7)%40) * 700 * time.Microsecond
					ctx, cancel := context.WithTimeout(t.Context(), patience)
					defer cancel()
					k := g.call(get())
					k.Req.Key = fmt.Append(nil, "k", i)
					k.Settler = &s
					start := time.Now()
					if !g.do(ctx, k) {
						abandoned.Add(1)
						require.Contains(t, []time.Duration{patience, patience + grace}, time.Since(start))
						return
					}
					require.NoError(t, k.Err)
					require.Equal(t, fmt.Sprint("value of k", i), string(k.Value))
					k.Free()
				})
			}
			wg.Wait()
			time.Sleep(200 * time.Millisecond)
			require.Equal(t, abandoned.Load(), s.n.Load(), "each abandoned call is settled once")
			require.Zero(t, s.errs.Load())
			require.Zero(t, g.c.Pending())
			require.False(t, g.c.Dead())
			g.close()
		})
	}
}

// A caller leaves in the middle of a large write that the peer does not take. What is
// left of the request goes out when the peer reads again, and the stream is in step.
func TestLeavingInTheMiddleOfAWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { leaveInTheMiddleOfAWrite(t, newRig(t)) })
}

// leaveInTheMiddleOfAWrite has a caller leave while the peer of g reads nothing yet.
func leaveInTheMiddleOfAWrite(t *testing.T, g *rig) {
	var s settled
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	k := g.call(memproto.Request{Cmd: memproto.CmdMetaSet, Value: make([]byte, 500_000)})
	k.Settler = &s
	start := time.Now()
	require.False(t, g.do(ctx, k))
	require.Equal(t, 20*time.Millisecond, time.Since(start))
	g.echo(func(int) time.Duration { return 0 })
	next := g.call(get())
	require.True(t, g.do(t.Context(), next))
	require.NoError(t, next.Err)
	require.Equal(t, "value of key", string(next.Value))
	require.EqualValues(t, 1, s.n.Load())
	require.Zero(t, s.errs.Load(), "the abandoned write was executed")
	g.close()
}

// A connection that dies tells every Settler.
func TestDeathSettlesAbandonedCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		g.wg.Go(func() { io.Copy(io.Discard, g.peer) })
		var s settled
		for range 10 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			k := g.call(get())
			k.Settler = &s
			require.False(t, g.do(ctx, k))
			cancel()
		}
		time.Sleep(rigTimeout)
		synctest.Wait()
		require.EqualValues(t, 10, s.errs.Load())
		require.Len(t, g.deaths(), 1)
		require.ErrorIs(t, g.deaths()[0], item.ErrTimeout)
		g.close()
	})
}

// An idle connection never becomes overdue, and the timer does not run for it.
func TestIdleIsNotOverdue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		g.echo(func(int) time.Duration { return time.Millisecond })
		for range 5 {
			k := g.call(get())
			require.True(t, g.do(t.Context(), k))
			require.NoError(t, k.Err)
			time.Sleep(time.Hour)
		}
		require.False(t, g.c.Dead())
		g.close()
	})
}

// A timer that is itself late has slept with the whole process: the node gets another
// Timeout before it is blamed.
func TestALateTimerBlamesNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		g.wg.Go(func() { io.Copy(io.Discard, g.peer) })
		k := g.call(get())
		require.NoError(t, g.c.Start(t.Context(), k))
		// As if the process had been stopped for two seconds: the timer was due long ago.
		g.c.mu.Lock()
		g.c.headSent -= int64(2 * time.Second)
		g.c.timerDue -= int64(2 * time.Second)
		g.c.mu.Unlock()
		start := time.Now()
		g.c.checkOverdue()
		require.False(t, g.c.Dead())
		require.True(t, g.c.Wait(t.Context(), k))
		require.ErrorIs(t, k.Err, item.ErrTimeout, "but not for ever")
		require.Equal(t, rigTimeout, time.Since(start))
		g.close()
	})
}

// Callers wait for something else, and nobody reads: the replies lie in the socket.
// That is no fault of the node's.
func TestRepliesThatNobodyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		g.echo(func(int) time.Duration { return 0 })
		ks := make([]*Call, 10)
		for i := range ks {
			ks[i] = g.call(get())
			require.NoError(t, g.c.Start(t.Context(), ks[i]))
		}
		time.Sleep(10 * rigTimeout)
		require.False(t, g.c.Dead())
		for _, k := range ks {
			require.True(t, g.c.Wait(t.Context(), k))
			require.NoError(t, k.Err)
		}
		g.close()
	})
}

// The race between a hand-over and a departure: the last reader has laid its role
// down, because the only other caller was just given the flusher's; and that caller
// leaves before it takes it up. Somebody must still write, and read its late reply.
func TestLeavingWithARoleNotTakenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		g.echo(func(int) time.Duration { return 50 * time.Millisecond })
		var s settled
		k := g.call(get())
		k.Settler = &s
		require.NoError(t, g.c.Start(t.Context(), k))
		g.c.mu.Lock()
		g.c.flushing, g.c.flusher = true, k
		k.role = sigFlush
		k.wake <- sigFlush
		g.c.mu.Unlock()
		require.True(t, g.c.abandon(k))
		time.Sleep(51 * time.Millisecond)
		require.EqualValues(t, 1, s.n.Load(), "drained as soon as it came")
		require.Equal(t, "value of key", s.last.Load())
		next := g.call(get())
		require.True(t, g.do(t.Context(), next))
		require.NoError(t, next.Err)
		g.close()
	})
}
