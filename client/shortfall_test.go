package client_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/memproto"
	"github.com/memherd/memherd/nodeserver"
)

// Too few copies confirm: every write says so, the multi-key ones too, whether a copy
// is down or the fleet has shrunk below MinWriteAcks.
func TestTooFewAcks(t *testing.T) {
	ctx := context.Background()
	writes := map[string]func(c *client.Client) (client.Outcome, error){
		"Set": func(c *client.Client) (client.Outcome, error) { return c.Set(ctx, client.Item{Key: "k"}) },
		"SetMulti": func(c *client.Client) (client.Outcome, error) {
			out, err := c.SetMulti(ctx, []client.Item{{Key: "k"}})
			return out[0], err
		},
		"Delete": func(c *client.Client) (client.Outcome, error) { return c.Delete(ctx, "k") },
		"DeleteMulti": func(c *client.Client) (client.Outcome, error) {
			out, err := c.DeleteMulti(ctx, []string{"k"})
			return out[0], err
		},
	}
	for name, write := range writes {
		t.Run(name, func(t *testing.T) {
			f := newMemFleet(t, 2, nodeserver.Config{})
			c := f.client(client.Config{ReplicationFactor: 2, MinWriteAcks: 2, Announce: client.NoAnnounce, MigrationWindow: client.NoMigrationWindow})
			out, err := write(c)
			require.NoError(t, err)
			require.Equal(t, 2, out.Confirmed)
			f.kill("node1")
			out, err = write(c)
			require.ErrorIs(t, err, client.ErrTooFewAcks)
			require.ErrorContains(t, err, "node1")
			require.Equal(t, client.Outcome{Copies: 2, Confirmed: 1, Owed: 1, Found: out.Found}, out)
			require.NoError(t, c.SetNodes(f.nodes()[:1]))
			out, err = write(c)
			require.ErrorIs(t, err, client.ErrTooFewAcks, "one node is left")
			require.Equal(t, 1, out.Confirmed)
		})
	}
}

// An in-flight cap of another kind: the server takes one connection and no more. That
// is no reason to give up the one that works, nor to dial for every call.
func TestARefusedSpareConnectionDoesNotTripTheNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogged(t, 1)
		l.decide(func(_ string, r *memproto.Request) nodeserver.Verdict {
			if r.Cmd == memproto.CmdMetaGet {
				return nodeserver.Verdict{Delay: time.Millisecond}
			}
			return nodeserver.Verdict{}
		})
		var dials atomic.Int64
		c, err := client.New(client.Config{Nodes: l.nodes(), Timeout: 5 * time.Second,
			Hooks: client.Hooks{NodeDown: func(_ string, cause error) { t.Error("tripped: ", cause) }},
			DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				if dials.Add(1) > 1 {
					return nil, errors.New("too many connections")
				}
				return l.dial(ctx, network, addr)
			}})
		require.NoError(t, err)
		set(t, c, "k", "v")
		var wg sync.WaitGroup
		for range 400 {
			wg.Go(func() {
				for range 5 {
					if _, err := c.Get(context.Background(), "k"); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		require.Greater(t, dials.Load(), int64(1), "the second connection was tried")
		require.LessOrEqual(t, dials.Load(), int64(6), "in about two seconds")
		require.Equal(t, "up", stateOf(c, "node0"))
		l.closeAll(c)
	})
}

// tracked counts the connections that are open.
type tracked struct {
	net.Conn
	open *atomic.Int64
	once sync.Once
}

func (c *tracked) Close() error {
	c.once.Do(func() { c.open.Add(-1) })
	return c.Conn.Close()
}

// A dial that was on its way when the node tripped comes through after the probe's:
// no connection is lost sight of, and none is open after Close.
func TestALateDialLosesNoConnection(t *testing.T) {
	lagged(t, 1, func(t *testing.T, l *logged, slow *lag) {
		var open, dials, late atomic.Int64
		var conns [10]net.Conn
		blocked := make(chan struct{})
		c, err := client.New(client.Config{Nodes: l.nodes(), Timeout: 5 * time.Second, DialTimeout: time.Minute,
			DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				i := dials.Add(1)
				if i == late.Load() {
					<-blocked
				}
				nc, err := l.dial(ctx, network, addr)
				if err != nil {
					return nil, err
				}
				open.Add(1)
				conns[i] = &tracked{Conn: nc, open: &open}
				return conns[i], nil
			}})
		require.NoError(t, err)
		set(t, c, "k", "v")
		crowd := func() *sync.WaitGroup {
			var wg sync.WaitGroup
			for i := range 300 {
				wg.Go(func() { _, _ = c.Get(context.Background(), "k") })
				if i < 10 {
					synctest.Wait() // all at once may choose before any of them is under way, and see no crowd
				}
			}
			synctest.Wait()
			return &wg
		}
		// Two connections; then the first one breaks, and while the second is crowded the
		// dial of another first one hangs.
		slow.on(memproto.CmdMetaGet, "")
		wg := crowd()
		l.network.Partition("node0", true)
		slow.off()
		l.network.Partition("node0", false)
		wg.Wait()
		require.EqualValues(t, 2, dials.Load())
		require.NoError(t, conns[1].Close())
		late.Store(3)
		slow.on(memproto.CmdMetaGet, "")
		wg = crowd()
		wg2 := crowd()
		require.EqualValues(t, 3, dials.Load())
		// The second one hangs, too: the node trips, is probed, and is up again.
		l.network.Partition("node0", true)
		for stateOf(c, "node0") != "down" {
			time.Sleep(10 * time.Millisecond)
		}
		slow.off()
		l.network.Partition("node0", false)
		for stateOf(c, "node0") != "up" {
			time.Sleep(10 * time.Millisecond)
		}
		wg.Wait()
		wg2.Wait()
		require.Equal(t, "v", get(t, c, "k"))
		close(blocked)
		synctest.Wait()
		require.Equal(t, "v", get(t, c, "k"))
		l.closeAll(c)
		require.Zero(t, open.Load())
	})
}
