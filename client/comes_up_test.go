package client_test

import (
	"context"
	"errors"
	"net"
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

// doneAt does something when it is asked for its Done for the n-th time.
type doneAt struct {
	context.Context
	n  int
	do func()
}

func (c *doneAt) Done() <-chan struct{} {
	if c.n--; c.n == 0 {
		c.do()
	}
	return c.Context.Done()
}

// A Touch reaches the copy that was to be read, too, when the owner has come up and is read instead.
func TestTouchWhileTheOwnerComesUp(t *testing.T) {
	hit := 0
	for n := 1; n < 12; n++ {
		synctest.Test(t, func(t *testing.T) {
			f := newMemFleet(t, 2, nodeserver.Config{})
			key := onNode(t, []string{"node0"}, f.nodes())
			a := f.client(client.Config{ReplicationFactor: 2})
			defer closeFleet(t, f, a)
			set(t, a, key, "v")
			f.network.Partition("node0", true)
			until(a, 0, "down")
			f.network.Partition("node0", false)
			until(a, 0, "mending")
			base, cancel := context.WithCancel(t.Context())
			defer cancel()
			ctx := &doneAt{base, n, func() {
				until(a, 0, "up")
			}}
			err := a.Touch(ctx, key, 10*time.Second)
			require.NoError(t, err)
			if ctx.n > 0 {
				return
			}
			hit++
			time.Sleep(12 * time.Second)
			require.Equal(t, "up", a.Nodes()[0].State)
			_, err = a.Get(t.Context(), key)
			require.ErrorIs(t, err, client.ErrCacheMiss)
			f.network.Kill("node0")
			for range 5 {
				it, err := a.Get(t.Context(), key)
				require.ErrorIs(t, err, client.ErrCacheMiss, "n=%d %q: it has ended", n, it.Value)
			}
		})
	}
	require.Positive(t, hit)
}

// What SetMulti could not send to a node that was down goes there if it has come up before the gutter's turn.
func TestSetMultiWhileANodeComesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var slow atomic.Bool
		f := newMemFleet(t, 3, nodeserver.Config{Intercept: func(_ net.Addr, r *memproto.Request) (v nodeserver.Verdict) {
			if slow.Load() && r.Cmd == memproto.CmdMetaSet && string(r.Key) == "slow" {
				v.Delay = time.Second
			}
			return v
		}})
		_ = f
		c := f.client(client.Config{Nodes: f.nodes()[:2], Gutter: f.nodes()[2:], Timeout: 2 * time.Second})
		defer closeFleet(t, f, c)
		r := ringOf(t, ring.Config{Nodes: f.nodes()[:2]})
		at := r.Owner("slow").Name
		key := ""
		for _, k := range keys("k") {
			if r.Owner(k).Name != at {
				key = k
			}
		}
		down := r.Owner(key).Name
		set(t, c, key, "v")
		set(t, c, "slow", "v")
		f.kill(down)
		state := func() string {
			for _, s := range c.Nodes() {
				if s.Node.Name == down {
					return s.State
				}
			}
			return ""
		}
		for state() != "down" {
			time.Sleep(10 * time.Millisecond)
		}
		slow.Store(true)
		_, err := c.Set(t.Context(), client.Item{Key: key, Value: []byte("1")})
		require.NoError(t, err, "the gutter takes it")
		f.restart(down)
		require.Equal(t, "down", state())
		out, err := c.SetMulti(t.Context(), []client.Item{{Key: key, Value: []byte("2")}, {Key: "slow", Value: []byte("2")}})
		require.Equal(t, "up", state())
		require.NoError(t, err, "%+v", out)
	})
}

type lostDebt struct{ name string }

func (j lostDebt) Load() ([]client.DebtRecord, error) {
	return []client.DebtRecord{{Node: j.name, At: time.Now().Add(-time.Minute)}}, nil
}

func (lostDebt) Write([]client.DebtRecord) error { return nil }

// A node that is held back because it may have missed something is not dead: a list that gives it another address waits as any does.
func TestRule17ANodeInDoubtIsNotDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newMemFleet(t, 1, nodeserver.Config{})
		f.names = append(f.names, "new")
		f.start("new")
		old := ring.Node{Name: "n", Addr: "node0:1"}
		moved := ring.Node{Name: "n", Addr: "new:1"}
		b := f.client(client.Config{Nodes: []ring.Node{old}})
		a := f.client(client.Config{Nodes: []ring.Node{old}, DebtJournal: lostDebt{"n"}})
		defer closeFleet(t, f, a, b)
		set(t, b, "k", "old")
		require.NoError(t, a.SetNodes([]ring.Node{moved})) // b hears of it two seconds later
		time.Sleep(time.Second)
		l, err := a.Lease(t.Context(), "k", client.LeaseOptions{}) // the origin has "old"
		require.NoError(t, err)
		if l.State.String() == "won" {
			_, err = a.Fill(t.Context(), l, client.Item{Value: []byte("old")})
			require.NoError(t, err)
		}
		// the origin is written, and b invalidates
		out, err := b.Delete(t.Context(), "k")
		require.NoError(t, err)
		require.Equal(t, 1, out.Confirmed)
		time.Sleep(time.Second)
		require.NoError(t, b.SetNodes([]ring.Node{moved}))
		time.Sleep(30 * time.Second)
		it, err := a.Get(t.Context(), "k")
		require.Error(t, err, "%q has been deleted", it.Value)
		require.True(t, errors.Is(err, client.ErrCacheMiss))
	})
}

// Gutter nodes have names, too.
func TestReadmitOfAGutterNode(t *testing.T) {
	f := newMemFleet(t, 2, nodeserver.Config{})
	c := f.client(client.Config{Nodes: f.nodes()[:1], Gutter: f.nodes()[1:]})
	require.True(t, c.Nodes()[1].Gutter)
	require.NoError(t, c.Readmit("node1"))
}
