package discovery

import (
	"context"
	"errors"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/ring"
)

// noted are a follower's hooks, with what they were called with.
type noted struct {
	mu      sync.Mutex // guards everything
	applied [][3][]string
	kept    []error
	failed  []error
}

func (n *noted) hooks() Hooks {
	return Hooks{
		Applied: func(added, removed, altered []string) {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.applied = append(n.applied, [3][]string{added, removed, altered})
		},
		Kept: func(_ []string, why error) {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.kept = append(n.kept, why)
		},
		Failed: func(err error) {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.failed = append(n.failed, err)
		},
	}
}

// announcer is a source that says when it has news.
type announcer struct {
	script
	news   chan struct{}
	broken chan error
}

func (a *announcer) Watch(ctx context.Context, changed func()) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-a.broken:
			return err
		case <-a.news:
			changed()
		}
	}
}

func TestPolling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &script{nodes: ring.Addrs("a")}
		fleet := newFleet("a")
		f, err := Follow(fleet, src, Config{})
		require.NoError(t, err)
		defer f.Close()
		time.Sleep(DefaultInterval + time.Nanosecond)
		synctest.Wait()
		require.GreaterOrEqual(t, src.questions(), 1, "the first question comes within one interval")
		before := src.questions()
		time.Sleep(100 * DefaultInterval)
		synctest.Wait()
		require.InDelta(t, 100, src.questions()-before, 11, "each pause is 90 to 110 % of the interval")
		src.say(nil, "a", "b")
		time.Sleep(DefaultInterval*11/10 + time.Nanosecond)
		synctest.Wait()
		require.Equal(t, []string{"a", "b"}, fleet.names())
		require.WithinDuration(t, time.Now(), f.State().Changed, DefaultInterval*11/10)
		require.Equal(t, 1, fleet.changes())
	})
}

// Many processes that start at one moment don't ask at one moment.
func TestFirstQuestionsAreSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &script{nodes: ring.Addrs("a")}
		for range 100 {
			f, err := Follow(newFleet("a"), src, Config{})
			require.NoError(t, err)
			defer f.Close()
		}
		time.Sleep(DefaultInterval / 2)
		synctest.Wait()
		require.InDelta(t, 50, src.questions(), 30)
	})
}

// Changes announced every 10 ms for 10 s become one each second, and the last of them is
// not lost.
func TestCoalescing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &announcer{news: make(chan struct{}), broken: make(chan error)}
		fleet := newFleet("a")
		f, err := Follow(fleet, src, Config{Interval: time.Hour})
		require.NoError(t, err)
		defer f.Close()
		src.say(nil, "a", "b")
		src.news <- struct{}{}
		synctest.Wait()
		require.Equal(t, 1, fleet.changes(), "the first change is applied at once")
		lists := [][]string{{"a", "b", "c"}, {"a", "b"}}
		fleet.set("c", "down")
		for i := range 1000 {
			src.say(nil, lists[i%2]...)
			src.news <- struct{}{}
			time.Sleep(10 * time.Millisecond)
		}
		src.say(nil, "a", "b", "last")
		src.news <- struct{}{}
		synctest.Wait()
		asked := src.questions()
		require.LessOrEqual(t, asked, 11)
		time.Sleep(time.Second)
		synctest.Wait()
		require.Equal(t, asked+1, src.questions())
		require.Contains(t, fleet.names(), "last")
	})
}

// A source that can't be watched is polled, and watched again later.
func TestWatchThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &announcer{news: make(chan struct{}), broken: make(chan error)}
		fleet, seen := newFleet("a"), &noted{}
		src.say(nil, "a")
		f, err := Follow(fleet, src, Config{Hooks: seen.hooks()})
		require.NoError(t, err)
		defer f.Close()
		src.broken <- errLookup
		synctest.Wait()
		require.Len(t, seen.failed, 1)
		require.ErrorIs(t, seen.failed[0], errLookup)
		time.Sleep(2 * DefaultInterval)
		require.GreaterOrEqual(t, src.questions(), 1, "polling goes on")
		src.say(nil, "a", "b")
		src.news <- struct{}{} // somebody watches again
		synctest.Wait()
		time.Sleep(DefaultCoalesce)
		synctest.Wait()
		require.Equal(t, []string{"a", "b"}, fleet.names())
	})
}

// A source that stops watching without a reason is not asked in a loop to watch.
func TestWatchThatReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &announcer{news: make(chan struct{}), broken: make(chan error)}
		src.say(nil, "a")
		seen := &noted{}
		f, err := Follow(newFleet("a"), src, Config{Hooks: seen.hooks()})
		require.NoError(t, err)
		defer f.Close()
		src.broken <- nil
		synctest.Wait()
		require.Len(t, seen.failed, 1)
	})
}

// A question that gets no answer ends after Timeout, and Close does not wait for it.
func TestSlowSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := slow{}
		seen := &noted{}
		f, err := Follow(newFleet("a"), src, Config{Hooks: seen.hooks()})
		require.NoError(t, err)
		f.Refresh()
		time.Sleep(DefaultTimeout + time.Nanosecond)
		synctest.Wait()
		require.Len(t, seen.failed, 1)
		require.ErrorIs(t, seen.failed[0], context.DeadlineExceeded)
		f.Refresh()
		time.Sleep(DefaultCoalesce + time.Nanosecond) // the second question is under way
		at := time.Now()
		require.NoError(t, f.Close())
		require.NoError(t, f.Close())
		require.Zero(t, time.Since(at))
		require.Len(t, seen.failed, 1, "that the follower was closed is no failure")
	})
}

