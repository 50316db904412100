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
	f, err := fleet.Start(1, 0)
	require.NoError(t, err)
	defer f.Close()
	g := NewGomemcache(f.Nodes()[0].Addr, 4)
	defer g.Close()
	_, err = g.Get("a")
	assert.ErrorIs(t, err, ErrMiss)
	require.NoError(t, g.Set("a", []byte("hello")))
	b, err := g.Get("a")
	require.NoError(t, err)
	assert.Equal(t, "hello", string(b))
	require.NoError(t, f.Kill(0))
	_, err = g.Get("a")
	require.Error(t, err)
	assert.NotErrorIs(t, err, ErrMiss, "a dead server is no miss")
}
