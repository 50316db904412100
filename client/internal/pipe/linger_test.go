package pipe

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestPatience(t *testing.T) {
	var p patience
	require.True(t, p.worthIt(), "who has never waited tries it")
	waits := func(n int, d time.Duration) {
		for range n {
			p.waited(d)
		}
	}
	waits(100, lingerFor)
	require.True(t, p.worthIt(), "within the time")
	p.waited(time.Hour)
	require.True(t, p.usual < 2*lingerFor, "one wait, however long, is one of eight")
	waits(8, time.Millisecond)
	require.False(t, p.worthIt(), "a network")
	waits(100, time.Second)
	require.False(t, p.worthIt())
	waits(20, lingerFor/4)
	require.True(t, p.worthIt(), "forgiven, after a while")
}

// What is usual lies between the least and the most that counted, and moves towards what comes.
func TestPatienceIsAnAverage(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var p patience
		least, most := time.Duration(0), time.Duration(0)
		for _, us := range rapid.SliceOf(rapid.IntRange(0, 1e6)).Draw(t, "waits") {
			d := time.Duration(us) * time.Microsecond
			counts, was := min(d, 4*lingerFor), p.usual
			p.waited(d)
			least, most = min(least, counts), max(most, counts)
			if p.usual < least || p.usual > most {
				t.Fatalf("usually %v, between %v and %v", p.usual, least, most)
			}
			if (counts-was)*(p.usual-was) < 0 {
				t.Fatalf("from %v to %v by %v", was, p.usual, counts)
			}
		}
	})
}

// Who waits on a socket asks it again only while that promises something, and gets its reply either way.
func TestWhoAsksAgain(t *testing.T) {
	for name, usual := range map[string]time.Duration{"a server next door": lingerFor / 2, "over a network": 2 * lingerFor} {
		t.Run(name, func(t *testing.T) {
			g, looks := socketRig(t)
			g.c.patience.usual = usual
			k := g.call(get())
			require.NoError(t, g.c.Start(context.Background(), k))
			g.wg.Go(func() {
				if r, err := g.request(); err == nil {
					io.WriteString(g.peer, answer(r))
				}
			})
			require.True(t, g.c.Wait(context.Background(), k))
			require.NoError(t, k.Err)
			require.Equal(t, "value of key", string(k.Value))
			require.Equal(t, usual <= lingerFor, looks.Load() > 0)
			require.NotEqual(t, usual, g.c.patience.usual, "how long it took was taken in")
			g.close()
		})
	}
}

// A lone reader leaves the others of its process alone for some looks; one of several, who may be about to ask, does not.
func TestALoneReaderSeldomYields(t *testing.T) {
	for calls, want := range map[int]int64{1: aloneEvery, 2: 1} {
		g, looks := socketRig(t)
		for range calls {
			require.NoError(t, g.c.Start(context.Background(), g.call(get())))
		}
		first := int64(0)
		g.c.gosched = func() {
			if first == 0 {
				first = looks.Load()
			}
		}
		for first == 0 { // on a slow machine its time is over before
			looks.Store(0)
			require.False(t, g.c.tryFill(context.Background()), "nobody answers")
		}
		require.Equal(t, want, first, "%d calls", calls)
		g.close()
	}
}

// Two callers who ask for many keys each are a crowd, however long replies have taken of late; two who ask for one are not, and
// one who asks for many is not.
func TestTwoBurstsAreACrowd(t *testing.T) {
	for name, c := range map[string]struct {
		bursts, singles int
		looks           int64
	}{"two bursts": {2, 0, crowdTries}, "one burst": {1, 0, 0}, "two single gets": {0, 2, 0}} {
		t.Run(name, func(t *testing.T) {
			g, looks := socketRig(t)
			g.c.patience.usual = 2 * lingerFor
			for range c.bursts {
				k := g.call(get())
				k.Req.Key = nil
				k.Ask("a")
				require.NoError(t, g.c.Start(context.Background(), k))
			}
			for range c.singles {
				require.NoError(t, g.c.Start(context.Background(), g.call(get())))
			}
			looks.Store(0)
			require.False(t, g.c.tryFill(context.Background()), "nobody answers")
			require.Equal(t, c.looks, looks.Load())
			g.close()
		})
	}
}
