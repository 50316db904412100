package pipe

import (
	"context"
	"io"
	"net"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// socketRig is a rig on a real socket. looks counts how often its reader asks it without waiting.
func socketRig(t *testing.T) (g *rig, looks *atomic.Int64) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	ours, err := net.Dial("tcp", ln.Addr().String())
	require.NoError(t, err)
	theirs, err := ln.Accept()
	require.NoError(t, err)
	g, looks = newRigOn(t, ours, theirs), new(atomic.Int64)
	if g.c.sock == nil {
		t.Skip("no socket is read past its net.Conn on this system")
	}
	try := g.c.sock.in.try
	g.c.sock.in.try = func(fd uintptr) bool {
		if !g.c.sock.in.wait {
			looks.Add(1)
		}
		return try(fd)
	}
	return g, looks
}

// others is a yield in which others run for d.
func (g *rig) others(d time.Duration) func() {
	return func() {
		for began := g.c.Now(); g.c.Now()-began < int64(d); {
		}
	}
}

func TestSleepsThatAreTooLong(t *testing.T) {
	var s sleeps
	require.False(t, s.tooLong(), "who has never slept does")
	for range 20 {
		s.slept(10 * time.Millisecond)
	}
	require.True(t, s.tooLong())
	s.skip = 2
	require.Equal(t, []bool{false, false, true}, []bool{s.tooLong(), s.tooLong(), s.tooLong()})
	for range 20 {
		s.slept(time.Hour)
	}
	for range 16 {
		s.slept(longSleep / 4)
	}
	require.False(t, s.tooLong(), "however long they were, sixteen short ones outweigh them")
}

// ask has one request answered by peer, on a connection that is far away as it seems.
func ask(t *testing.T, g *rig, ctx context.Context, peer func(request string)) bool {
	g.c.patience.usual = 4 * lingerFor
	k := g.call(get())
	require.NoError(t, g.c.Start(ctx, k))
	g.wg.Go(func() {
		if r, err := g.request(); err == nil {
			peer(answer(r))
		}
	})
	if !g.c.Wait(ctx, k) {
		return false
	}
	require.NoError(t, k.Err)
	require.Equal(t, "value of key", string(k.Value))
	k.Free()
	return true
}

// In a busy process, where who sleeps sleeps for long, the reader looks until the reply is there, and sleeps when
// it has looked often enough; for some time nobody looks then.
func TestAReaderStaysAwakeInABusyProcess(t *testing.T) {
	g, looks := socketRig(t)
	defer g.close()
	others := g.others(2 * busyYield)
	var written atomic.Bool
	g.c.gosched = func() {
		others()
		for looks.Load() >= 5 && !written.Load() { // the peer has its turn
			runtime.Gosched()
		}
	}
	g.c.sleeps.usual = 8 * longSleep
	require.True(t, ask(t, g, context.Background(), func(reply string) {
		for looks.Load() < 5 {
			runtime.Gosched()
		}
		io.WriteString(g.peer, reply)
		written.Store(true)
	}))
	require.GreaterOrEqual(t, looks.Load(), int64(5))
	require.Zero(t, g.c.sleeps.skip, "it did not have to sleep")
	require.True(t, g.c.hurried.Load(), "nor is anything gathered")
	require.Equal(t, 8*longSleep, g.c.sleeps.usual)

	g.c.gosched = others
	looks.Store(0)
	require.True(t, ask(t, g, context.Background(), func(reply string) {
		for looks.Load() < busyTries {
		}
		io.WriteString(g.peer, reply)
	}))
	// The reply may have come in time for the very last look.
	if g.c.sleeps.skip > 0 {
		require.EqualValues(t, busyTries, looks.Load())
		require.Equal(t, busySkip, g.c.sleeps.skip)
	}

	g.c.sleeps.skip, g.c.sleeps.usual = 1, 8*longSleep
	looks.Store(0)
	require.True(t, ask(t, g, context.Background(), func(reply string) { io.WriteString(g.peer, reply) }))
	require.Zero(t, looks.Load(), "this one was to sleep")
	require.Zero(t, g.c.sleeps.skip)
}

