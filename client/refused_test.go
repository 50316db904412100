package client_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/memproto"
	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/nodeserver/stock"
	"github.com/memherd/memherd/ring"
)

// refusing is a node that refuses large values and no small ones.
type refusing struct {
	cfg  client.Config
	big  int   // the length of a value that it refuses
	want error // what the client makes of the refusal
	gone bool  // the refusal takes the old value away
}

func refusingNodes(t *testing.T) map[string]refusing {
	mem := func(cfg nodeserver.Config) client.Config {
		f := newMemFleet(t, 1, cfg)
		return client.Config{Nodes: f.nodes(), DialContext: f.dial}
	}
	memcached := func(cfg stock.Config) client.Config {
		stock.Need(t)
		s, err := stock.Start(cfg)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, s.Stop()) })
		return client.Config{Nodes: ring.Addrs(s.Addr())}
	}
	return map[string]refusing{
		"too large for memnode":      {mem(nodeserver.Config{MaxItemBytes: 16 << 10}), bigForMemory, client.ErrTooLarge, true},
		"too large for memcached":    {memcached(stock.Config{Args: []string{"-I", "512k"}}), 600 << 10, client.ErrTooLarge, true},
		"memcached is out of memory": {memcached(stock.Config{MemoryMB: 4, Args: []string{"-M"}}), bigForMemory, client.ErrServer, true},
		// A memnode evicts; this one says what a full memcached says, and no more.
		"a node says out of memory": {mem(nodeserver.Config{Intercept: outOfMemory}), bigForMemory, client.ErrServer, false},
	}
}

const bigForMemory = 24 << 10

// outOfMemory is how a memcached with -M that is full answers a large value.
func outOfMemory(_ net.Addr, r *memproto.Request) nodeserver.Verdict {
	if r.Cmd == memproto.CmdMetaSet && len(r.Value) == bigForMemory {
		return nodeserver.Verdict{Reply: []byte("SERVER_ERROR out of memory storing object\r\n")}
	}
	return nodeserver.Verdict{}
}

// Rule 18 as a figure: 256 callers on one connection, one set in a hundred refused. Each
// refused one fails, with the node's own reason; no other does, no connection is lost,
// and what the refused ones had before is gone.
func TestRule18OnePercentRefused(t *testing.T) {
	for name, node := range refusingNodes(t) {
		t.Run(name, func(t *testing.T) {
			var lost, refused, stored, depth, deepest atomic.Int64
			cfg := node.cfg
			cfg.ConnsPerNode, cfg.Timeout = 1, time.Minute // large values must not go another way
			cfg.Hooks = client.Hooks{ConnLost: func(_ string, cause error) {
				if !errors.Is(cause, client.ErrClosed) {
					lost.Add(1)
				}
			}}
			c := newClient(t, cfg)
			big := make([]byte, node.big)
			// Memory for small values first, then none for large ones.
			for id := range 256 {
				set(t, c, fmt.Sprint("small", id), "value of small")
			}
			for i := 0; ; i++ {
				if _, err := c.Set(context.Background(), client.Item{Key: fmt.Sprint("full", i), Value: big}); err != nil {
					require.ErrorIs(t, err, node.want)
					break
				}
			}
			var callers sync.WaitGroup
			start := make(chan struct{})
			for id := range 256 {
				callers.Go(func() {
					rng := rand.New(rand.NewPCG(18, uint64(id)))
					key := fmt.Sprint("small", id)
					<-start
					for range scaled(t, 100) {
						deepest.Store(max(deepest.Load(), depth.Add(1)))
						if rng.IntN(100) == 0 {
							_, err := c.Set(context.Background(), client.Item{Key: key, Value: big})
							if !errors.Is(err, node.want) || client.SafeToRetry(err) {
								t.Errorf("a refused set came to %v", err)
							}
							refused.Add(1)
							if _, err := c.Get(context.Background(), key); node.gone && !errors.Is(err, client.ErrCacheMiss) {
								t.Errorf("after the refusal there is %v", err)
							}
						} else if _, err := c.Set(context.Background(), client.Item{Key: key, Value: []byte("value of " + key)}); err != nil {
							t.Errorf("a neighbour failed: %v", err)
						} else if it, err := c.Get(context.Background(), key); err != nil || string(it.Value) != "value of "+key {
							t.Errorf("a neighbour reads %q, %v", it.Value, err)
						}
						depth.Add(-1)
						stored.Add(1)
					}
				})
			}
			close(start)
			callers.Wait()
			t.Logf("%d of %d sets refused at depth %d, %d connections lost", refused.Load(), stored.Load(), deepest.Load(), lost.Load())
			require.Zero(t, lost.Load())
			require.Positive(t, refused.Load())
		})
	}
}
