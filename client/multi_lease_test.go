package client_test

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/memproto"
	"github.com/memherd/memherd/nodeserver"
)

// Many keys at once: values, keys that another caller loads, keys that are won with a token on
// every copy; a malformed key is its own error.
func TestLeaseMulti(t *testing.T) {
	onEveryHerd(t, func(t *testing.T, h *herd) {
		a, b := h.client(), h.client()
		ctx := context.Background()
		var asked []string
		want := map[string]string{}
		taken := map[string]client.Lease{}
		for i := range 60 {
			key := fmt.Sprintf("k%d", i)
			asked = append(asked, key)
			switch i % 3 {
			case 0:
				store(t, b, key, "v"+key, time.Minute)
				want[key] = hit
			case 1:
				taken[key] = won(t, b, key)
				want[key] = "wait"
			case 2:
				want[key] = "won"
			}
		}
		asked = append(asked, "mal formed")
		leases, errs := a.LeaseMulti(ctx, asked, client.LeaseOptions{})
		require.Len(t, leases, len(asked))
		require.ErrorIs(t, errs[60], client.ErrMalformedKey)
		for i, key := range asked[:60] {
			require.NoError(t, errs[i])
			l := leases[i]
			require.Equal(t, key, l.Key)
			require.Equal(t, want[key], l.State.String(), key)
			switch l.State.String() {
			case hit:
				require.Equal(t, "v"+key, string(l.Item.Value))
			case "won":
				require.Len(t, l.Tokens, 2)
				out, err := a.Fill(ctx, l, client.Item{Value: []byte("a" + key), TTL: time.Minute})
				require.NoError(t, err)
				require.Equal(t, client.Outcome{Copies: 2, Confirmed: 2}, out)
				require.Equal(t, []string{"a" + key, "a" + key}, h.values(key))
			case "wait":
				_, err := b.Fill(ctx, taken[key], client.Item{Value: []byte("b" + key)})
				require.NoError(t, err)
			}
		}
		leases, errs = b.LeaseMulti(ctx, asked[:60], client.LeaseOptions{})
		for i := range leases {
			require.NoError(t, errs[i])
			require.Equal(t, hit, leases[i].State.String())
		}
	})
}

type countingWrites struct {
	net.Conn
	n *atomic.Int64
}

func (c countingWrites) Write(p []byte) (int, error) {
	c.n.Add(1)
	return c.Conn.Write(p)
}

// One write to each node for what is there, two where something was won, however many keys there are; and
// when the caller leaves, what it had won or was about to win is given back.
func TestLeaseMultiRoundTrips(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var slow atomic.Bool
		var writes atomic.Int64
		f := newMemFleet(t, 3, nodeserver.Config{Intercept: func(_ net.Addr, r *memproto.Request) nodeserver.Verdict {
			if slow.Load() && !ofEpoch(r) && r.Cmd == memproto.CmdMetaGet {
				return nodeserver.Verdict{Delay: 100 * time.Millisecond}
			}
			return nodeserver.Verdict{}
		}})
		cfg := client.Config{Nodes: f.nodes(), ReplicationFactor: 2, LeaseTTL: time.Minute, Timeout: time.Minute,
			DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				nc, err := f.dial(ctx, network, addr)
				return countingWrites{nc, &writes}, err
			}}
		a, b := newClient(t, cfg), newClient(t, cfg)
		require.NoError(t, a.Ping(t.Context()))
		require.NoError(t, b.Ping(t.Context()))
		var asked []string
		for i := range 60 {
			asked = append(asked, fmt.Sprintf("k%d", i))
		}
		slow.Store(true)
		for _, patience := range []time.Duration{50 * time.Millisecond, 150 * time.Millisecond} {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			began := time.Now()
			_, errs := a.LeaseMulti(ctx, asked, client.LeaseOptions{})
			require.LessOrEqual(t, time.Since(began), patience+time.Millisecond, "a cancelled call returns at once")
			for _, err := range errs {
				require.ErrorIs(t, err, context.DeadlineExceeded)
			}
			cancel()
			time.Sleep(30 * time.Second) // virtual: the replies are in
		}
		slow.Store(false)
		writes.Store(0)
		leases, _ := b.LeaseMulti(t.Context(), asked, client.LeaseOptions{})
		require.LessOrEqual(t, writes.Load(), int64(2*3), "two for each node: the home copies, and the tokens of the others")
		for _, l := range leases {
			require.Equal(t, "won", l.State.String())
			require.Len(t, l.Tokens, 2)
			_, err := b.Fill(t.Context(), l, client.Item{Value: []byte("v")})
			require.NoError(t, err)
		}
		writes.Store(0)
		leases, _ = a.LeaseMulti(t.Context(), asked, client.LeaseOptions{})
		require.LessOrEqual(t, writes.Load(), int64(3), "one for each node")
		for _, l := range leases {
			require.Equal(t, hit, l.State.String())
		}
		require.NoError(t, a.Close())
		require.NoError(t, b.Close())
	})
}

// With a node lost, its keys are leased from their other copies.
func TestLeaseMultiFailsOver(t *testing.T) {
	f := newMemFleet(t, 3, nodeserver.Config{})
	c := f.client(client.Config{ReplicationFactor: 2})
	var asked []string
	for i := range 60 {
		asked = append(asked, fmt.Sprintf("k%d", i))
		store(t, c, asked[i], "v", time.Minute)
	}
	f.kill(f.names[0])
	for range 2 { // when the loss is news, and when it is known
		leases, errs := c.LeaseMulti(context.Background(), asked, client.LeaseOptions{})
		for i := range asked {
			require.NoError(t, errs[i])
			require.Equal(t, hit, leases[i].State.String())
		}
	}
}

// Refreshes that many keys have won at once and that are given up leave their values as they were, as one does.
func TestRefreshesOfManyThatAreGivenUp(t *testing.T) {
	onBothHerds(t, func(t *testing.T, h *herd) {
		c, ctx := h.client(), context.Background()
		keys := []string{"a", "b", "c"}
		for _, key := range keys {
			store(t, c, key, "v"+key, 60*time.Second)
		}
		leases, errs := c.LeaseMulti(ctx, keys, client.LeaseOptions{Refresh: 60 * time.Second})
		for i, l := range leases {
			require.NoError(t, errs[i])
			require.Equal(t, refreshed, l.State.String())
			require.WithinDuration(t, time.Now(), l.Asked, 30*time.Second)
			require.NoError(t, c.Release(ctx, l))
		}
		require.NoError(t, c.Ping(ctx)) // behind what Release posted
		for _, key := range keys {
			it, err := c.Get(ctx, key)
			require.NoError(t, err)
			require.Equal(t, "v"+key, string(it.Value))
			require.LessOrEqual(t, it.TTL, 60*time.Second)
		}
	})
}
