package client_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/memproto"
)

// gone is a context that has ended.
func gone() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// copiesOf reads every copy of key with a client that sees one node only.
func (l *logged) copiesOf(t *testing.T, key string) []string {
	var out []string
	for _, name := range l.placed(2, key) {
		for _, n := range l.nodes() {
			if n.Name != name {
				continue
			}
			nc, err := l.dial(context.Background(), "", n.Addr)
			require.NoError(t, err)
			_, err = nc.Write([]byte("get " + key + "\r\n"))
			require.NoError(t, err)
			buf := make([]byte, 256)
			n, err := nc.Read(buf)
			require.NoError(t, err)
			nc.Close()
			out = append(out, string(buf[:n]))
		}
	}
	return out
}

// A write-through has written the origin when it comes to Fill: whatever its caller's
// context says, the copies must not keep what they had. Two writers; the second's fill
// comes after the first's, so it is refused, but its caller does not wait for that.
func TestRule8ACancelledFillLeavesNoOlderValue(t *testing.T) {
	for _, when := range []string{"before", "slow owner", "slow other", "both slow"} {
		t.Run(when, func(t *testing.T) {
			lagged(t, 2, func(t *testing.T, l *logged, slow *lag) {
				ctx, key := context.Background(), "k"
				cfg := client.Config{ReplicationFactor: 2, Timeout: time.Second}
				a, b := l.client(cfg), l.client(cfg)
				set(t, a, key, "older")
				first, err := a.LeaseWrite(ctx, key)
				require.NoError(t, err)
				second, err := b.LeaseWrite(ctx, key)
				require.NoError(t, err)
				// The origin is written: first, then second.
				_, err = a.Fill(ctx, first, client.Item{Value: []byte("older")})
				require.NoError(t, err)
				cctx := gone()
				if when != "before" {
					cctx = patience(t)
					slow.on(memproto.CmdMetaSet, map[string]string{"slow owner": l.placed(2, key)[0], "slow other": l.placed(2, key)[1]}[when])
				}
				_, err = b.Fill(cctx, second, client.Item{Value: []byte("newer")})
				require.Error(t, err)
				require.False(t, client.SafeToRetry(err), "some copy has heard of it: %v", err)
				slow.off()
				time.Sleep(5 * time.Second)
				for _, v := range l.copiesOf(t, key) {
					require.NotContains(t, v, "older")
				}
				l.closeAll(a, b)
			})
		})
	}
}

// A winner that comes to Fill too late for its context gives its lease back.
func TestRule6ACancelledFillGivesTheLeaseBack(t *testing.T) {
	lagged(t, 2, func(t *testing.T, l *logged, _ *lag) {
		cfg := client.Config{ReplicationFactor: 2, LeaseTTL: time.Minute}
		a, b := l.client(cfg), l.client(cfg)
		lease := won(t, a, "k")
		_, err := a.Fill(gone(), lease, client.Item{Value: []byte("v")})
		require.ErrorIs(t, err, context.Canceled)
		time.Sleep(100 * time.Millisecond)
		again := won(t, b, "k")
		require.Len(t, again.Tokens, 2)
		l.closeAll(a, b)
	})
}

// A read-modify-write whose caller leaves before the owner's turn is not sent to the
// owner: the caller may safely try it again.
func TestRule10CancelledBeforeTheOwnersTurn(t *testing.T) {
	lagged(t, 2, func(t *testing.T, l *logged, slow *lag) {
		c := l.client(client.Config{ReplicationFactor: 2, Timeout: time.Second})
		key := "lock"
		require.NoError(t, c.Ping(t.Context()))
		slow.on(memproto.CmdMetaDelete, l.placed(2, key)[1])
		_, err := c.Add(patience(t), client.Item{Key: key, Value: []byte("mine")})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.True(t, client.SafeToRetry(err))
		slow.off()
		time.Sleep(time.Second)
		_, err = c.Add(t.Context(), client.Item{Key: key, Value: []byte("mine")})
		require.NoError(t, err, "nobody holds the lock")
		l.closeAll(c)
	})
}

