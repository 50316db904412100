package client_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/ring"
)

// counted counts itself while it is open.
type counted struct {
	net.Conn
	once sync.Once
	open *atomic.Int64
}

func (c *counted) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() { c.open.Add(-1) })
	return err
}

// doorman counts the connections it lets through.
type doorman struct {
	f    *memFleet
	open atomic.Int64
}

func (d *doorman) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	nc, err := d.f.dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	d.open.Add(1)
	return &counted{Conn: nc, open: &d.open}, nil
}

// stacks returns the stacks of the goroutines that are at work in a client and are not
// this test's callers.
func stacks() (own []string) {
	buf := make([]byte, 4<<20)
	for _, s := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		client := strings.Contains(s, "memherd/client.(") || strings.Contains(s, "memherd/client/internal/pipe.(")
		if client && !strings.Contains(s, "client_test.TestClose") {
			own = append(own, s)
		}
	}
	return own
}

// Close while everything is under way: callers that read and that are parked, callers in
// mid-write, callers that wait for a dial, replies that nobody waits for any more, a
// node that is being mended. Every caller gets ErrClosed at once, and when Close returns
// no goroutine and no connection is left.
func TestCloseInTheMiddleOfEverything(t *testing.T) {
	for _, timeout := range []time.Duration{client.DefaultTimeout, time.Hour} {
		t.Run(timeout.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newMemFleet(t, 3, nodeserver.Config{})
				door := doorman{f: f}
				// Of nodes that have just started a client asks the others, too.
				before := f.client(client.Config{})
				require.NoError(t, before.Ping(t.Context()))
				require.NoError(t, before.Close())
				c, err := client.New(client.Config{Nodes: f.nodes(), Timeout: timeout, DialTimeout: timeout, DialContext: door.dial})
				require.NoError(t, err)
				r := ringOf(t, ring.Config{Nodes: f.nodes()})
				at := map[string][]string{} // keys by node
				for i := range 60 {
					key := fmt.Sprint("k", i)
					owner := r.Owner(key).Name
					at[owner] = append(at[owner], key)
				}
				// node0 hangs with connections, node1 before there are any, node2 is down.
				set(t, c, at["node0"][0], "v")
				f.network.Partition("node0", true)
				f.network.Partition("node1", true)
				f.network.Kill("node2")
				_, err = c.Delete(t.Context(), at["node2"][0])
				require.ErrorIs(t, err, client.ErrNodeDown)

				var callers sync.WaitGroup
				var closed atomic.Int64
				call := func(name string, f func() error) {
					callers.Go(func() {
						if err := f(); !errors.Is(err, client.ErrClosed) {
							t.Errorf("%s came to %v", name, err)
							return
						}
						closed.Add(1)
					})
				}
				for i := range 8 {
					key, far := at["node0"][i%len(at["node0"])], at["node1"][i%len(at["node1"])]
					call("Get", func() error { _, err := c.Get(t.Context(), key); return err })
					call("GetMulti", func() error { _, err := c.GetMulti(t.Context(), []string{key}); return err })
					call("Increment", func() error { _, err := c.Increment(context.Background(), key, 1); return err })
					call("dialling Get", func() error { _, err := c.Get(t.Context(), far); return err })
					call("dialling Set", func() error {
						_, err := c.Set(context.Background(), client.Item{Key: far})
						return err
					})
				}
				call("large Set", func() error {
					_, err := c.Set(t.Context(), client.Item{Key: at["node0"][1], Value: make([]byte, 1_000_000)})
					return err
				})
				for range 4 {
					ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
					_, err := c.Get(ctx, at["node0"][2])
					require.ErrorIs(t, err, context.DeadlineExceeded)
					cancel()
				}
				synctest.Wait()
				require.NotEmpty(t, stacks(), "there is something to end")
				require.Positive(t, door.open.Load())

				start := time.Now()
				require.NoError(t, c.Close())
				require.Zero(t, time.Since(start), "Close waits for nobody's timeout")
				require.Zero(t, door.open.Load(), "connections open")
				require.Empty(t, stacks())
				callers.Wait()
				require.Zero(t, time.Since(start))
				require.EqualValues(t, 41, closed.Load())
				f.network.Partition("node0", false)
				f.network.Partition("node1", false)
				for _, s := range f.servers {
					require.NoError(t, s.Close())
				}
			})
		})
	}
}
