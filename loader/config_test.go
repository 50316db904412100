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
	"github.com/memherd/memherd/loader/zstd"
)

func TestNewRefusesBadConfigs(t *testing.T) {
	load := func(context.Context, string) (int, error) { return 0, nil }
	for field, cfg := range map[string]loader.Config[int]{
		"Load":                     {},
		"TTL":                      {Load: load, TTL: -1},
		"LoadTimeout":              {Load: load, LoadTimeout: -1},
		"LeaseTTL":                 {Load: load, LeaseTTL: -1},
		"TTL is 600ns":             {Load: load, TTL: 600},
		"LoadTimeout is 5ns":       {Load: load, LoadTimeout: 5},
		"Freshness.Soft is 60ns":   {Load: load, Freshness: loader.Freshness{Soft: 60}},
		"Freshness.IfError is 1µs": {Load: load, Freshness: loader.Freshness{IfError: time.Microsecond}},
		"MaxLoads":                 {Load: load, MaxLoads: -1},
		"MaxValueBytes":            {Load: load, MaxValueBytes: -1},
		"Write":                    {Load: load, Write: 7},
		"Write is write-through":   {Load: load, Write: loader.WriteThrough},
		"Prefix":                   {Load: load, Prefix: "a b"},
	} {
		_, err := loader.New(fakecache.New(1), cfg)
		require.ErrorContains(t, err, "Config."+field)
	}
	_, err := loader.New(fakecache.New(1), loader.Config[int]{Load: load, Prefix: strings.Repeat("p", 201)})
	require.ErrorContains(t, err, "Prefix has 201 bytes")
	_, err = loader.New(nil, loader.Config[int]{Load: load})
	require.ErrorContains(t, err, "needs a cache")
	var unopened *fakecache.Cache
	_, err = loader.New(unopened, loader.Config[int]{Load: load})
	require.ErrorContains(t, err, "needs a cache")
	_, err = loader.NewNamespace(unopened, loader.Config[int]{Load: load}, loader.NamespaceConfig{Name: "n"})
	require.ErrorContains(t, err, "needs a cache")
	var j *memJournal
	_, err = loader.New(fakecache.New(1), loader.Config[int]{Load: load, Back: loader.BackConfig[int]{Journal: j}})
	require.ErrorContains(t, err, "Back.Journal is a nil pointer")
	var codec *zstd.Codec[int]
	_, err = loader.New(fakecache.New(1), loader.Config[int]{Load: load, Codec: codec})
	require.ErrorContains(t, err, "Codec is a nil pointer")
}

// A malformed key is refused before the cache or the origin hears of it, by every
// method, with the prefix counted in.
func TestMalformedKeys(t *testing.T) {
	c, o := fakecache.New(1), newOrigin()
	l := open(t, c, o, func(c *loader.Config[string]) { c.Prefix = "users:" })
	ctx := t.Context()
	for _, key := range []string{"", " ", "a b", "a\r\nb", "a\x7f", "\x00", strings.Repeat("k", 245)} {
		_, err := l.Get(ctx, key)
		require.ErrorIs(t, err, item.ErrMalformedKey)
		require.ErrorIs(t, l.Put(ctx, key, "v"), item.ErrMalformedKey)
		require.ErrorIs(t, l.Delete(ctx, key), item.ErrMalformedKey)
		require.ErrorIs(t, l.Invalidate(ctx, "good", key), item.ErrMalformedKey)
	}
	for _, method := range []string{"Lease", "LeaseWrite", "Fill", "Release", "Delete"} {
		require.Zero(t, c.Calls(method), method)
	}
	require.Zero(t, o.loads.Load())
	require.NoError(t, l.Put(ctx, strings.Repeat("k", 244), "v"))
}

func TestPutNeedsStore(t *testing.T) {
	l := open(t, fakecache.New(1), newOrigin(), func(c *loader.Config[string]) { c.Store = nil })
	require.ErrorIs(t, l.Put(t.Context(), "k", "v"), loader.ErrNoStore)
}

func TestAfterClose(t *testing.T) {
	l := open(t, fakecache.New(1), newOrigin("k", "v"))
	require.NoError(t, l.Close())
	require.NoError(t, l.Close())
	_, err := l.Get(t.Context(), "k")
	require.ErrorIs(t, err, loader.ErrClosed)
	require.ErrorIs(t, l.Put(t.Context(), "k", "v"), loader.ErrClosed)
	require.ErrorIs(t, l.Delete(t.Context(), "k"), loader.ErrClosed)
	require.ErrorIs(t, l.Invalidate(t.Context(), "k"), loader.ErrClosed)
}

// A context that has ended does nothing at all.
func TestDeadContext(t *testing.T) {
	c, o := fakecache.New(1), newOrigin("k", "old")
	l := open(t, c, o)
	ctx, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer cancel()
	_, err := l.Get(ctx, "k")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorIs(t, l.Put(ctx, "k", "new"), context.DeadlineExceeded)
	require.ErrorIs(t, l.Delete(ctx, "k"), context.DeadlineExceeded)
	require.ErrorIs(t, l.Invalidate(ctx, "k"), context.DeadlineExceeded)
	require.Equal(t, "old", o.rows["k"])
	require.Zero(t, c.Calls("Lease")+c.Calls("Delete"))
}
