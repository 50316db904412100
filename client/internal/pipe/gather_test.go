package pipe

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestLuck(t *testing.T) {
	var l luck
	tries := func(writes int, more bool, took time.Duration) (n int) {
		for range writes {
			if l.worthIt() {
				n++
				l.had(more, took)
			}
		}
		return n
	}
	const quick = time.Microsecond
	require.Equal(t, 10, tries(10*gatherRare, false, quick), "a lone caller")
	require.Equal(t, 1, tries(1, true, quick), "the first that brings something")
	require.Equal(t, 100, tries(100, true, quick), "as long as it brings something")
	for range 20 {
		require.Equal(t, gatherLuck-1, tries(gatherLuck-1, false, quick))
		require.Equal(t, 1, tries(1, true, quick), "it need not be each time")
	}
	require.Equal(t, gatherLuck, tries(gatherLuck+gatherRare-1, false, quick), "then seldom again")
	require.Equal(t, 1, tries(1+gatherRare-1, false, gatherSlow-1))
	require.Equal(t, 1, tries(1+8*gatherRare-1, false, gatherSlow), "where others run for nothing")

	require.Equal(t, 1, tries(1, true, gatherLong-1))
	require.Equal(t, 1, tries(1, true, gatherLong), "too long, whatever it brought")
	require.Zero(t, tries(gatherShy, true, quick))
	require.Equal(t, 1, tries(1, true, quick))
}

// Callers that come while one yields go out with it, though the last replies were of one call each: the peer has both
// requests before it is read from the second time.
func TestAYieldBringsCompany(t *testing.T) {
	g := newRig(t)
	defer g.close()
	g.c.luck.left = gatherLuck
	var second *Call
	g.c.gosched = func() {
		g.c.gosched = func() {}
		second = g.call(get())
		second.Req.Key = []byte("second")
		require.NoError(t, g.c.Start(context.Background(), second))
	}
	got := make(chan string, 1)
	g.wg.Go(func() {
		var b [256]byte
		n, _ := g.peer.Read(b[:])
		got <- string(b[:n])
	})
	first := g.call(get())
	require.NoError(t, g.c.Start(context.Background(), first))
	both := <-got
	require.Contains(t, both, "mg key ")
	require.Contains(t, both, "mg second ")
	require.Equal(t, gatherLuck, g.c.luck.left)
}

// Who queues several at once does not take them for company.
func TestABatchIsNoCompany(t *testing.T) {
	g := newRig(t)
	defer g.close()
	yields := 0
	g.c.gosched = func() { yields++ }
	g.echo(func(int) time.Duration { return 0 })
	ks := []*Call{g.call(get()), g.call(get())}
	require.NoError(t, g.c.StartAll(context.Background(), ks))
	for _, k := range ks {
		require.True(t, g.c.Wait(context.Background(), k))
	}
	require.Equal(t, 1, yields)
	require.Zero(t, g.c.luck.left)

	g.c.luck.left = gatherLuck
	g.c.hurried.Store(true) // in a busy process there would be others' turns to wait for
	g.c.gather(1)
	require.Equal(t, 1, yields)
}

// A lone caller yields at its first request and at each 32nd after it.
func TestALoneCallerSeldomYields(t *testing.T) {
	g := newRig(t)
	defer g.close()
	yields := 0
	g.c.gosched = func() { yields++ }
	g.echo(func(int) time.Duration { return 0 })
	for range 10 * gatherRare {
		k := g.call(get())
		require.NoError(t, g.c.Start(context.Background(), k))
		require.True(t, g.c.Wait(context.Background(), k))
		require.NoError(t, k.Err)
		k.Free()
	}
	require.Equal(t, 10, yields)
}
