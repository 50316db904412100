package metrics

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/observe/timing"
	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/ring"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestHowManySeries: what README.md says of cardinality.
func TestHowManySeries(t *testing.T) {
	count := func(nodes []string, loaders int) (n int) {
		c, err := client.New(client.Config{Nodes: ring.Addrs(nodes...)})
		require.NoError(t, err)
		defer c.Close()
		s := Source{Client: c, Loaders: map[string]func() any{}}
		for i := range loaders {
			s.Loaders[string(rune('a'+i))] = func() any { return loader.Counters{} }
		}
		require.NoError(t, s.Check())
		seen := map[string]bool{}
		for _, m := range Table() {
			if m.Read == nil {
				continue
			}
			m.Read(s.Read(), func(_ float64, labels ...string) {
				require.Len(t, labels, len(m.Labels), m.Name)
				key := m.Name
				for _, l := range labels {
					key += "\x00" + l
				}
				require.False(t, seen[key], "%q twice", key)
				seen[key] = true
				n++
			})
		}
		return n
	}
	base := count([]string{"a"}, 0)
	perNode := count([]string{"a", "b"}, 0) - base
	require.Equal(t, 13, perNode)
	require.Equal(t, 32, base-perNode)
	require.Equal(t, 45, count([]string{"a"}, 1)-base)
}

func TestFields(t *testing.T) {
	type inner struct{ Full, APart uint64 }
	got := Fields(struct {
		NodeHits  uint64
		LoadLimit uint64
		Back      inner
		Pending   int
		Name      string
		hidden    uint64
	}{NodeHits: 1, LoadLimit: 2, Back: inner{3, 4}, Pending: 5, hidden: 6})
	require.Equal(t, []Field{{"node_hits", 1, false}, {"load_limit", 2, true}, {"back_full", 3, false}, {"back_apart", 4, false}, {"pending", 5, true}}, got)
}

func TestCheck(t *testing.T) {
	a, err := client.New(client.Config{Nodes: ring.Addrs("a")})
	require.NoError(t, err)
	defer a.Close()
	b, err := client.New(client.Config{Nodes: ring.Addrs("a")})
	require.NoError(t, err)
	defer b.Close()
	timed, err := timing.New(timing.Config{Client: b})
	require.NoError(t, err)
	_, err = timed.Get(context.Background(), "bad key")
	require.ErrorIs(t, err, client.ErrMalformedKey)
	many := map[string]func() any{}
	for i := range MaxLoaders + 1 {
		many[string(rune('a'+i))] = func() any { return loader.Counters{} }
	}
	for want, s := range map[string]Source{
		"Client is missing": {}, "Timing is over another": {Client: a, Timing: timed}, "101 loaders": {Client: a, Loaders: many},
		"not valid UTF-8": {Client: a, Loaders: map[string]func() any{"caf\xe9": func() any { return loader.Counters{} }}},
		`["x"] is nil`:    {Client: a, Loaders: map[string]func() any{"x": nil}},
		"no struct":       {Client: a, Loaders: map[string]func() any{"x": func() any { return 7 }}},
	} {
		require.ErrorContains(t, s.Check(), want)
	}
}
