package client_test

import (
	"context"
	"errors"
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
	"github.com/memherd/memherd/hotkey"
	"github.com/memherd/memherd/nodeserver"
)

// forLong is a near-cache that holds what it is given, so that only rule 19 takes it away.
func forLong() *hotkey.Config { return &hotkey.Config{NearAll: true, Staleness: time.Hour} }

// writesOf are all ways to change what a node has of k, on one node that is named node0.
func writesOf(t *testing.T, c *client.Client) map[string]func() error {
	ctx := context.Background()
	token, err := c.Gets(ctx, "k")
	require.NoError(t, err)
	it := client.Item{Key: "k", Value: []byte("2")}
	done := func(_ client.Outcome, err error) error { return err }
	return map[string]func() error{
		"Set":            func() error { return done(c.Set(ctx, it)) },
		"SetMulti":       func() error { _, err := c.SetMulti(ctx, []client.Item{{Key: "x"}, it}); return err },
		"Replace":        func() error { return done(c.Replace(ctx, it)) },
		"Append":         func() error { return done(c.Append(ctx, it)) },
		"Prepend":        func() error { return done(c.Prepend(ctx, it)) },
		"CompareAndSwap": func() error { token.Value = it.Value; return done(c.CompareAndSwap(ctx, token)) },
		"Increment":      func() error { _, err := c.Increment(ctx, "k", 1); return err },
		"Decrement":      func() error { _, err := c.Decrement(ctx, "k", 1); return err },
		"Count":          func() error { _, err := c.Count(ctx, client.Counter{Key: "k", Delta: 1}); return err },
		"Touch":          func() error { return c.Touch(ctx, "k", time.Hour) },
		"GetAndTouch":    func() error { _, err := c.GetAndTouch(ctx, "k", time.Hour); return err },
		"Delete":         func() error { return done(c.Delete(ctx, "k")) },
		"DeleteMulti":    func() error { _, err := c.DeleteMulti(ctx, []string{"x", "k"}); return err },
		"write-through": func() error {
			l, err := c.LeaseWrite(ctx, "k")
			return errors.Join(err, done(c.Fill(ctx, l, it)))
		},
		"FlushAll":  func() error { return c.FlushAll(ctx) },
		"FlushNode": func() error { return c.FlushNode(ctx, "node0", 0) },
	}
}

// An own write drops the entry before it is sent, and again when it is through: what a read that overtook it has brought
// meanwhile is gone when the write returns.
func TestRule19OwnWritesDropBeforeAndAfter(t *testing.T) {
	names := []string{}
	synctest.Test(t, func(t *testing.T) {
		l := newLogged(t, 1)
		c := l.client(client.Config{})
		set(t, c, "k", "1")
		for name := range writesOf(t, c) {
			names = append(names, name)
		}
		l.closeAll(c)
	})
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLogged(t, 1)
				c := l.client(client.Config{HotKeys: forLong(), Timeout: time.Minute})
				require.NoError(t, c.Ping(t.Context()))
				set(t, c, "k", "1")
				write := writesOf(t, c)[name]
				require.Equal(t, "1", get(t, c, "k"))
				_, held := c.ReadNear("k")
				require.True(t, held)

				l.decide(func(_ string, r *memproto.Request) nodeserver.Verdict {
					changes := string(r.Key) == "k" && (r.Cmd != memproto.CmdMetaGet || r.Flags.Has(memproto.FlagT))
					if changes || strings.HasPrefix(r.Cmd.String(), "flush") {
						return nodeserver.Verdict{Delay: 100 * time.Millisecond}
					}
					return nodeserver.Verdict{}
				})
				var wg sync.WaitGroup
				wg.Go(func() { require.NoError(t, write()) })
				time.Sleep(10 * time.Millisecond)
				_, held = c.ReadNear("k")
				require.False(t, held, "while the write is on its way")
				// Others wait behind it, so that there is a second connection, on which a read overtakes it.
				for range 8 {
					wg.Go(func() { _, _ = c.Get(context.Background(), "other") })
					time.Sleep(time.Millisecond) // one after the other: who finds the connection crowded opens another
				}
				require.Equal(t, "1", get(t, c, "k"))
				_, held = c.ReadNear("k")
				require.True(t, held, "nothing is confirmed yet")
				wg.Wait()
				_, held = c.ReadNear("k")
				require.False(t, held, "once the write is through")
				l.closeAll(c)
			})
		})
	}
}

// stuck is a connection whose replies do not come through while shut.
type stuck struct {
	net.Conn
	shut *atomic.Pointer[chan struct{}]
}

func (s stuck) Read(b []byte) (int, error) {
	n, err := s.Conn.Read(b)
	if ch := s.shut.Load(); ch != nil {
		<-*ch
	}
	return n, err
}

