package loader_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/ring"
)

// A loader takes what its client takes.
func TestAnyKeysThroughALoader(t *testing.T) {
	onMeta(t, func(t *testing.T, nodes []ring.Node) {
		c, err := client.New(client.Config{Nodes: nodes, ReplicationFactor: 2, Keys: client.AnyKeys})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, c.Close()) })
		o := newOrigin()
		l, err := loader.New(c, loader.Config[string]{Prefix: "pages:", Codec: loader.String{}, Write: loader.WriteThrough, Load: o.load, Store: o.store})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, l.Close()) })
		ctx := context.Background()
		for _, key := range []string{"a b", "a\x00b", "/search?q=two words\r\n", strings.Repeat("long/", 100)} {
			require.NoError(t, l.Put(ctx, key, "v:"+key))
			before := o.loads.Load()
			v, err := l.Get(ctx, key)
			require.NoError(t, err)
			require.Equal(t, "v:"+key, v)
			require.Equal(t, before, o.loads.Load(), "it was in the cache")
			require.NoError(t, l.Invalidate(ctx, key))
			v, err = l.Get(ctx, key)
			require.NoError(t, err)
			require.Equal(t, "v:"+key, v)
			require.Equal(t, before+1, o.loads.Load())
		}
		_, err = l.Get(ctx, "")
		require.ErrorIs(t, err, item.ErrMalformedKey)
	})
}
