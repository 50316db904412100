package loader_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/loader/internal/fakecache"
)

// fixed answers every Lease with one hit, so that what is measured is the loader.
type fixed struct {
	loader.Cache
	lease item.Lease
}

func (f *fixed) Lease(context.Context, string, item.LeaseOptions) (item.Lease, error) {
	return f.lease, nil
}

// hits returns a loader whose cache holds value under "user:42".
func hits[V any](b *testing.B, codec loader.Codec[V], prefix string, value V) *loader.Loader[V] {
	c := fakecache.New(1)
	cfg := loader.Config[V]{
		Prefix: prefix, Codec: codec,
		Load: func(context.Context, string) (V, error) { return value, nil },
	}
	fill, err := loader.New(c, cfg)
	require.NoError(b, err)
	_, err = fill.Get(b.Context(), "user:42")
	require.NoError(b, err)
	require.NoError(b, fill.Close())
	e, ok := c.Peek(0, prefix+"user:42")
	require.True(b, ok)
	l, err := loader.New(&fixed{lease: item.Lease{State: item.LeaseHit, Level: item.FromNode, Item: item.Item{Value: e.Value, TTL: 600 * time.Second}}}, cfg)
	require.NoError(b, err)
	b.Cleanup(func() { _ = l.Close() })
	return l
}

func benchGet[V any](b *testing.B, l *loader.Loader[V]) {
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := l.Get(ctx, "user:42"); err != nil {
			b.Fatal(err)
		}
	}
}

var hundred = strings.Repeat("x", 100)

func BenchmarkHit(b *testing.B) {
	b.Run("bytes", func(b *testing.B) { benchGet(b, hits(b, loader.Bytes{}, "", []byte(hundred))) })
	b.Run("string", func(b *testing.B) { benchGet(b, hits(b, loader.String{}, "", hundred)) })
	b.Run("string/prefix", func(b *testing.B) { benchGet(b, hits(b, loader.String{}, "users:", hundred)) })
	u := user{Name: "Ada", Age: 36, Tags: []string{"a", "b"}}
	b.Run("json", func(b *testing.B) { benchGet(b, hits(b, loader.JSON[user]{}, "", u)) })
	b.Run("gob", func(b *testing.B) { benchGet(b, hits(b, loader.Gob[user]{}, "", u)) })
	b.Run("string/parallel", func(b *testing.B) {
		l := hits(b, loader.String{}, "", hundred)
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := l.Get(context.Background(), "user:42"); err != nil {
					b.Fatal(err)
				}
			}
		})
	})
}

// BenchmarkJoin is the cost of joining a flight that is under way and leaving it, with
// a context that ends at once.
func BenchmarkJoin(b *testing.B) {
	stop := make(chan struct{})
	l, err := loader.New(fakecache.New(1), loader.Config[string]{
		LoadTimeout: time.Minute,
		Load:        func(context.Context, string) (string, error) { <-stop; return "", nil },
	})
	require.NoError(b, err)
	ctx := &flip{Context: context.Background(), done: make(chan struct{})}
	close(ctx.done)
	_, err = l.Get(ctx, "k")
	require.ErrorIs(b, err, context.Canceled)
	b.ReportAllocs()
	for b.Loop() {
		ctx.asked = 0
		if _, err := l.Get(ctx, "k"); err != context.Canceled {
			b.Fatal(err)
		}
	}
	close(stop)
	require.NoError(b, l.Close())
}

// flip is a context that is alive when Get looks first and has ended when it waits.
type flip struct {
	context.Context
	done  chan struct{}
	asked int
}

func (f *flip) Done() <-chan struct{} { return f.done }

func (f *flip) Err() error {
	if f.asked++; f.asked == 1 {
		return nil
	}
	return context.Canceled
}

// BenchmarkMiss is a miss, a load that costs nothing, a fill and the delete before it.
func BenchmarkMiss(b *testing.B) {
	c := fakecache.New(1)
	l, err := loader.New(c, loader.Config[string]{
		Codec: loader.String{},
		Load:  func(context.Context, string) (string, error) { return hundred, nil },
	})
	require.NoError(b, err)
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Delete(ctx, "k"); err != nil {
			b.Fatal(err)
		}
		if _, err := l.Get(ctx, "k"); err != nil {
			b.Fatal(err)
		}
	}
	require.NoError(b, l.Close())
}
