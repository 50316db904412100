package client_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/memproto"
	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/ring"
)

// A delete whose caller has left, and which takes longer than hold on the owner, is made once more: the other copy may have been revived from there.
func TestRule4AnAbandonedDeleteThatIsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, reader, writer, key := coldCopy(t)
		defer l.closeAll(reader, writer)
		owner, other := l.placed(2, key)[0], l.placed(2, key)[1]
		l.decide(func(node string, r *memproto.Request) nodeserver.Verdict {
			if r.Cmd == memproto.CmdMetaDelete && node == owner {
				return nodeserver.Verdict{Delay: 1700 * time.Millisecond}
			}
			return nodeserver.Verdict{}
		})
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		out, err := writer.Delete(ctx, key)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, client.Outcome{Copies: 2, Confirmed: 1, Owed: 1}, out)
		require.Equal(t, "old", get(t, reader, key), "not acknowledged yet")
		time.Sleep(20 * time.Second)
		for _, s := range writer.Nodes() {
			require.Equal(t, "up", s.State)
			require.Zero(t, s.Debt)
		}
		_, err = writer.Get(t.Context(), key)
		require.ErrorIs(t, err, client.ErrCacheMiss)
		only := l.client(client.Config{Nodes: []ring.Node{{Name: other, Addr: other + ":1"}}})
		_, err = only.Get(t.Context(), key)
		require.ErrorIs(t, err, client.ErrCacheMiss)
		require.NoError(t, only.Close())
	})
}

// The right to fill a copy with a value that is too large for this client is given back.
func TestRule4WhatIsTooLargeToRestore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newMemFleet(t, 2, nodeserver.Config{})
		key := onNode(t, []string{"node0"}, f.nodes())
		a := f.client(client.Config{ReplicationFactor: 2, MaxValueBytes: 10_000})
		b := f.client(client.Config{ReplicationFactor: 2})
		defer closeFleet(t, f, a, b)
		_, err := b.Set(t.Context(), client.Item{Key: key, Value: make([]byte, 10_500)})
		require.NoError(t, err)
		require.NoError(t, a.Ping(t.Context()))
		f.kill("node0")
		f.restart("node0")
		for a.Ping(t.Context()) != nil || b.Ping(t.Context()) != nil {
		}
		time.Sleep(5 * time.Second)
		for _, s := range a.Nodes() {
			require.Equal(t, "up", s.State)
		}
		it, err := a.Get(t.Context(), key)
		require.NoError(t, err)
		require.Len(t, it.Value, 10_500)
		synctest.Wait()
		found, err := b.GetMulti(t.Context(), []string{key})
		require.NoError(t, err)
		require.Len(t, found, 1, "a stub nobody will fill")
	})
}

// A key whose cold copy has another client's stub is read where it still is, among many, too.
func TestRule4GetMultiBesideAStub(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newMemFleet(t, 2, nodeserver.Config{})
		key := onNode(t, []string{"node0"}, f.nodes())
		a := f.client(client.Config{ReplicationFactor: 2})
		only := f.client(client.Config{Nodes: f.nodes()[:1]})
		defer closeFleet(t, f, a, only)
		set(t, a, key, "v")
		f.kill("node0")
		f.restart("node0")
		for a.Ping(t.Context()) != nil || only.Ping(t.Context()) != nil {
		}
		time.Sleep(5 * time.Second)
		l, err := only.Lease(t.Context(), key, client.LeaseOptions{})
		require.NoError(t, err)
		require.Equal(t, "won", l.State.String())
		require.Equal(t, "v", get(t, a, key))
		found, err := a.GetMulti(t.Context(), []string{key})
		require.NoError(t, err)
		require.Len(t, found, 1)
	})
}

// A delete that is made twice, because it was slow, has found what its first time took away.
func TestRule4ADeleteMadeTwiceTellsWhatItFound(t *testing.T) {
	for name, del := range map[string]func(c *client.Client) (client.Outcome, error){
		"Delete": func(c *client.Client) (client.Outcome, error) { return c.Delete(context.Background(), "k") },
		"DeleteMulti": func(c *client.Client) (client.Outcome, error) {
			out, err := c.DeleteMulti(context.Background(), []string{"k"})
			return out[0], err
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLogged(t, 2)
				c := l.client(client.Config{ReplicationFactor: 2, Timeout: 5 * time.Second})
				defer l.closeAll(c)
				set(t, c, "k", "v")
				owner := l.placed(2, "k")[0]
				l.decide(func(node string, r *memproto.Request) nodeserver.Verdict {
					if r.Cmd == memproto.CmdMetaDelete && node == owner {
						return nodeserver.Verdict{Delay: 1500 * time.Millisecond}
					}
					return nodeserver.Verdict{}
				})
				out, err := del(c)
				require.NoError(t, err)
				require.Equal(t, client.Outcome{Copies: 2, Confirmed: 2, Found: true}, out)
			})
		})
	}
}

// A read-modify-write whose caller has left, and which takes longer than hold on the owner: what was copied from there meanwhile does not stay.
func TestRule4AnAbandonedReadModifyWriteThatIsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, reader, writer, key := coldCopy(t)
		defer l.closeAll(reader, writer)
		owner, other := l.placed(2, key)[0], l.placed(2, key)[1]
		l.decide(func(node string, r *memproto.Request) nodeserver.Verdict {
			if r.Cmd == memproto.CmdMetaSet && node == owner && string(r.Value) == "+" {
				return nodeserver.Verdict{Delay: 1700 * time.Millisecond}
			}
			return nodeserver.Verdict{}
		})
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, err := writer.Append(ctx, client.Item{Key: key, Value: []byte("+")})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, "old", get(t, reader, key), "not carried out yet; the other copy is brought it")
		time.Sleep(20 * time.Second)
		require.Equal(t, "old+", get(t, writer, key))
		only := l.client(client.Config{Nodes: []ring.Node{{Name: other, Addr: other + ":1"}}})
		it, err := only.Get(t.Context(), key)
		require.ErrorIs(t, err, client.ErrCacheMiss, "%s", it.Value)
		require.NoError(t, only.Close())
	})
}
