package pipe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/client/memproto"
	"github.com/memherd/memherd/nodeserver"
)

// scaled is n times MEMHERD_SCALE, at least 1.
func scaled(n int) int {
	if f, err := strconv.ParseFloat(os.Getenv("MEMHERD_SCALE"), 64); err == nil && f > 0 {
		return max(1, int(float64(n)*f))
	}
	return n
}

// errKilled is what the test kills connections with.
var errKilled = errors.New("killed by the test")

// crowd is many callers on one connection, which is replaced when it dies.
type crowd struct {
	t     *testing.T
	dial  func() (net.Conn, error)
	calls Pool
	wg    sync.WaitGroup // what connections start

	mu   sync.Mutex // guards c, all
	c    *Conn
	all  []*Conn
	died atomic.Int64 // times OnDead ran

	abandoned, settled, hits, failed atomic.Int64
}

// conn returns a connection that was alive a moment ago.
func (w *crowd) conn() *Conn {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.c != nil && !w.c.Dead() {
		return w.c
	}
	nc, err := w.dial()
	require.NoError(w.t, err)
	w.c = New(nc, Config{
		Timeout: 30 * time.Second, Calls: &w.calls,
		Go:     func(f func()) bool { w.wg.Go(f); return true },
		OnDead: func(*Conn, error) { w.died.Add(1) },
	})
	w.all = append(w.all, w.c)
	return w.c
}

// late checks the reply of a call whose caller left, as strictly as if it had stayed.
type late struct {
	w   *crowd
	key string
}

func (l *late) Settle(_ *Conn, k *Call) {
	l.w.settled.Add(1)
	l.w.check(k, l.key)
}

// check proves that the outcome of k is its own. It runs on any goroutine.
func (w *crowd) check(k *Call, key string) {
	switch {
	case k.Err != nil:
		w.failed.Add(1)
		if !errors.Is(k.Err, errKilled) && !errors.Is(k.Err, item.ErrConnLost) {
			w.t.Errorf("call on %s failed with %v", key, k.Err)
		}
	case k.Req.Cmd == memproto.CmdMetaNoop:
		if k.Resp.Status != memproto.StatusMN {
			w.t.Errorf("mn answered by %s", k.Resp.Status)
		}
	case k.Resp.Status == memproto.StatusVA:
		w.hits.Add(1)
		if !bytes.Equal(k.Value, valueOf(key, len(k.Value))) {
			w.t.Errorf("%s got another's value: %.40q", key, k.Value)
		}
	}
}

// valueOf is a value of size bytes that says all over whose it is.
func valueOf(key string, size int) []byte {
	return bytes.Repeat([]byte(key+" "), size/(len(key)+1)+1)[:size]
}

// request draws a request for key.
func (w *crowd) request(rng *rand.Rand, key string) *Call {
	k := w.calls.New()
	k.Settler = &late{w, key}
	k.Req.Key = []byte(key)
	switch n := rng.IntN(100); {
	case n < 60:
		k.Req.Cmd, k.Req.Flags = memproto.CmdMetaGet, memproto.FlagLv|memproto.FlagLf
		k.Borrow = n%2 == 0
	case n < 90:
		size := rng.IntN(200)
		if n == 60 {
			size = 20_000 + rng.IntN(100_000) // through every way a data block is read
		}
		k.Req.Cmd, k.Req.ClientFlags, k.Req.Value = memproto.CmdMetaSet, 1, valueOf(key, size)
	case n < 95:
		k.Req.Cmd = memproto.CmdMetaDelete
	default:
		k.Req.Cmd = memproto.CmdMetaNoop
	}
	return k
}

// work makes n calls, one by one, in batches and with nobody waiting.
func (w *crowd) work(id, n int) {
	rng := rand.New(rand.NewPCG(7, uint64(id)))
	for range n {
		ctx, cancel := context.Background(), func() {}
		if rng.IntN(5) == 0 {
			ctx, cancel = context.WithTimeout(ctx, time.Duration(rng.IntN(300))*time.Microsecond)
		}
		ks, keys := make([]*Call, 1+rng.IntN(4)), make([]string, 4)
		for i := range ks {
			keys[i] = fmt.Sprint("key", rng.IntN(200))
			ks[i] = w.request(rng, keys[i])
		}
		c := w.conn()
		switch {
		case rng.IntN(20) == 0:
			// Posted calls are the connection's; on a dead one they are nobody's.
			for _, k := range ks {
				if c.Post(k) {
					w.abandoned.Add(1)
				}
			}
		case c.StartAll(ctx, ks) != nil:
			w.failed.Add(1)
			for _, k := range ks {
				k.Free()
			}
		default:
			for i, k := range ks {
				if !c.Wait(ctx, k) {
					w.abandoned.Add(1)
					continue
				}
				w.check(k, keys[i])
				k.Free()
			}
		}
		cancel()
		if rng.IntN(10_000) == 0 {
			c.Kill(errKilled)
		}
	}
}

// Sixty-four callers share a connection, leave at any moment, and the connection is
// killed now and then: whatever anybody is given is its own, every call that was left
// is settled once, and nothing stays behind.
func TestStress(t *testing.T) {
	for _, network := range []string{"tcp", "mem"} {
		t.Run(network, func(t *testing.T) {
			var drops atomic.Int64
			var calm atomic.Bool
			cfg := nodeserver.Config{Intercept: func(net.Addr, *memproto.Request) nodeserver.Verdict {
				// The node, too, breaks connections, before and after it has executed.
				n := drops.Add(1)
				return nodeserver.Verdict{Drop: n%10_007 == 0 && !calm.Load(), DropAfter: n%10_009 == 0 && !calm.Load()}
			}}
			if network == "mem" {
				cfg.Network, cfg.Addr = nodeserver.NewMemNetwork(), "node"
			}
			node, err := nodeserver.Start(cfg)
			require.NoError(t, err)
			defer node.Close()
			w := &crowd{t: t, dial: func() (net.Conn, error) {
				if network == "mem" {
					return cfg.Network.DialContext(t.Context(), "", "node")
				}
				return net.Dial("tcp", node.Addr().String())
			}}

			var callers sync.WaitGroup
			for id := range 64 {
				callers.Go(func() { w.work(id, scaled(1500)) })
			}
			callers.Wait()
			calm.Store(true)
			// The last replies of calls that were left come before this one's. The node may
			// have dropped the connection in its last moment, so there may be another.
			c, last := w.conn(), w.calls.New()
			for {
				last.Req.Cmd = memproto.CmdMetaNoop
				if c.Start(context.Background(), last) == nil {
					require.True(t, c.Wait(context.Background(), last))
					if last.Err == nil {
						break
					}
				}
				c, last = w.conn(), w.calls.New()
			}
			w.wg.Wait()

			require.Equal(t, w.abandoned.Load(), w.settled.Load(), "each is settled once")
			require.Positive(t, w.hits.Load())
			require.Positive(t, w.abandoned.Load())
			c.Kill(errKilled)
			require.EqualValues(t, len(w.all), w.died.Load(), "OnDead runs once a connection")
			for _, c := range w.all {
				require.Zero(t, c.Pending())
			}
			t.Logf("%d hits, %d left and settled, %d failed, %d connections", w.hits.Load(), w.settled.Load(), w.failed.Load(), len(w.all))
		})
	}
}
