package pipe

import (
	"context"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/client/memproto"
)

// poster answers what it settles with a further request, as a late win is handed back.
type poster struct{ next *settled }

func (p poster) Settle(c *Conn, _ *Call) {
	k := c.NewCall()
	k.Req = memproto.Request{Cmd: memproto.CmdMetaDelete, Key: []byte("key")}
	k.Settler = p.next
	c.Post(k)
}

// A request posted while replies are read must not make the reader wait for a peer
// that itself waits for its replies to be read: net.Pipe has no buffer at all.
func TestPostingFromASettlerDoesNotBlockTheReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		g.wg.Go(func() {
			var rs []memproto.Request
			for range 2 {
				r, err := g.request()
				if err != nil {
					return
				}
				r.Opaque = append([]byte(nil), r.Opaque...)
				rs = append(rs, r)
			}
			time.Sleep(20 * time.Millisecond)
			for _, r := range rs { // both replies, before the next request is read
				io.WriteString(g.peer, answer(r))
			}
			if r, err := g.request(); err == nil {
				io.WriteString(g.peer, "HD O"+string(r.Opaque)+"\r\n")
			}
		})
		var next settled
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		first, second := g.call(get()), g.call(get())
		first.Settler = poster{&next}
		require.NoError(t, g.c.StartAll(ctx, []*Call{first, second}))
		require.False(t, g.c.Wait(ctx, first))
		require.True(t, g.c.Wait(t.Context(), second))
		require.NoError(t, second.Err)
		synctest.Wait()
		require.EqualValues(t, 1, next.n.Load())
		require.Zero(t, next.errs.Load())
		require.False(t, g.c.Dead())
		g.close()
	})
}

// stuck is a connection whose Write succeeds, and whose Read fails, only when told to.
type stuck struct {
	net.Conn
	wrote, write, read chan struct{}
}

func (s *stuck) Write(b []byte) (int, error) { s.wrote <- struct{}{}; <-s.write; return len(b), nil }
func (s *stuck) Read([]byte) (int, error)    { <-s.read; return 0, io.EOF }
func (s *stuck) Close() error                { return nil }

// The connection is killed while one request is in Write and another is queued behind
// it, or held aside. The write comes back, with success, before or after the reader learns of the death: the
// second request was not sent for all that.
func TestQueuedBehindAWriteWhenKilledIsNotSent(t *testing.T) {
	for _, held := range []bool{false, true} {
		for _, readerFirst := range []bool{false, true} {
			killedBehindAWrite(t, held, readerFirst)
		}
	}
}

func killedBehindAWrite(t *testing.T, held, readerFirst bool) {
	synctest.Test(t, func(t *testing.T) {
		nc := &stuck{wrote: make(chan struct{}), write: make(chan struct{}), read: make(chan struct{})}
		var calls Pool
		var wg sync.WaitGroup
		c := New(nc, Config{Timeout: time.Second, Calls: &calls, Go: func(f func()) bool { wg.Go(f); return true }})
		ks := make([]*Call, 3)
		start := func(i int) {
			ks[i] = calls.New()
			ks[i].Req = memproto.Request{Cmd: memproto.CmdMetaNoop}
			if held && i == 2 {
				ks[i].Req = get()
				ks[i].Req.Key, ks[i].Share = []byte("k"), true
			}
			require.NoError(t, c.Start(t.Context(), ks[i]))
		}
		go func() { <-nc.wrote; nc.write <- struct{}{} }()
		start(0)
		wg.Go(func() { require.True(t, c.Wait(t.Context(), ks[0])) }) // the reader
		synctest.Wait()
		wg.Go(func() { start(1) })
		<-nc.wrote
		start(2)
		c.Kill(item.ErrConnLost)
		if readerFirst {
			close(nc.read)
			synctest.Wait() // all have been told
		}
		nc.write <- struct{}{}
		synctest.Wait() // the flusher has come back from Write
		if !readerFirst {
			close(nc.read)
		}
		wg.Wait()
		for i, want := range []item.Sent{item.SentUnknown, item.SentUnknown, item.NotSent} {
			if i > 0 {
				require.True(t, c.Wait(t.Context(), ks[i]))
			}
			require.ErrorIs(t, ks[i].Err, item.ErrConnLost)
			require.Equal(t, want, ks[i].Sent, i)
		}
	})
}

// A request that queued while a long write was under way is not older than it is: its
// reply, late by the write's clock and not by its own, is waited for.
func TestALongWriteDoesNotAgeWhatQueuesBehindIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		g.wg.Go(func() {
			time.Sleep(200 * time.Millisecond) // the first request waits in Write
			r, err := g.request()
			if err != nil {
				return
			}
			time.Sleep(10 * time.Millisecond)
			io.WriteString(g.peer, answer(r))
			if r, err = g.request(); err != nil {
				return
			}
			time.Sleep(100 * time.Millisecond)
			io.WriteString(g.peer, answer(r))
		})
		var callers sync.WaitGroup
		for _, wait := range []time.Duration{0, 190 * time.Millisecond} {
			callers.Go(func() {
				time.Sleep(wait)
				k := g.call(get())
				require.True(t, g.do(t.Context(), k))
				require.NoError(t, k.Err)
			})
		}
		callers.Wait()
		g.close()
	})
}

// Roles go past calls that nobody waits for, in a queue and in what the reader has
// taken, whoever of the others leaves.
func TestRolesPassOverCallsNobodyWaitsFor(t *testing.T) {
	for waiting := range 1 << 5 {
		synctest.Test(t, func(t *testing.T) {
			g := newRig(t)
			g.echo(func(int) time.Duration { return 3 * time.Millisecond })
			ks := make([]*Call, 5)
			for i := range ks {
				ks[i] = g.call(get())
			}
			require.NoError(t, g.c.StartAll(t.Context(), ks))
			var s settled
			var left atomic.Int64
			var callers sync.WaitGroup
			for i, k := range ks {
				if waiting&(1<<i) == 0 {
					continue
				}
				k.Settler = &s
				callers.Go(func() {
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i*5%7)*2*time.Millisecond)
					defer cancel()
					if !g.c.Wait(ctx, k) {
						left.Add(1)
						return
					}
					require.NoError(t, k.Err)
				})
			}
			callers.Wait()
			for i, k := range ks {
				if waiting&(1<<i) == 0 {
					require.True(t, g.c.Wait(t.Context(), k))
					require.NoError(t, k.Err)
				}
			}
			time.Sleep(time.Second)
			require.Equal(t, left.Load(), s.n.Load())
			require.Zero(t, g.c.Pending())
			require.False(t, g.c.Dead())
			g.close()
		})
	}
}