// Where nobody else runs, or sleeps are short, it sleeps as it always did.
func TestAReaderSleepsInAnIdleProcess(t *testing.T) {
	g, looks := socketRig(t)
	defer g.close()
	yields := 0
	g.c.gosched = func() { yields++ }
	g.c.sleeps.usual, g.c.luck.skip = longSleep-1, gatherRare // its writer does not look for company this time
	require.True(t, ask(t, g, context.Background(), func(reply string) { io.WriteString(g.peer, reply) }))
	require.Zero(t, looks.Load())
	require.Zero(t, yields, "nor does it find out whether others would run")
}

// Whose context ends while it looks does not look any longer, and the connection lives on.
func TestAReaderThatLooksLeavesAtOnce(t *testing.T) {
	g, looks := socketRig(t)
	defer g.close()
	g.c.sleeps.usual = 8 * longSleep
	ctx, cancel := context.WithCancel(context.Background())
	others := g.others(2 * busyYield)
	g.c.gosched = func() { cancel(); others() }
	left := make(chan struct{})
	g.wg.Go(func() {
		for range 2 {
			r, err := g.request()
			if err != nil {
				return
			}
			<-left
			io.WriteString(g.peer, answer(r))
		}
	})
	g.c.patience.usual = 4 * lingerFor
	first := g.call(get())
	require.NoError(t, g.c.Start(ctx, first))
	require.False(t, g.c.Wait(ctx, first))
	require.LessOrEqual(t, looks.Load(), int64(busyTries/2), "its own: three, and one at what had come; and a drainer's")
	close(left)
	second := g.call(get())
	require.NoError(t, g.c.Start(context.Background(), second))
	require.True(t, g.c.Wait(context.Background(), second))
	require.NoError(t, second.Err)
	require.Equal(t, "value of key", string(second.Value))
	require.Empty(t, g.died)
}

// A flusher yields for as long as that brings requests, at a good rate.
func TestGather(t *testing.T) {
	g := newRig(t)
	defer g.close()
	yields := 0
	each := func(more int32, d time.Duration) func() {
		slowly := g.others(d)
		return func() {
			yields++
			g.c.queued.Add(more)
			slowly()
		}
	}
	for name, x := range map[string]struct {
		expect int
		yield  func()
		want   []int // least and most yields
	}{
		"a lone caller":               {1, each(0, 0), []int{0, 0}},
		"nobody comes":                {10, each(0, 0), []int{1, gatherIdle}}, // less if the machine takes its time
		"nobody comes, others run":    {10, each(0, 2*gatherEach), []int{1, 1}},
		"many come, others run":       {5e6 + 1, each(1e6, 2*gatherEach), []int{5, 5}},
		"fewer come than it is worth": {10, each(1, 3*gatherEach), []int{1, 1}},
	} {
		g.c.queued.Store(1)
		yields, g.c.gosched = 0, x.yield
		g.c.luck = luck{skip: 1}
		g.c.gather(x.expect)
		require.GreaterOrEqual(t, yields, x.want[0], name)
		require.LessOrEqual(t, yields, x.want[1], name)
	}
	g.c.queued.Store(0)
}

// Where the node is far away and nobody else runs, fewer and fewer find that out.
func TestFewLookInAnIdleProcess(t *testing.T) {
	var s sleeps
	s.usual = longSleep
	var skips []int
	for range 7 {
		require.True(t, s.tooLong())
		s.alone()
		skips = append(skips, s.skip)
		for s.skip > 0 {
			require.False(t, s.tooLong())
		}
	}
	require.Equal(t, []int{1, 3, 7, 15, 31, busySkip, busySkip}, skips)

	g, looks := socketRig(t)
	defer g.close()
	g.c.gosched = func() {}
	for try := 0; g.c.sleeps.idle == 0; try++ {
		require.Less(t, try, 10_000, "nobody ever finds out") // who is held up by the machine does not
		looks.Store(0)
		g.c.sleeps = sleeps{usual: 8 * longSleep}
		require.True(t, ask(t, g, context.Background(), func(reply string) {
			for looks.Load() < 3 {
			}
			io.WriteString(g.peer, reply)
		}))
	}
	g.c.sleeps = sleeps{usual: 8 * longSleep, idle: 7}
	looks.Store(0)
	require.True(t, ask(t, g, context.Background(), func(reply string) {
		for looks.Load() < 1 {
		}
		io.WriteString(g.peer, reply)
	}))
	require.Contains(t, []int{0, 15}, g.c.sleeps.idle, "found by looking, or not")
}
