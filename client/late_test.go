package client_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/memproto"
	"github.com/memherd/memherd/nodeserver"
)

// lag makes nodes slow to answer one command, for as long as it is set.
type lag struct {
	cmd  atomic.Int64 // memproto.Cmd, 0 for none
	node atomic.Value // the only slow node's name, "" for all
}

func (l *lag) on(cmd memproto.Cmd, node string) {
	l.node.Store(node)
	l.cmd.Store(int64(cmd))
}

func (l *lag) off() { l.cmd.Store(0) }

// lagged runs a test on a fleet of n nodes in a bubble.
func lagged(t *testing.T, n int, run func(t *testing.T, l *logged, slow *lag)) {
	synctest.Test(t, func(t *testing.T) {
		l, slow := newLogged(t, n), &lag{}
		l.decide(func(node string, r *memproto.Request) nodeserver.Verdict {
			if cmd := slow.cmd.Load(); cmd != 0 && memproto.Cmd(cmd) == r.Cmd {
				if only := slow.node.Load(); only == "" || only == node {
					return nodeserver.Verdict{Delay: 200 * time.Millisecond}
				}
			}
			return nodeserver.Verdict{}
		})
		run(t, l, slow)
	})
}

// markStale does what another program's "md key I T30" does.
func (l *memFleet) markStale(node, key string) {
	nc, err := l.network.DialContext(context.Background(), "", node)
	require.NoError(l.t, err)
	defer nc.Close()
	_, err = nc.Write([]byte("md " + key + " I T30\r\n"))
	require.NoError(l.t, err)
	var reply [4]byte
	_, err = nc.Read(reply[:])
	require.NoError(l.t, err)
	require.Equal(l.t, "HD\r\n", string(reply[:]))
}

// patience is a context that ends while a slow node's answer is under way.
func patience(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

// A plain read that is given up draws the win of a stale-marked item as well, after
// its caller has left. Whoever drains the reply hands it back: otherwise nobody
// refreshes the item until it expires.
func TestRule6AnAbandonedPlainReadKeepsNoWin(t *testing.T) {
	reads := map[string]func(c *client.Client, ctx context.Context) error{
		"Get":  func(c *client.Client, ctx context.Context) error { _, err := c.Get(ctx, "k"); return err },
		"Gets": func(c *client.Client, ctx context.Context) error { _, err := c.Gets(ctx, "k"); return err },
		"GetMulti": func(c *client.Client, ctx context.Context) error {
			_, err := c.GetMulti(ctx, []string{"k"})
			return err
		},
		"GetAndTouch": func(c *client.Client, ctx context.Context) error {
			_, err := c.GetAndTouch(ctx, "k", time.Hour)
			return err
		},
		"Touch":   func(c *client.Client, ctx context.Context) error { return c.Touch(ctx, "k", time.Hour) },
		"Inspect": func(c *client.Client, ctx context.Context) error { _, err := c.Inspect(ctx, "k"); return err },
		"Lease": func(c *client.Client, ctx context.Context) error {
			_, err := c.Lease(ctx, "k", client.LeaseOptions{})
			return err
		},
	}
	for name, read := range reads {
		t.Run(name, func(t *testing.T) {
			lagged(t, 1, func(t *testing.T, l *logged, slow *lag) {
				c := l.client(client.Config{Timeout: time.Second})
				set(t, c, "k", "v")
				l.markStale("node0", "k")
				slow.on(memproto.CmdMetaGet, "")
				require.ErrorIs(t, read(c, patience(t)), context.DeadlineExceeded)
				slow.off()
				time.Sleep(time.Second)
				lease, err := c.Lease(context.Background(), "k", client.LeaseOptions{})
				require.NoError(t, err)
				require.True(t, lease.Stale)
				require.Equal(t, "won", lease.State.String())
				l.closeAll(c)
			})
		})
	}
}