// endsAfter is a context that ends when it has been asked n times.
type endsAfter struct {
	context.Context
	n int
}

func (c *endsAfter) Err() error {
	if c.n--; c.n < 0 {
		return context.Canceled
	}
	return nil
}

// Whenever a multi-key read is cancelled, keys that were not read are an error and not
// misses.
func TestACancelledGetMultiReportsNoMisses(t *testing.T) {
	l := newLogged(t, 2)
	c := l.client(client.Config{Timeout: 10 * time.Second, DialTimeout: 10 * time.Second})
	all := keys("multi")
	for _, key := range all {
		set(t, c, key, "v")
	}
	for n := range 40 {
		found, err := c.GetMulti(&endsAfter{context.Background(), n}, all)
		if err == nil {
			require.Len(t, found, len(all), "cancelled at its %dth look", n)
		}
	}
	found, err := c.GetMulti(context.Background(), all)
	require.NoError(t, err)
	require.Len(t, found, len(all))
}

// Nor does the error name a node that is down alone, if what another has was not read because the caller left.
func TestACancelledGetMultiSaysSoBesideALostNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogged(t, 2)
		c := l.client(client.Config{})
		defer l.closeAll(c)
		here, lost := onNode(t, []string{"node0"}, l.nodes()), onNode(t, []string{"node1"}, l.nodes())
		set(t, c, here, "v")
		set(t, c, lost, "v")
		l.kill("node1")
		time.Sleep(3 * time.Second)
		unread := 0
		for n := range 40 {
			found, err := c.GetMulti(&endsAfter{context.Background(), n}, []string{here, lost})
			require.Error(t, err)
			if len(found) == 0 {
				require.ErrorIs(t, err, context.Canceled, "cancelled at its %dth look", n)
				unread++
			}
		}
		require.Greater(t, unread, 1)
		_, err := c.GetMulti(context.Background(), []string{here, lost})
		require.NotErrorIs(t, err, context.Canceled)
	})
}

// A copy that is owed the key can't stand in for one that is lost: the key is a miss,
// not an error, since what was written is known to this client.
func TestRule7ALostCopyBesideAnOwedOneIsAMiss(t *testing.T) {
	lagged(t, 2, func(t *testing.T, l *logged, slow *lag) {
		c := l.client(client.Config{ReplicationFactor: 2, Timeout: time.Second})
		owed, other := "owed", "other"
		for i := 0; l.placed(2, other)[0] != l.placed(2, owed)[0]; i++ {
			other = fmt.Sprint("other", i)
		}
		set(t, c, owed, "v")
		set(t, c, other, "v")
		owner := l.placed(2, owed)[0]
		slow.on(memproto.CmdMetaSet, l.placed(2, owed)[1])
		_, err := c.Set(patience(t), client.Item{Key: owed, Value: []byte("new")})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, "new", get(t, c, owed))
		l.network.Kill(owner)
		_, err = c.Get(t.Context(), owed)
		require.ErrorIs(t, err, client.ErrCacheMiss)
		lease, err := c.Lease(t.Context(), owed, client.LeaseOptions{})
		require.NoError(t, err)
		require.Equal(t, "none", lease.State.String(), "to be loaded and not cached")
		found, err := c.GetMulti(t.Context(), []string{owed})
		require.NoError(t, err)
		require.Empty(t, found)
		// The reply for other comes behind the late answer to the write of owed on the
		// same connection: from then on nothing is owed, and what was written is there.
		found, err = c.GetMulti(t.Context(), []string{owed, other})
		require.NoError(t, err)
		require.Equal(t, "v", string(found[other].Value))
		require.Equal(t, "new", string(found[owed].Value))
		l.closeAll(c)
	})
}
