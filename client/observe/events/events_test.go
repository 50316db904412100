package events

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/hotkey"
	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/ring"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newLog(level slog.Level) (*slog.Logger, *bytes.Buffer) {
	var b bytes.Buffer
	return slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{Level: level})), &b
}

// fill makes arguments for any hook.
func fill(t reflect.Type) []reflect.Value {
	var args []reflect.Value
	for i := range t.NumIn() {
		v := reflect.New(t.In(i)).Elem()
		switch t.In(i) {
		case reflect.TypeFor[string]():
			v.SetString("node1")
		case reflect.TypeFor[error]():
			v.Set(reflect.ValueOf(errors.New("cause")))
		case reflect.TypeFor[int]():
			v.SetInt(3)
		}
		args = append(args, v)
	}
	return args
}

// TestEveryHookWritesALine, hooks that will be added included.
func TestEveryHookWritesALine(t *testing.T) {
	log, out := newLog(slog.LevelDebug)
	hooks := reflect.ValueOf(Hooks(log))
	for i := range hooks.NumField() {
		name := hooks.Type().Field(i).Name
		out.Reset()
		require.False(t, hooks.Field(i).IsNil(), name)
		hooks.Field(i).Call(fill(hooks.Field(i).Type()))
		require.Equal(t, 1, strings.Count(out.String(), "\n"), name)
	}
}

// TestJoinCallsBoth, in order, and only those there are.
func TestJoinCallsBoth(t *testing.T) {
	typ := reflect.TypeFor[client.Hooks]()
	for i := range typ.NumField() {
		for mask := range 4 {
			var calls []int
			var hooks [2]client.Hooks
			for j := range hooks {
				if mask&(1<<j) != 0 {
					reflect.ValueOf(&hooks[j]).Elem().Field(i).Set(reflect.MakeFunc(typ.Field(i).Type, func([]reflect.Value) []reflect.Value {
						calls = append(calls, j)
						return nil
					}))
				}
			}
			joined := reflect.ValueOf(Join(hooks[0], hooks[1])).Field(i)
			require.Equal(t, mask == 0, joined.IsNil())
			if mask != 0 {
				joined.Call(fill(typ.Field(i).Type))
			}
			require.Equal(t, [][]int{nil, {0}, {1}, {0, 1}}[mask], calls, typ.Field(i).Name)
		}
	}
}

// TestDebtIsWrittenWhenItDoubles, and again after the node was up.
func TestDebtIsWrittenWhenItDoubles(t *testing.T) {
	log, out := newLog(slog.LevelInfo)
	h := Hooks(log)
	for depth := 1; depth <= 1000; depth++ {
		h.Owed("a", depth)
	}
	require.Equal(t, 10, strings.Count(out.String(), "\n"))
	h.NodeUp("a", 1000)
	h.Owed("a", 1)
	require.Equal(t, 12, strings.Count(out.String(), "\n"))
	for range 100 {
		h.Failover("get", "a", errors.New("x"))
		h.LeaseLost("a")
	}
	require.Equal(t, 12, strings.Count(out.String(), "\n"), "single calls are for Debug")
}

// TestPromotionsAreCounted, once a second, without their keys.
func TestPromotionsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, out := newLog(slog.LevelInfo)
		own := 0
		cfg := client.Config{HotKeys: &hotkey.Config{OnPromote: func(string, hotkey.Level) { own++ }}}
		before := cfg.HotKeys
		Attach(&cfg, log)
		require.NotSame(t, before, cfg.HotKeys, "the caller's is left alone")
		for range 50 {
			cfg.HotKeys.OnPromote("secret", hotkey.LevelHot)
		}
		time.Sleep(time.Second)
		cfg.HotKeys.OnPromote("secret", hotkey.LevelHottest)
		cfg.HotKeys.OnDemote("secret", hotkey.LevelCold)
		require.Equal(t, 51, own)
		require.Equal(t, 3, strings.Count(out.String(), "\n"))
		require.Contains(t, out.String(), "keys=50 level=hottest")
		require.NotContains(t, out.String(), "secret")
	})
}

// TestANodeFails follows a real client through an outage.
func TestANodeFails(t *testing.T) {
	mem := nodeserver.NewMemNetwork()
	srv, err := nodeserver.Start(nodeserver.Config{Network: mem, Addr: "node:11211"})
	require.NoError(t, err)
	defer srv.Close()
	log, out := newLog(slog.LevelInfo)
	up := make(chan struct{}, 1)
	cfg := client.Config{Nodes: ring.Addrs("node"), DialContext: mem.DialContext, RejoinDelay: client.NoRejoinDelay, Timeout: 10 * time.Second, Hooks: client.Hooks{NodeUp: func(string, int) { up <- struct{}{} }}}
	Attach(&cfg, log)
	require.Nil(t, cfg.HotKeys, "no near-cache unasked for")
	c, err := client.New(cfg)
	require.NoError(t, err)
	_, err = c.Set(context.Background(), client.Item{Key: "secret"})
	require.NoError(t, err)
	mem.Kill("node:11211")
	for c.Nodes()[0].State == "up" {
		c.Get(context.Background(), "secret")
	}
	_, err = c.Delete(context.Background(), "secret")
	require.Error(t, err)
	mem.Revive("node:11211")
	<-up
	require.NoError(t, c.Close())
	for _, line := range []string{"node is down", "node is owed deletes", "node is read again"} {
		require.Contains(t, out.String(), line)
	}
	require.NotContains(t, out.String(), "secret")
}
