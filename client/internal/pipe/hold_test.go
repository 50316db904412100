package pipe

import (
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/client/memproto"
)

// asked starts a peer that answers everything, and tells the keys it is asked for.
func (g *rig) asked() <-chan string {
	keys := make(chan string, 16)
	g.wg.Go(func() {
		for {
			r, err := g.request()
			if err != nil {
				return
			}
			keys <- string(r.Key)
			if _, err := io.WriteString(g.peer, answer(r)); err != nil {
				return
			}
		}
	})
	return keys
}

// keyed is a call for a key.
func (g *rig) keyed(key string) *Call {
	r := get()
	r.Key = []byte(key)
	return g.call(r)
}

// What is held goes out with Flush, or before it with what somebody else sends, and once.
func TestHeldUntilFlushed(t *testing.T) {
	for name, last := range map[string]bool{"the last": true, "others follow": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newRig(t)
				keys := g.asked()
				a := g.keyed("a")
				require.NoError(t, g.c.Hold(a))
				synctest.Wait()
				require.Empty(t, keys)
				g.c.Flush(t.Context(), a, last)
				require.True(t, g.c.Wait(t.Context(), a))
				require.Equal(t, "value of a", string(a.Value))
				require.Equal(t, "a", <-keys)

				b, c := g.keyed("b"), g.keyed("c")
				require.NoError(t, g.c.Hold(b))
				require.True(t, g.do(t.Context(), c))
				require.NoError(t, c.Err)
				g.c.Flush(t.Context(), b, last)
				require.True(t, g.c.Wait(t.Context(), b))
				require.Equal(t, "value of b", string(b.Value))
				synctest.Wait()
				require.Equal(t, "b", <-keys)
				require.Equal(t, "c", <-keys)
				require.Empty(t, keys)
				g.close()
			})
		})
	}
}

// What is held when the connection dies was not sent, and whoever holds it may flush it all the same.
func TestHeldByADeadConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		keys := g.asked()
		k := g.keyed("k")
		require.NoError(t, g.c.Hold(k))
		g.c.Kill(item.ErrTimeout)
		g.c.Flush(t.Context(), k, true)
		require.True(t, g.c.Wait(t.Context(), k))
		require.ErrorIs(t, k.Err, item.ErrTimeout)
		require.Equal(t, item.NotSent, k.Sent)
		require.ErrorIs(t, g.c.Hold(g.keyed("l")), item.ErrTimeout)
		require.Empty(t, keys)
		g.close()
	})
}

// While somebody else writes, what is held is his to send.
func TestHeldWhileAnotherWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		large, small := g.call(memproto.Request{Cmd: memproto.CmdMetaSet, Value: make([]byte, 600<<10)}), g.keyed("small")
		g.wg.Go(func() { require.True(t, g.do(t.Context(), large)) })
		synctest.Wait() // the peer does not read yet
		require.NoError(t, g.c.Hold(small))
		g.c.Flush(t.Context(), small, true) // comes back
		keys := g.asked()
		require.True(t, g.c.Wait(t.Context(), small))
		require.NoError(t, small.Err)
		require.Equal(t, "value of small", string(small.Value))
		synctest.Wait()
		require.NoError(t, large.Err)
		require.Equal(t, "key", <-keys)
		require.Equal(t, "small", <-keys)
		g.close()
	})
}

// Callers of bursts have company for as long as one of the last of them found another's request under way.
func TestCompany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		g.echo(func(int) time.Duration { return 0 })
		burst := func() *Call {
			k := g.call(get())
			k.Req.Key = nil
			k.Ask("a")
			return k
		}
		alone := func() {
			k := burst()
			require.True(t, g.do(t.Context(), k))
			require.NoError(t, k.Err)
		}
		single, k := g.keyed("b"), burst()
		require.NoError(t, g.c.Hold(single))
		require.False(t, g.c.Company(), "nobody has asked for many keys yet")
		require.NoError(t, g.c.Hold(k))
		require.True(t, g.c.Company())
		g.c.Flush(t.Context(), k, true)
		require.True(t, g.c.Wait(t.Context(), single))
		require.True(t, g.c.Wait(t.Context(), k))
		for range companyFor {
			require.True(t, g.c.Company())
			alone()
		}
		require.False(t, g.c.Company())
		alone()
		require.False(t, g.c.Company())
		g.close()
	})
}