// behind makes a client of l whose first connection can be shut. What it writes in large values goes by another one.
func behind(t *testing.T, l *logged, cfg client.Config) (c *client.Client, shut func() (open func())) {
	var gate atomic.Pointer[chan struct{}]
	var conns atomic.Int32
	cfg.Nodes, cfg.Timeout = l.nodes(), time.Minute
	cfg.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := l.dial(ctx, network, addr)
		if err == nil && conns.Add(1) == 1 {
			nc = stuck{nc, &gate}
		}
		return nc, err
	}
	c, err := client.New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	require.NoError(t, c.Ping(t.Context()))
	return c, func() func() {
		ch := make(chan struct{})
		gate.Store(&ch)
		return func() { gate.Store(nil); close(ch) }
	}
}

// What a read brings whose answer was under way while an own write went through is not held, by whatever call it was read.
func TestRule19AWriteRefusesReadsUnderWay(t *testing.T) {
	ctx := context.Background()
	large := strings.Repeat("new", 20<<10)
	for name, read := range map[string]func(c *client.Client) error{
		"Get":          func(c *client.Client) error { _, err := c.Get(ctx, "k"); return err },
		"GetInto":      func(c *client.Client) error { _, err := c.GetInto(ctx, "k", nil); return err },
		"GetMulti":     func(c *client.Client) error { _, err := c.GetMulti(ctx, []string{"k"}); return err },
		"GetMultiFunc": func(c *client.Client) error { return c.GetMultiFunc(ctx, []string{"k"}, func(client.Item) {}) },
		"Lease":        func(c *client.Client) error { _, err := c.Lease(ctx, "k", client.LeaseOptions{}); return err },
		"LeaseMulti": func(c *client.Client) error {
			_, errs := c.LeaseMulti(ctx, []string{"k"}, client.LeaseOptions{})
			return errs[0]
		},
	} {
		for _, missing := range []bool{false, true} {
			if missing && strings.HasPrefix(name, "Lease") {
				continue // misses are not remembered for those
			}
			t.Run(name+map[bool]string{true: " missing"}[missing], func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l := newLogged(t, 1)
					c, shut := behind(t, l, client.Config{HotKeys: forLong()})
					for range 3000 {
						_, _ = c.Get(ctx, "k") // misses of hot keys alone are remembered
					}
					set(t, c, "k", "old")
					if missing {
						_, err := c.Delete(ctx, "k")
						require.NoError(t, err)
					}
					open := shut()
					var wg sync.WaitGroup
					wg.Go(func() {
						if err := read(c); err != nil {
							require.ErrorIs(t, err, client.ErrCacheMiss)
						}
					})
					time.Sleep(time.Millisecond)
					set(t, c, "k", large)
					open()
					wg.Wait()
					require.Equal(t, large, get(t, c, "k"))
					l.closeAll(c)
				})
			})
		}
	}
}

// Nor is what a fill has stored before an own write, whose answer comes after that.
func TestRule19AWriteRefusesAFillUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		large := strings.Repeat("new", 20<<10)
		l := newLogged(t, 1)
		c, shut := behind(t, l, client.Config{HotKeys: forLong()})
		lease := won(t, c, "k")
		open := shut()
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := c.Fill(context.Background(), lease, client.Item{Value: []byte("loaded")})
			require.NoError(t, err)
		})
		time.Sleep(time.Millisecond)
		set(t, c, "k", large)
		open()
		wg.Wait()
		require.Equal(t, large, get(t, c, "k"))
		l.closeAll(c)
	})
}

// Nor is what the sweep asked for before it, changed or not.
func TestRule19AWriteRefusesASweepUnderWay(t *testing.T) {
	for _, changed := range []bool{false, true} {
		t.Run(map[bool]string{false: "same", true: "changed"}[changed], func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const x = time.Second
				large := strings.Repeat("new", 20<<10)
				l := newLogged(t, 1)
				cfg := &hotkey.Config{NearAll: true, Staleness: x}
				c, shut := behind(t, l, client.Config{HotKeys: cfg})
				other := l.client(client.Config{})
				set(t, other, "k", "old")
				lease, err := c.Lease(t.Context(), "k", client.LeaseOptions{}) // asks for the CAS
				require.NoError(t, err)
				require.Equal(t, "hit", lease.State.String())
				for range 40 {
					require.Equal(t, "old", get(t, c, "k"))
				}
				if changed {
					set(t, other, "k", "newer")
				}
				l.take()
				open := shut()
				for len(sweepsOf(l)) == 0 {
					time.Sleep(time.Millisecond)
				}
				set(t, c, "k", large)
				open()
				synctest.Wait()
				require.Equal(t, large, get(t, c, "k"))
				l.closeAll(c, other)
			})
		})
	}
}

// sweepsOf is what of k was asked of a node since the last look, beside writes.
func sweepsOf(l *logged) (out []string) {
	for _, s := range l.take() {
		if strings.HasSuffix(s, " mg k") {
			out = append(out, s)
		}
	}
	return out
}
