package rival

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/memherd/memherd/bench/internal/fleet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestGomemcache(t *testing.T) {
	f, err := fleet.Start(2, 0)
	require.NoError(t, err)
	defer f.Close()
	g := NewGomemcache(4, f.Nodes()[0].Addr, f.Nodes()[1].Addr)
	defer g.Close()
	_, err = g.Get(t.Context(), "a")
	assert.ErrorIs(t, err, ErrMiss)
	keys := []string{"a", "b", "c", "d", "absent"}
	want := map[string]string{}
	for _, k := range keys[:4] {
		want[k] = "hello " + k
		require.NoError(t, g.Set(t.Context(), k, []byte(want[k])))
	}
	b, err := g.Get(t.Context(), "a")
	require.NoError(t, err)
	assert.Equal(t, "hello a", string(b))
	got := map[string]string{}
	require.NoError(t, g.GetMulti(t.Context(), keys, func(i int, v []byte) { got[keys[i]] = string(v) }))
	assert.Equal(t, want, got)
	require.NoError(t, f.Kill(0))
	require.NoError(t, f.Kill(1))
	_, err = g.Get(t.Context(), "a")
	require.Error(t, err)
	assert.NotErrorIs(t, err, ErrMiss, "a dead server is no miss")
	assert.Error(t, g.GetMulti(t.Context(), keys, func(int, []byte) { t.Error("nobody answers") }))
}
