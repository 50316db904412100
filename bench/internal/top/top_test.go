package top

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/nodeserver/stock"
	"github.com/memherd/memherd/ring"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestParse(t *testing.T) {
	for line, want := range map[string]Event{
		"ts=1.5 gid=1 type=item_get key=foo status=found clsid=1 cfd=27 size=123": {"foo", true, 123},
		"ts=1.5 gid=1 type=item_get key=a%20b%25 status=not_found clsid=0 cfd=27": {"a b%", false, 0},
		"ts=1.5 gid=1 type=item_get key=x=y status=found size=0":                  {"x=y", true, 0},
		"type=item_store key=foo status=stored":                                   {},
		"type=item_get key= status=found":                                         {},
		"type=item_get key=%zz status=found":                                      {},
		"type=item_get key=k size=-1":                                             {},
		"type=item_get key=" + strings.Repeat("k", 251):                           {},
		"": {}, "OK": {}, "key=foo": {}, "ERROR": {}, "type=item_get": {},
	} {
		e, _, ok := parse([]byte(line))
		require.Equal(t, want != Event{}, ok, line)
		require.Equal(t, want, e, line)
	}
	_, skipped, ok := parse([]byte("skipped=12"))
	require.False(t, ok)
	require.EqualValues(t, 12, skipped)
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"ts=1 gid=1 type=item_get key=foo status=found size=3", "skipped=5", "type=item_get key=%41", "key=%", "===", "size=99999999999999999999"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		e, _, ok := parse(line)
		if ok != (e.Key != "") || len(e.Key) > 250 || e.Size < 0 {
			t.Fatalf("%q: %+v, %v", line, e, ok)
		}
	})
}

// Lines of any length, however they arrive, come out whole or not at all.
func TestLines(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lines := rapid.SliceOfN(rapid.SliceOfN(rapid.ByteRange('a', 'z'), 0, 200), 0, 8).Draw(t, "lines")
		stretched := rapid.IntRange(1, 600).Draw(t, "times")
		var sent bytes.Buffer
		var want []string
		for _, l := range lines {
			l = bytes.Repeat(l, stretched)
			sent.Write(append(l, '\r', '\n'))
			if len(l)+2 > maxLine {
				l = nil
			}
			want = append(want, string(l))
		}
		a, b := net.Pipe()
		var wg sync.WaitGroup
		wg.Go(func() {
			_, _ = b.Write(sent.Bytes())
			b.Close()
		})
		c := newConn(a)
		for _, w := range want {
			got, err := c.line()
			if err != nil || string(got) != w {
				t.Fatalf("%.40q, %v; want %.40q", got, err, w)
			}
		}
		if _, err := c.line(); err == nil {
			t.Fatal("more lines than were sent")
		}
		a.Close()
		wg.Wait()
	})
}

// onNodes runs a test on two nodes of this process, and on two of memcached.
func onNodes(t *testing.T, play func(t *testing.T, addrs []string)) {
	t.Run("memnode", func(t *testing.T) {
		var addrs []string
		for range 2 {
			s, err := nodeserver.Start(nodeserver.Config{})
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, s.Close()) })
			addrs = append(addrs, s.Addr().String())
		}
		play(t, addrs)
	})
	t.Run("memcached", func(t *testing.T) {
		play(t, []string{stock.ForTest(t).Addr(), stock.ForTest(t).Addr()})
	})
}

// What a fleet is asked for is found, by whoever: rates, shares and sizes.
func TestTakeFindsWhatIsAskedFor(t *testing.T) {
	onNodes(t, func(t *testing.T, addrs []string) {
		c, err := client.New(client.Config{Nodes: ring.Addrs(addrs...)})
		require.NoError(t, err)
		defer c.Close()
		_, err = c.Set(t.Context(), client.Item{Key: "hot key", Value: make([]byte, 1000)})
		require.Error(t, err, "a space is no part of a plain key")
		_, err = c.Set(t.Context(), client.Item{Key: "hot%key", Value: make([]byte, 1000)})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				key := "hot%key"
				if i%2 == 1 {
					key = fmt.Sprint("cold", i%200)
				}
				_, _ = c.Get(context.Background(), key)
			}
		})
		var s Sample
		require.Eventually(t, func() bool {
			s, err = Take(t.Context(), addrs, 200*time.Millisecond, 3)
			return err == nil && len(s.Keys) == 3
		}, time.Minute, time.Millisecond)
		cancel()
		wg.Wait()
		require.Equal(t, 2, s.Nodes)
		require.Empty(t, s.Failed)
		require.Equal(t, "hot%key", s.Keys[0].Key)
		require.Greater(t, s.Keys[0].Share, 10*s.Keys[1].Share)
		require.Positive(t, s.PerSecond)
		require.LessOrEqual(t, s.Keys[0].PerSecond, s.PerSecond)
		require.Greater(t, s.Keys[0].BytesPerSecond, 100*s.Keys[0].PerSecond)
		var out bytes.Buffer
		s.Print(&out)
		require.Contains(t, out.String(), `"hot%key"`)
		require.Contains(t, out.String(), "on 2 nodes")
	})
}

