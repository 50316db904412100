package loader_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/hotkey"
	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/ring"
)

// nearLoader returns a loader that answers "42" from the near-cache for the next hour.
func nearLoader[V any](tb testing.TB, cfg loader.Config[V]) *loader.Loader[V] {
	s, err := nodeserver.Start(nodeserver.Config{})
	require.NoError(tb, err)
	c, err := client.New(client.Config{Nodes: ring.Addrs(s.Addr().String()), HotKeys: &hotkey.Config{Staleness: time.Hour}})
	require.NoError(tb, err)
	l, err := loader.New(c, cfg)
	require.NoError(tb, err)
	tb.Cleanup(func() {
		require.NoError(tb, l.Close())
		require.NoError(tb, c.Close())
		require.NoError(tb, s.Close())
	})
	for l.Counters().NearHits == 0 {
		_, err := l.Get(tb.Context(), "42")
		require.NoError(tb, err)
	}
	return l
}

// A hit costs no memory, with a prefix, whatever is decoded.
func TestNearHitAllocatesNothing(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector empties pools at random")
	}
	l := nearLoader(t, loader.Config[user]{
		Prefix: "user:", ShareDecoded: true,
		Load: func(context.Context, string) (user, error) { return user{Name: "Ada", Tags: []string{"a"}}, nil },
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	before := l.Counters().NearHits
	require.Zero(t, testing.AllocsPerRun(1000, func() { _, _ = l.Get(ctx, "42") }))
	require.EqualValues(t, 1001, l.Counters().NearHits-before)
}

// BenchmarkNearHit is a Get that the near-cache answers, beside one clock read, which is a part of it.
func BenchmarkNearHit(b *testing.B) {
	u := user{Name: "Ada", Age: 36, Tags: []string{"a", "b"}}
	loadUser := func(context.Context, string) (user, error) { return u, nil }
	b.Run("clock", func(b *testing.B) {
		base, sum := time.Now(), time.Duration(0)
		for b.Loop() {
			sum += time.Since(base)
		}
		_ = sum
	})
	b.Run("json/shared", func(b *testing.B) {
		benchNear(b, nearLoader(b, loader.Config[user]{Prefix: "user:", Load: loadUser, ShareDecoded: true}))
	})
	b.Run("json/own", func(b *testing.B) {
		benchNear(b, nearLoader(b, loader.Config[user]{Prefix: "user:", Load: loadUser}))
	})
	b.Run("string", func(b *testing.B) {
		benchNear(b, nearLoader(b, loader.Config[string]{
			Prefix: "user:", Codec: loader.String{},
			Load: func(context.Context, string) (string, error) { return hundred, nil },
		}))
	})
	b.Run("string/no prefix", func(b *testing.B) {
		benchNear(b, nearLoader(b, loader.Config[string]{
			Codec: loader.String{},
			Load:  func(context.Context, string) (string, error) { return hundred, nil },
		}))
	})
	b.Run("string/parallel", func(b *testing.B) {
		l := nearLoader(b, loader.Config[string]{
			Prefix: "user:", Codec: loader.String{},
			Load: func(context.Context, string) (string, error) { return hundred, nil },
		})
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := l.Get(context.Background(), "42"); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
}

func benchNear[V any](b *testing.B, l *loader.Loader[V]) {
	ctx := context.Background()
	before := l.Counters()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := l.Get(ctx, "42"); err != nil {
			b.Fatal(err)
		}
	}
	after := l.Counters()
	require.Equal(b, before.NodeHits, after.NodeHits, "read from the node")
	require.Equal(b, before.Misses, after.Misses)
}
