package client_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/memproto"
	"github.com/memherd/memherd/nodeserver"
)

// Whenever the owner is lost, before an operation that may run there only or at any step of it: that it can't be
// reached is ErrOwnerDown, and nothing has happened if the operation itself was not sent.
func TestTheOwnerIsLostOnTheWay(t *testing.T) {
	const owner = "node2"
	ops := map[string]func(t *testing.T, c *client.Client, key string) error{
		"increment": func(t *testing.T, c *client.Client, key string) error {
			_, err := c.Increment(t.Context(), key, 1)
			return err
		},
		"append": func(t *testing.T, c *client.Client, key string) error {
			_, err := c.Append(t.Context(), client.Item{Key: key, Value: []byte("1")})
			return err
		},
		"add": func(t *testing.T, c *client.Client, key string) error {
			_, err := c.Add(t.Context(), client.Item{Key: key, Value: []byte("1")})
			return err
		},
		"gets": func(t *testing.T, c *client.Client, key string) error {
			_, err := c.Gets(t.Context(), key)
			return err
		},
	}
	// Over all: which request is the n-th, the pings decide, too.
	lost, unsent := 0, 0
	for name, op := range ops {
		for _, moving := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", moving ", moving), func(t *testing.T) {
				for step := 1; step < 30; step++ {
					reached := false
					synctest.Test(t, func(t *testing.T) {
						// The requests to any node that are still to come before the owner dies.
						var left atomic.Int64
						var sent atomic.Bool
						var kill func()
						f := newMemFleet(t, 3, nodeserver.Config{Intercept: func(_ net.Addr, r *memproto.Request) (v nodeserver.Verdict) {
							if r.Cmd == memproto.CmdMetaArith || r.Cmd == memproto.CmdMetaSet && string(r.Value) == "1" {
								sent.Store(true)
							}
							if left.Add(-1) == 0 {
								kill()
								v.Drop = true
							}
							return v
						}})
						kill = func() { f.network.Kill(owner) }
						left.Store(1 << 40)
						c := f.client(client.Config{Nodes: f.nodes()[:2], MigrationWindow: time.Minute})
						key := onNode(t, []string{"node0", owner}, f.nodes()[:2], f.nodes())
						set(t, c, key, "41")
						require.NoError(t, c.SetNodes(f.nodes()))
						time.Sleep(2*client.DefaultAnnounce + time.Second)
						if !moving {
							set(t, c, key, "41")
							time.Sleep(2 * time.Minute)
						}
						left.Store(int64(step))
						err := op(t, c, key)
						reached = left.Load() <= 0
						left.Store(1 << 40)
						if errors.Is(err, client.ErrNodeDown) {
							lost++
							require.ErrorIs(t, err, client.ErrOwnerDown, "step %d", step)
						}
						if errors.Is(err, client.ErrOwnerDown) {
							require.True(t, client.SafeToRetry(err), "step %d: %v", step, err)
						}
						if client.SafeToRetry(err) {
							require.False(t, sent.Load(), "step %d: %v", step, err)
							unsent++
						}
						closeFleet(t, f, c)
					})
					if !reached {
						break
					}
				}
			})
		}
	}
	require.Positive(t, lost)
	require.Greater(t, unsent, lost, "what goes before it may be lost, too")
}

// With FailoverRMW, too, the owner's part is its own as long as it is up: also while a request that its caller has left is under way there.
func TestFailoverRMWStaysWithAnOwnerThatIsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogged(t, 2)
		c := l.client(client.Config{ReplicationFactor: 2, FailoverRMW: true, Timeout: time.Second})
		defer l.closeAll(c)
		set(t, c, "k", "5")
		n, err := c.Increment(t.Context(), "k", 1)
		require.NoError(t, err)
		require.EqualValues(t, 6, n)
		l.decide(func(_ string, r *memproto.Request) (v nodeserver.Verdict) {
			if r.Cmd == memproto.CmdMetaArith {
				v.Delay = 500 * time.Millisecond
			}
			return v
		})
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, err = c.Increment(ctx, "k", 1)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		_, err = c.Increment(t.Context(), "k", 1)
		require.ErrorIs(t, err, client.ErrOwnerDown, "not before it is known what became of that")
		require.True(t, client.SafeToRetry(err))
		time.Sleep(2 * time.Second)
		l.decide(func(string, *memproto.Request) (v nodeserver.Verdict) { return v })
		n, err = c.Increment(t.Context(), "k", 1)
		require.NoError(t, err)
		require.EqualValues(t, 8, n)
	})
}