// A peer that does not read keeps the caller waiting that sends nothing elsewhere, and no other.
func TestAPeerThatDoesNotReadWhatWasHeld(t *testing.T) {
	large := func(g *rig) *Call {
		return g.call(memproto.Request{Cmd: memproto.CmdMetaSet, Value: make([]byte, 600<<10)})
	}
	follow := func(t *testing.T, g *rig) {
		k := large(g)
		require.NoError(t, g.c.Hold(k))
		g.c.Flush(t.Context(), k, false) // comes back
		keys := g.asked()
		require.True(t, g.c.Wait(t.Context(), k))
		require.NoError(t, k.Err)
		require.Equal(t, "key", <-keys)
		g.close()
	}
	t.Run("others follow, plain socket", func(t *testing.T) { follow(t, newUnhurriedRig(t)) })
	t.Run("others follow, wrapped", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { follow(t, newRig(t)) })
	})
	t.Run("the last", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			g := newRig(t)
			k := large(g)
			require.NoError(t, g.c.Hold(k))
			start := time.Now()
			g.c.Flush(t.Context(), k, true)
			require.Equal(t, rigTimeout, time.Since(start), "the connection has died")
			require.True(t, g.c.Wait(t.Context(), k))
			require.ErrorIs(t, k.Err, item.ErrTimeout)
			g.close()
		})
	})
}

// whenWritten does something whenever something is written.
type whenWritten struct {
	net.Conn
	do func()
}

func (w whenWritten) Write(b []byte) (int, error) { w.do(); return w.Conn.Write(b) }

// newUnhurriedRig is newSocketRig for a busy machine: the clock is the real one there.
func newUnhurriedRig(t *testing.T) *rig {
	g := newSocketRig(t)
	g.c.cfg.Timeout = time.Minute
	return g
}

// newBrittleRig is newRig where a write is not expected to block.
func newBrittleRig(t *testing.T) *rig {
	g := newRig(t)
	g.c.brittle = true
	return g
}

// A peer that does not read what others queue while something held is written keeps no caller waiting that holds something elsewhere.
func TestAPeerThatDoesNotReadWhatCameBehind(t *testing.T) {
	g := newUnhurriedRig(t)
	large := g.call(memproto.Request{Cmd: memproto.CmdMetaSet, Value: make([]byte, 600<<10)})
	var once sync.Once
	g.c.rw = whenWritten{g.c.nc, func() { once.Do(func() { require.NoError(t, g.c.Hold(large)) }) }}
	k := g.keyed("k")
	require.NoError(t, g.c.Hold(k))
	g.c.Flush(t.Context(), k, false) // comes back
	require.False(t, g.c.Dead())
	keys := g.asked()
	for _, k := range []*Call{k, large} {
		require.True(t, g.c.Wait(t.Context(), k))
		require.NoError(t, k.Err)
	}
	require.Equal(t, "k", <-keys)
	require.Equal(t, "key", <-keys)
	g.close()
}

// Where others compute whenever they are let run, nobody is blamed for not answering what is held meanwhile.
func TestHeldInABusyProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const each = rigTimeout / 10
		rigs, calls := make([]*rig, 20), make([]*Call, 20)
		for i := range rigs {
			g := newBrittleRig(t)
			g.c.gosched = func() { time.Sleep(each) }
			g.c.lastBatch = 8
			g.asked()
			rigs[i], calls[i] = g, g.keyed("k")
		}
		for i, g := range rigs {
			require.NoError(t, g.c.Hold(calls[i]))
		}
		for i, g := range rigs {
			g.c.Flush(t.Context(), calls[i], i == len(rigs)-1)
		}
		for i, g := range rigs {
			require.True(t, g.c.Wait(t.Context(), calls[i]))
			require.NoError(t, calls[i].Err)
			g.close()
		}
	})
}

// A peer does not answer, and others queue more for it whenever something is written. The other peers of one who writes all that are not
// blamed for it.
func TestWhoHoldsDoesNotGoOnWriting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mute, well := newBrittleRig(t), newBrittleRig(t)
		mute.wg.Go(func() { _, _ = io.Copy(io.Discard, mute.peer) })
		mute.c.rw = whenWritten{mute.c.nc, func() {
			time.Sleep(time.Millisecond)
			_ = mute.c.Hold(mute.keyed("more"))
		}}
		well.asked()
		a, b := mute.keyed("a"), well.keyed("b")
		require.NoError(t, mute.c.Hold(a))
		require.NoError(t, well.c.Hold(b))
		mute.c.Flush(t.Context(), a, false)
		well.c.Flush(t.Context(), b, true)
		require.True(t, well.c.Wait(t.Context(), b))
		require.NoError(t, b.Err)
		require.True(t, mute.c.Wait(t.Context(), a))
		require.ErrorIs(t, a.Err, item.ErrTimeout)
		mute.close()
		well.close()
	})
}