// Where no key comes twice, some are shown all the same: it was said that no key was asked for.
func TestTakeShowsKeysThatComeOnce(t *testing.T) {
	onNodes(t, func(t *testing.T, addrs []string) {
		c, err := client.New(client.Config{Nodes: ring.Addrs(addrs...)})
		require.NoError(t, err)
		defer c.Close()
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				_, _ = c.Get(context.Background(), fmt.Sprint("once", i))
			}
		})
		var s Sample
		require.Eventually(t, func() bool {
			s, err = Take(t.Context(), addrs, 50*time.Millisecond, 3)
			return err != nil || s.PerSecond > 100
		}, time.Minute, time.Millisecond)
		cancel()
		wg.Wait()
		require.NoError(t, err)
		require.Len(t, s.Keys, 3)
		once := 0
		for _, k := range s.Keys {
			require.InDelta(t, k.Share*s.PerSecond, k.PerSecond, 1e-6)
			if strings.HasPrefix(k.Key, "memherd:") {
				continue // the client's own, asked for now and then
			}
			require.Contains(t, k.Key, "once")
			require.Zero(t, k.BytesPerSecond)
			once++
		}
		require.Positive(t, once)
		var out bytes.Buffer
		s.Print(&out)
		require.NotContains(t, out.String(), "no key was asked for")
	})
}

// A Unix socket can be watched, and an address without a port is memcached's, as in a client's list.
func TestTakeDialsAsAClientDoes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	s, err := nodeserver.Start(nodeserver.Config{Addr: "unix:" + path})
	require.NoError(t, err)
	defer s.Close()
	got, err := Take(t.Context(), []string{path}, time.Millisecond, 5)
	require.NoError(t, err)
	require.Equal(t, 1, got.Nodes, got.Failed)
	var out bytes.Buffer
	got.Print(&out)
	require.Contains(t, out.String(), "no key was asked for")
	require.NotContains(t, out.String(), "gets/s")

	got, err = Take(t.Context(), []string{"no-such-host.invalid"}, time.Millisecond, 5)
	require.NoError(t, err)
	require.Len(t, got.Failed, 1)
	require.Contains(t, got.Failed[0], "no-such-host.invalid:11211")
}

// Some nodes may be down, or refuse: the others are shown, and what is wrong with each.
func TestTakeSaysWhoIsNotWatched(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	down := ln.Addr().String()
	require.NoError(t, ln.Close())
	s, err := nodeserver.Start(nodeserver.Config{})
	require.NoError(t, err)
	defer s.Close()
	got, err := Take(t.Context(), []string{s.Addr().String(), down}, time.Millisecond, 5)
	require.NoError(t, err)
	require.Equal(t, 1, got.Nodes)
	require.Len(t, got.Failed, 1)
	require.Contains(t, got.Failed[0], down)
	var out bytes.Buffer
	got.Print(&out)
	require.Contains(t, out.String(), "not watched: "+down)

	// Twenty may watch.
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var watching atomic.Int64
	for range 25 {
		wg.Go(func() {
			_, err := Watch(ctx, s.Addr().String(), time.Minute, func(Event) {})
			if strings.Contains(fmt.Sprint(err), "WATCHER_TOO_MANY") {
				watching.Add(1)
			}
		})
	}
	require.Eventually(t, func() bool { return watching.Load() == 5 }, time.Minute, time.Millisecond)
	cancel()
	wg.Wait()
	_, err = Take(ctx, []string{s.Addr().String()}, time.Minute, 5)
	require.ErrorIs(t, err, context.Canceled)
}
