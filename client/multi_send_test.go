package client_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/memproto"
	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/ring"
)

// What GetMulti holds for one node goes out before it waits for a connection to another.
func TestGetMultiHoldsNothingWhileItDials(t *testing.T) {
	lagged(t, 2, func(t *testing.T, l *logged, slow *lag) {
		open := make(chan struct{})
		c, err := client.New(client.Config{
			Nodes: l.nodes(), Timeout: 10 * time.Second, DialTimeout: time.Minute,
			DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				if strings.HasPrefix(addr, "node1") {
					select {
					case <-open:
					case <-ctx.Done():
						return nil, ctx.Err()
					}
				}
				return l.dial(ctx, network, addr)
			},
		})
		require.NoError(t, err)
		r := ringOf(t, ring.Config{Nodes: l.nodes(), Copies: 2})
		here, there := keyOn(r, "node0", "node1"), keyOn(r, "node1", "node0")
		set(t, c, here, "v")
		slow.on(memproto.CmdMetaGet, "")
		var wg sync.WaitGroup
		all := func(keys ...string) {
			found, err := c.GetMulti(context.Background(), keys)
			require.NoError(t, err)
			require.Len(t, found, 1)
		}
		for range 2 { // who has no company holds nothing
			wg.Go(func() { all(here) })
			synctest.Wait()
		}
		l.take()
		wg.Go(func() { all(here, there) })
		time.Sleep(time.Second)
		require.Equal(t, []string{"node0 mg " + here, "node0 mg " + here}, l.take())
		close(open)
		wg.Wait()
		l.closeAll(c)
	})
}

// GetMulti by many callers goes out on one connection, whose requests share commands, unless what it brings is large.
func TestConnectionsOfGetMulti(t *testing.T) {
	for name, want := range map[string]struct {
		size  int
		dials int64
	}{"small values": {100, 1}, "large values": {20_000, 2}} {
		t.Run(name, func(t *testing.T) {
			lagged(t, 1, func(t *testing.T, l *logged, slow *lag) {
				var dials atomic.Int64
				c, err := client.New(client.Config{
					Nodes: l.nodes(), Timeout: time.Minute, ConnsPerNode: 2,
					DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
						dials.Add(1)
						return l.dial(ctx, network, addr)
					},
				})
				require.NoError(t, err)
				var keys []string
				for i := range 20 {
					keys = append(keys, fmt.Sprint("k", i))
					set(t, c, keys[i], strings.Repeat("v", want.size))
				}
				all := func() {
					found, err := c.GetMulti(context.Background(), keys)
					require.NoError(t, err)
					require.Len(t, found, len(keys))
				}
				for range 10 {
					all() // it learns how much comes back
				}
				require.EqualValues(t, 1, dials.Load())
				slow.on(memproto.CmdMetaGet, "")
				var wg sync.WaitGroup
				for range 12 {
					wg.Go(all)
				}
				wg.Wait()
				require.Equal(t, want.dials, dials.Load())
				l.closeAll(c)
			})
		})
	}
}

// lossy is a connection that brings nothing until a moment.
type lossy struct {
	net.Conn
	until *atomic.Int64 // in Unix nanoseconds
}

func (s lossy) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	time.Sleep(time.Until(time.Unix(0, s.until.Load())))
	return n, err
}

// While nothing comes on a node's first connection, as when the network has lost a packet of it, GetMulti goes out on its other one.
func TestGetMultiWhileAConnectionStalls(t *testing.T) {
	for name, both := range map[string]bool{"both are open": true, "the other is opened": false} {
		t.Run(name, func(t *testing.T) { whileAConnectionStalls(t, both) })
	}
}

func whileAConnectionStalls(t *testing.T, both bool) {
	synctest.Test(t, func(t *testing.T) {
		const stall = 200 * time.Millisecond
		l := newLogged(t, 1)
		var busy atomic.Bool
		l.decide(func(string, *memproto.Request) (v nodeserver.Verdict) {
			if busy.Load() {
				v.Delay = time.Millisecond
			}
			return v
		})
		var until, dials atomic.Int64
		c, err := client.New(client.Config{
			Nodes: l.nodes(), ConnsPerNode: 2,
			DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				nc, err := l.dial(ctx, network, addr)
				if err == nil && dials.Add(1) == 1 {
					nc = lossy{nc, &until}
				}
				return nc, err
			},
		})
		require.NoError(t, err)
		keys := []string{"a", "b", "c"}
		for _, key := range keys {
			set(t, c, key, strings.Repeat("v", 100))
		}
		var wg sync.WaitGroup
		busy.Store(true)
		if both {
			for range 100 { // they may have been so quick, or so slow, that none found the other's requests in its way
				for range 20 {
					wg.Go(func() { get(t, c, "a") })
				}
				wg.Wait()
				synctest.Wait()
				if dials.Load() == 2 {
					break
				}
			}
			require.EqualValues(t, 2, dials.Load())
		}
		busy.Store(false)
		var late atomic.Int64
		call := func() {
			start := time.Now()
			found, err := c.GetMulti(context.Background(), keys)
			require.NoError(t, err)
			require.Len(t, found, len(keys))
			if time.Since(start) > stall/10 {
				late.Add(1)
			}
		}
		until.Store(time.Now().Add(stall).UnixNano())
		for range 100 {
			wg.Go(call)
			time.Sleep(stall / 100)
		}
		wg.Wait()
		require.Less(t, late.Load(), int64(30))
		l.closeAll(c)
	})
}
