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

// Two moments that the simulated faults are never in: see the planted bugs in DESIGN.md.

// The schedule that breaks filling a copy that is not the owner right after its token: a delete
// has passed that copy and is on its way to the owner. The filler takes its token, reads the owner, and
// stores what the delete then removes from the owner alone.
func TestRule4ADeleteThatHasPassedTheCopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogged(t, 2)
		cfg := client.Config{ReplicationFactor: 2, Timeout: 2 * time.Second}
		reader, writer := l.client(cfg), l.client(cfg)
		// logged knows a node that was restarted by the name of its last one.
		key := ""
		for _, k := range keys("k") {
			if l.placed(2, k)[1] == "node1" {
				key = k
			}
		}
		set(t, writer, key, "old")
		require.NoError(t, reader.Ping(t.Context()))
		owner, other := l.placed(2, key)[0], l.placed(2, key)[1]
		l.kill(other)
		l.restart(other)
		require.Eventually(t, func() bool { return reader.Ping(t.Context()) == nil && writer.Ping(t.Context()) == nil }, time.Minute, time.Millisecond)
		time.Sleep(5 * time.Second) // both read from it again
		l.decide(func(node string, r *memproto.Request) nodeserver.Verdict {
			if r.Cmd == memproto.CmdMetaDelete && node == owner {
				return nodeserver.Verdict{Delay: 600 * time.Millisecond}
			}
			return nodeserver.Verdict{}
		})
		done := make(chan struct{})
		go func() {
			defer close(done)
			out, err := writer.Delete(t.Context(), key)
			require.NoError(t, err)
			require.Equal(t, 2, out.Confirmed)
		}()
		time.Sleep(100 * time.Millisecond) // the other copy has heard of it
		require.Equal(t, "old", get(t, reader, key), "not acknowledged yet")
		<-done
		time.Sleep(3 * time.Second)
		only := l.client(client.Config{Nodes: []ring.Node{{Name: other, Addr: other + ":1"}}})
		_, err := only.Get(t.Context(), key)
		require.ErrorIs(t, err, client.ErrCacheMiss)
		l.closeAll(reader, writer, only)
	})
}

// A copy with a write of this client under way, whose caller has left, is not read: on another
// connection the read would overtake the write.
func TestRule7ACopyWithAWriteUnderWayIsNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogged(t, 2)
		c := l.client(client.Config{ReplicationFactor: 2, Timeout: 2 * time.Second})
		set(t, c, "k", "old")
		owner, other := l.placed(2, "k")[0], l.placed(2, "k")[1]
		l.decide(func(node string, r *memproto.Request) nodeserver.Verdict {
			if r.Cmd == memproto.CmdMetaSet && node == owner {
				return nodeserver.Verdict{Delay: time.Second}
			}
			return nodeserver.Verdict{}
		})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		out, err := c.Set(ctx, client.Item{Key: "k", Value: []byte("new")})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 1, out.Confirmed)
		l.take()
		read := map[string]func() string{
			"Get": func() string { return get(t, c, "k") },
			"GetMulti": func() string {
				many, err := c.GetMulti(t.Context(), []string{"k"})
				require.NoError(t, err)
				return string(many["k"].Value)
			},
			"Lease": func() string {
				lease, err := c.Lease(t.Context(), "k", client.LeaseOptions{})
				require.NoError(t, err)
				return string(lease.Item.Value)
			},
		}
		for name, f := range read {
			require.Equal(t, "new", f(), name)
			require.Equal(t, []string{other + " mg k"}, l.take(), name)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		l.take()
		require.Equal(t, "new", get(t, c, "k"))
		require.Equal(t, []string{owner + " mg k"}, l.take(), "its outcome is known")
		l.closeAll(c)
	})
}
