package client_test

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/memproto"
	"github.com/memherd/memherd/nodeserver"
)

// What somebody brings from a node that has yet to be emptied to one that is empty already is gone, too, when FlushAll returns.
func TestFlushAllLeavesNothingThatIsBroughtBackMeanwhile(t *testing.T) {
	for _, slow := range []time.Duration{20 * time.Millisecond, 3 * time.Second} {
		t.Run(slow.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLogged(t, 2)
				a := l.client(client.Config{ReplicationFactor: 2, Timeout: 10 * time.Second})
				b := l.client(client.Config{ReplicationFactor: 2})
				defer l.closeAll(a, b)
				set(t, a, "k", "old")
				require.Equal(t, "old", get(t, b, "k"))
				owner := l.placed(2, "k")[0]
				l.renew(t, a, owner)
				require.Equal(t, "old", get(t, b, "k"), "brought back, for the node is cold")
				var flushes atomic.Int64
				l.decide(func(node string, r *memproto.Request) (v nodeserver.Verdict) {
					if r.Cmd == memproto.CmdFlushAll && node != owner {
						if flushes.Add(1) == 1 {
							v.Delay = slow
						}
					}
					return v
				})
				flushed := make(chan error)
				go func() { flushed <- a.FlushAll(t.Context()) }()
				time.Sleep(5 * time.Millisecond)
				_, _ = b.Get(t.Context(), "k")
				require.NoError(t, <-flushed)
				for _, c := range []*client.Client{a, b} {
					_, err := c.Get(t.Context(), "k")
					require.ErrorIs(t, err, client.ErrCacheMiss)
				}
				time.Sleep(3 * time.Second) // for what is brought in the background
				_, err := b.Get(t.Context(), "k")
				require.ErrorIs(t, err, client.ErrCacheMiss)
			})
		})
	}
}
