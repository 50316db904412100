package main

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/memherd/memherd/bench/internal/contest"
	"github.com/memherd/memherd/bench/internal/rival"
	"github.com/memherd/memherd/nodeserver/stock"
)

func TestMain(m *testing.M) {
	// rueidis looks up its servers once more some time after it was closed.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*call).DelayDo.func1"))
}

// redisForTest runs a redis-server until the test ends. Where there is none the test is
// skipped, which CI does not allow.
func redisForTest(t *testing.T) *redis {
	t.Helper()
	if _, err := findRedis(); errors.Is(err, errNoRedis) {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	r, err := startRedis(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, r.stop()) })
	return r
}

// plays holds a client to what a comparison relies on: right values, and an error for
// a key that is not there or when nobody answers. Which of the two a dead server is
// does not matter there; this client takes an end of stream for a miss.
func plays(t *testing.T, c contest.Cache, kill func()) {
	_, err := c.Get(t.Context(), "a")
	require.ErrorIs(t, err, rival.ErrMiss)
	keys := []string{"a", "b", "c", "d", "absent"}
	want := map[string]string{}
	for _, k := range keys[:4] {
		want[k] = strings.Repeat(k, 100) + "\r\n\x00"
		require.NoError(t, c.Set(t.Context(), k, []byte(want[k])))
		b, err := c.Get(t.Context(), k)
		require.NoError(t, err)
		assert.Equal(t, want[k], string(b))
	}
	got := map[string]string{}
	require.NoError(t, c.GetMulti(t.Context(), keys, func(i int, v []byte) { got[keys[i]] = string(v) }))
	assert.Equal(t, want, got)

	kill()
	_, err = c.Get(t.Context(), "a")
	require.Error(t, err)
	require.Error(t, c.Set(t.Context(), "a", nil))
	require.Error(t, c.GetMulti(t.Context(), keys, func(int, []byte) { t.Error("nobody answers") }))
	require.NoError(t, c.Close())
}

func TestGrafana(t *testing.T) {
	one, two := stock.ForTest(t), stock.ForTest(t)
	g, err := newGrafana(4, one.Addr(), two.Addr())
	require.NoError(t, err)
	plays(t, g, func() {
		require.NoError(t, one.Kill())
		require.NoError(t, two.Kill())
	})
	_, err = newGrafana(4, "no such host:x")
	assert.Error(t, err)
}

func TestRueidis(t *testing.T) {
	r := redisForTest(t)
	c, err := newRueidis(r.addr)
	require.NoError(t, err)
	// It tries again until its context ends, so a dead server is not asked for here.
	_, err = c.Get(t.Context(), "a")
	require.ErrorIs(t, err, rival.ErrMiss)
	require.NoError(t, c.Set(t.Context(), "a", []byte("x\r\n\x00")))
	b, err := c.Get(t.Context(), "a")
	require.NoError(t, err)
	assert.Equal(t, "x\r\n\x00", string(b))
	got := map[string]string{}
	keys := []string{"a", "absent"}
	require.NoError(t, c.GetMulti(t.Context(), keys, func(i int, v []byte) { got[keys[i]] = string(v) }))
	assert.Equal(t, map[string]string{"a": "x\r\n\x00"}, got)
	require.NoError(t, c.Close())

	require.NoError(t, r.stop())
	require.NoError(t, r.stop(), "stopping twice")
	_, err = newRueidis(r.addr)
	assert.Error(t, err, "nobody there")
}

func TestRedisKeepsNothingAndListensHereOnly(t *testing.T) {
	r := redisForTest(t)
	assert.True(t, strings.HasPrefix(r.addr, "127.0.0.1:"))
	require.NoError(t, r.ping(t.Context()))
	other := redisForTest(t)
	other.addr = r.addr
	assert.ErrorContains(t, other.ping(t.Context()), "another server")
}

func TestWithoutRedis(t *testing.T) {
	if _, err := os.Stat("/usr/bin/redis-server"); err == nil {
		t.Setenv("PATH", "/nonexistent")
		_, err := findRedis()
		require.NoError(t, err, "the binary is found without PATH")
		return
	}
	t.Setenv("PATH", "/nonexistent")
	_, err := startRedis(t.Context())
	assert.ErrorIs(t, err, errNoRedis)
}