type slow struct{}

func (slow) Nodes(ctx context.Context) ([]ring.Node, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestRelease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &script{}
		src.say(nil, "a")
		fleet, seen := newFleet("a", "b", "c"), &noted{}
		f, err := Follow(fleet, src, Config{Hooks: seen.hooks()})
		require.NoError(t, err)
		defer f.Close()
		time.Sleep(10 * DefaultInterval)
		synctest.Wait()
		require.Equal(t, []string{"a", "b", "c"}, fleet.names())
		require.Equal(t, []error{ErrMissing}, seen.kept, "told once, not with every answer")

		require.ErrorIs(t, f.Release("x"), ErrConfig)
		require.NoError(t, f.Release("b"))
		time.Sleep(DefaultCoalesce + time.Nanosecond)
		synctest.Wait()
		require.Equal(t, []string{"a", "c"}, fleet.names())
		require.Equal(t, [][3][]string{{nil, {"b"}, nil}}, seen.applied)
		require.Len(t, seen.kept, 2, "other nodes are missing than before")

		// A node that is listed after all is not let go of, then or later.
		src.say(nil, "a", "c")
		require.NoError(t, f.Release("c"))
		time.Sleep(2 * DefaultInterval)
		src.say(nil, "a")
		time.Sleep(2 * DefaultInterval)
		synctest.Wait()
		require.Equal(t, []string{"a", "c"}, fleet.names())
	})
}

// With its client closed there is nobody to follow for.
func TestClosedClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &script{}
		src.say(nil, "a", "b")
		fleet := newFleet("a")
		fleet.refuse = &item.Error{Op: "set nodes", Err: item.ErrClosed}
		f, err := Follow(fleet, src, Config{})
		require.NoError(t, err)
		time.Sleep(10 * DefaultInterval)
		synctest.Wait()
		require.Equal(t, 1, src.questions())
		require.NoError(t, f.Close())
	})
}

func TestBadConfig(t *testing.T) {
	for _, cfg := range []Config{{Interval: -1}, {Timeout: -1}, {Coalesce: -1}, {RemoveAfter: -1}, {Removals: 3}} {
		_, err := Follow(newFleet("a"), Static{}, cfg)
		require.ErrorIs(t, err, ErrConfig)
	}
	_, err := Follow(newFleet("a"), nil, Config{})
	require.ErrorIs(t, err, ErrConfig)
	_, err = Follow(nil, Static{}, Config{})
	require.ErrorIs(t, err, ErrConfig)
}

func TestNewClientTellsWhatItWaitsFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &script{}
		src.say(errLookup)
		time.AfterFunc(2*time.Second, func() { src.say(nil, "a") })
		var told []error
		c, f, err := NewClient(t.Context(), client.Config{}, src, Config{Hooks: Hooks{Failed: func(err error) { told = append(told, err) }}})
		require.NoError(t, err)
		require.NoError(t, f.Close())
		require.NoError(t, c.Close())
		require.NotEmpty(t, told)
		for _, err := range told {
			require.ErrorIs(t, err, errLookup)
		}
	})
}

func TestFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// It waits for an answer.
		src := &script{}
		src.say(errLookup)
		time.AfterFunc(2*time.Second, func() { src.say(nil) })
		time.AfterFunc(4*time.Second, func() { src.say(nil, "b", "a") })
		start := time.Now()
		nodes, err := First(context.Background(), src)
		require.NoError(t, err)
		require.Equal(t, []string{"a", "b"}, namesOf(nodes))
		require.WithinDuration(t, start.Add(4*time.Second), time.Now(), lastPause)

		// Not for ever.
		src.say(errLookup)
		start = time.Now()
		_, err = First(context.Background(), src)
		require.ErrorIs(t, err, errLookup)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, DefaultFirst, time.Since(start))

		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		start = time.Now()
		_, err = First(ctx, slow{})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, time.Second, time.Since(start))

		// Not at all where it won't help.
		asked := src.questions()
		for _, want := range []error{ErrConfig, ErrMalformed} {
			src.say(want)
			_, err = First(context.Background(), src)
			require.ErrorIs(t, err, want)
		}
		src.say(nil, "a", "a:11211")
		_, err = First(context.Background(), src)
		require.ErrorIs(t, err, ring.ErrDuplicateNode)
		require.Equal(t, asked+3, src.questions())
		_, err = First(context.Background(), nil)
		require.True(t, errors.Is(err, ErrConfig))
	})
}

// An interval that is meant as never is a very long one: its jitter, and what a client announces by it, overflowed.
func TestIntervalOfAges(t *testing.T) {
	cfg, err := Config{Interval: math.MaxInt64, Timeout: math.MaxInt64, Coalesce: math.MaxInt64}.withDefaults()
	require.NoError(t, err)
	f := newFollower(newFleet("a"), Static{}, cfg)
	defer f.Close()
	year := 365 * 24 * time.Hour
	for range 1000 {
		require.GreaterOrEqual(t, f.pause(), year*9/10)
	}
	f.cfg.Coalesce = 1
	for range 1000 {
		require.GreaterOrEqual(t, f.pause(), year*9/10)
	}
	require.Greater(t, announceAfter(cfg.Interval), year)
	c, g, err := NewClient(t.Context(), client.Config{}, Static(ring.Addrs("a")), Config{Interval: math.MaxInt64})
	require.NoError(t, err)
	require.NoError(t, g.Close())
	require.NoError(t, c.Close())
}
