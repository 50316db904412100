package loader

import (
	"context"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client/item"
)

func TestIsPlain(t *testing.T) {
	type row struct {
		Name string
		Age  int
		At   time.Time
		Grid [3][2]float32
		In   struct{ B bool }
	}
	for _, v := range []any{1, uint8(1), 1.5, 1i, true, "s", [2]string{}, row{}, time.Time{}, time.Second} {
		require.True(t, isPlain(reflect.TypeOf(v)), "%T", v)
	}
	for _, v := range []any{
		[]byte{}, map[int]int{}, new(int), [1][]int{}, struct{ p *int }{}, make(chan int), func() {}, struct{ row *row }{}, struct{ any any }{},
	} {
		require.False(t, isPlain(reflect.TypeOf(v)), "%T", v)
	}
	require.False(t, isPlain(reflect.TypeFor[any]()))
	require.False(t, isPlain(reflect.TypeFor[holdsAny]()))
}

type holdsAny struct{ P interface{ Len() int } }

// asked is a Cache whose near-cache is empty and remembers what it was asked for.
type asked struct {
	Cache
	keys []string
}

func (a *asked) ReadNear(key string) (item.Near, bool) {
	a.keys = append(a.keys, strings.Clone(key))
	return item.Near{}, false
}

func (a *asked) Lease(context.Context, string, item.LeaseOptions) (item.Lease, error) {
	return item.Lease{}, item.ErrNodeDown
}

// What is no key is not looked for, nor is a marker; keys of any length meet the right entry.
func TestReadNearAsksForKeysOnly(t *testing.T) {
	long := strings.Repeat("k", 238)
	h := &asked{}
	l, err := New[string](h, Config[string]{
		Prefix: "user:", FailClosed: true, Codec: String{},
		Load:   func(context.Context, string) (string, error) { return "", ErrNotFound },
		Region: RegionConfig[string]{LoadMaster: func(context.Context, string) (string, error) { return "", ErrNotFound }},
	})
	require.NoError(t, err)
	defer l.Close()
	for _, key := range []string{"", "marker:k", long + "kkkkkkkk"} {
		_, err := l.Get(t.Context(), key)
		require.ErrorIs(t, err, item.ErrMalformedKey)
	}
	require.Empty(t, h.keys)
	for _, key := range []string{"k", "kk", long} {
		_, err := l.Get(t.Context(), key)
		require.ErrorIs(t, err, ErrCacheDown)
	}
	_, err = l.Get(t.Context(), "k")
	require.ErrorIs(t, err, ErrCacheDown)
	require.Equal(t, []string{"user:k", "user:kk", "user:" + long, "user:k"}, h.keys)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = l.Get(ended, "k")
	require.ErrorIs(t, err, context.Canceled)
	require.Len(t, h.keys, 4)
}
