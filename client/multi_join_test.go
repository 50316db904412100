package client_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/memproto"
	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/nodeserver/stock"
	"github.com/memherd/memherd/ring"
)

// Calls that are under way together share commands on their way to a node. Each is told what is there all the same: with
// keys in common and not, hits and misses, with tokens and without, single gets and writes of other keys in between.
func TestGetMultiOfManyCallers(t *testing.T) {
	onEveryHerd(t, func(t *testing.T, h *herd) { manyCallers(t, client.Config{Nodes: h.nodes, DialContext: h.dial}) })
}

// The same where the bytes take another way, and come as it cuts them.
func TestGetMultiOfManyCallersOverTLSAndUnixSockets(t *testing.T) {
	cert, pool := certificate(t)
	for server, start := range map[string]func(t *testing.T) string{
		"memnode": func(t *testing.T) string {
			s, err := nodeserver.Start(nodeserver.Config{Addr: "127.0.0.1:0"})
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, s.Close()) })
			return s.Addr().String()
		},
		"memcached": func(t *testing.T) string { return stock.ForTest(t).Addr() },
	} {
		t.Run(server+" over TLS", func(t *testing.T) {
			ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}})
			require.NoError(t, err)
			before(t, ln, start(t))
			manyCallers(t, client.Config{Nodes: ring.Addrs(ln.Addr().String()), TLS: &tls.Config{RootCAs: pool}})
		})
		t.Run(server+" over a Unix socket", func(t *testing.T) {
			ln, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
			require.NoError(t, err)
			before(t, ln, start(t))
			manyCallers(t, client.Config{Nodes: ring.Addrs(ln.Addr().String())})
		})
	}
}

// before hands what comes to ln on to a server, and its replies back, until the test ends.
func before(t *testing.T, ln net.Listener, server string) {
	var wg sync.WaitGroup
	t.Cleanup(wg.Wait)
	t.Cleanup(func() { ln.Close() })
	wg.Go(func() {
		for {
			in, err := ln.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", server)
			if err != nil {
				in.Close()
				continue
			}
			pass := func(to, from net.Conn) {
				io.Copy(to, from)
				to.Close()
				from.Close()
			}
			wg.Go(func() { pass(in, out) })
			wg.Go(func() { pass(out, in) })
		}
	})
}

func manyCallers(t *testing.T, cfg client.Config) {
	cfg.Timeout, cfg.DialTimeout = 10*time.Second, 10*time.Second
	cfg.Hooks.ConnLost = func(node string, cause error) {
		if cause != client.ErrClosed {
			t.Errorf("connection to %s lost: %v", node, cause)
		}
	}
	c := newClient(t, cfg)
	ctx := t.Context()
	value := func(key string) string { return strings.Repeat(key, 1+len(key)%5) }
	var keys []string
	there := map[string]bool{}
	for i := range 120 {
		key := fmt.Sprint(strings.Repeat("k", i%60), i)
		keys = append(keys, key)
		if i%3 > 0 {
			_, err := c.Set(ctx, client.Item{Key: key, Value: []byte(value(key)), Flags: uint32(i)})
			require.NoError(t, err)
			there[key] = true
		}
	}
	var wg sync.WaitGroup
	for id := range 24 {
		rng := rand.New(rand.NewPCG(uint64(id), 3))
		wg.Go(func() {
			for range 40 {
				ask := map[string]bool{}
				for range 1 + rng.IntN(40) {
					ask[keys[rng.IntN(len(keys))]] = true
				}
				var list []string
				want := 0
				for key := range ask {
					list = append(list, key)
					if there[key] {
						want++
					}
				}
				get := c.GetMulti
				switch rng.IntN(6) {
				case 0:
					get = c.GetsMulti
				case 1:
					it, err := c.Get(ctx, list[0])
					if there[list[0]] {
						assert.NoError(t, err)
						assert.Equal(t, value(list[0]), string(it.Value))
					} else {
						assert.ErrorIs(t, err, client.ErrCacheMiss)
					}
				case 2:
					_, err := c.Set(ctx, client.Item{Key: fmt.Sprint("other", id), Value: []byte("x")})
					assert.NoError(t, err)
				}
				found, err := get(ctx, list)
				assert.NoError(t, err)
				assert.Len(t, found, want)
				for key, it := range found {
					assert.True(t, ask[key] && there[key])
					assert.Equal(t, key, it.Key)
					assert.Equal(t, value(key), string(it.Value))
				}
			}
		})
	}
	wg.Wait()
}

// A node that fails in the middle of what callers share fails all of those it was for, and none of them is told anything: their
// keys come from the other copy.
func TestASharedGetThatFails(t *testing.T) {
	for name, verdict := range map[string]nodeserver.Verdict{
		"out of memory":      {Reply: []byte("SERVER_ERROR out of memory writing get response\r\n")},
		"behind a value":     {Reply: []byte("VALUE k1 0 5\r\nwrong\r\nSERVER_ERROR out of memory writing get response\r\n")},
		"another's value":    {Reply: []byte("VALUE k1 0 5\r\nwrong\r\nVALUE other 0 5\r\nwrong\r\nEND\r\n")},
		"lost before":        {Drop: true},
		"lost behind":        {DropAfter: true},
		"no end, and silent": {Reply: []byte("VALUE k1 0 5\r\nwrong\r\n")},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var failing atomic.Bool
				f := newMemFleet(t, 0, nodeserver.Config{})
				for i := range 2 {
					f.names = append(f.names, fmt.Sprint("node", i))
					f.config.Intercept = func(_ net.Addr, r *memproto.Request) nodeserver.Verdict {
						if r.Cmd == memproto.CmdGet && i == 0 && failing.CompareAndSwap(true, false) {
							return verdict
						}
						return nodeserver.Verdict{}
					}
					f.start(f.names[i])
				}
				c := f.client(client.Config{ReplicationFactor: 2, ConnsPerNode: 1})
				var keys []string
				for i := range 12 {
					keys = append(keys, fmt.Sprint("k", i))
					set(t, c, keys[i], "v")
				}
				failing.Store(true)
				lost := c.Nodes()[0].Failures
				var wg sync.WaitGroup
				for range 8 {
					wg.Go(func() {
						found, err := c.GetMulti(t.Context(), keys)
						assert.NoError(t, err)
						assert.Len(t, found, len(keys))
						for _, it := range found {
							assert.Equal(t, "v", string(it.Value))
						}
					})
				}
				wg.Wait()
				require.False(t, failing.Load())
				require.Greater(t, c.Nodes()[0].Failures, lost)
				found, err := c.GetMulti(t.Context(), keys)
				require.NoError(t, err)
				require.Len(t, found, len(keys))
				closeFleet(t, f, c)
			})
		})
	}
}
