package client_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/hotkey"
	"github.com/memherd/memherd/nodeserver"
)

// written notes what is written to a node, a write a line.
type written struct {
	net.Conn
	note func(b []byte)
}

func (w written) Write(b []byte) (int, error) {
	w.note(b)
	return w.Conn.Write(b)
}

// One sweep asks each node about all its entries that are due in one write, with the token where the node compares it and without the
// value where it does not.
func TestRule19OneBatchPerNodePerSweep(t *testing.T) {
	const x, entries = time.Second, 60
	for _, profile := range []nodeserver.Profile{nodeserver.ProfileNewest, nodeserver.Profile1618} {
		t.Run(profile.Version(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newMemFleet(t, 2, nodeserver.Config{Profile: profile})
				var mu sync.Mutex // guards sweeps and asked
				sweeps := map[string]int{}
				var asked []string
				cfg := client.Config{Nodes: f.nodes(), HotKeys: &hotkey.Config{NearAll: true, Staleness: x}}
				cfg.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
					nc, err := f.dial(ctx, network, addr)
					if err != nil {
						return nil, err
					}
					return written{nc, func(b []byte) {
						lines := strings.Split(strings.TrimSpace(string(b)), "\r\n")
						mu.Lock()
						defer mu.Unlock()
						before := len(asked)
						for _, l := range lines {
							if strings.HasPrefix(l, "mg k") {
								asked = append(asked, l)
							}
						}
						if len(asked) > before {
							sweeps[addr]++
						}
					}}, nil
				}
				c, err := client.New(cfg)
				require.NoError(t, err)
				require.NoError(t, c.Ping(t.Context()))
				for i := range entries {
					set(t, c, fmt.Sprint("k", i), "value")
				}
				for range 20 {
					for i := range entries {
						l, err := c.Lease(t.Context(), fmt.Sprint("k", i), client.LeaseOptions{}) // asks for the CAS
						require.NoError(t, err)
						require.Equal(t, "value", string(l.Item.Value))
					}
				}
				mu.Lock()
				clear(sweeps)
				asked = nil
				mu.Unlock()
				time.Sleep(x * 9 / 10)
				mu.Lock()
				require.Len(t, asked, entries)
				require.Len(t, sweeps, 2)
				for addr, n := range sweeps {
					require.Equal(t, 1, n, addr)
				}
				for _, l := range asked {
					words := strings.Fields(l)[2:]
					compares := false
					for _, w := range words {
						compares = compares || w[0] == 'C'
					}
					require.Equal(t, profile == nodeserver.ProfileNewest, compares, l)
					if !compares {
						require.NotContains(t, words, "v", "the value has not changed")
					}
				}
				mu.Unlock()
				before := c.Counters()
				for i := range entries {
					require.Equal(t, "value", get(t, c, fmt.Sprint("k", i)))
				}
				require.Equal(t, before.NodeHits, c.Counters().NodeHits, "all were renewed")
				require.NoError(t, c.Close())
				closeFleet(t, f)
			})
		})
	}
}

// An entry that has answered 15 reads since it was validated is left to its end, one that has answered 16 is asked about.
func TestRule19SixteenReadsAreWorthARequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const x = time.Second
		f := newMemFleet(t, 1, nodeserver.Config{})
		c := f.client(client.Config{HotKeys: &hotkey.Config{NearAll: true, Staleness: x}})
		require.NoError(t, c.Ping(t.Context()))
		for _, reads := range []int{15, 16} {
			set(t, c, "k", "v")
			for range reads + 1 { // the first is of the node
				require.Equal(t, "v", get(t, c, "k"))
			}
			before := c.Counters().Revalidated
			time.Sleep(x * 9 / 10)
			require.EqualValues(t, reads-15, c.Counters().Revalidated-before)
			time.Sleep(x)
		}
		closeFleet(t, f, c)
	})
}

// A value that another program has marked stale is asked about like any other, and the one right to refresh it, which such a request
// takes, is handed back: who wants to load gets it.
func TestRule6ASweepHandsTheRightBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const x = time.Second
		l := newLogged(t, 1)
		c := l.client(client.Config{HotKeys: &hotkey.Config{NearAll: true, Staleness: x}})
		other := l.client(client.Config{})
		set(t, other, "k", "v")
		_, err := c.Lease(t.Context(), "k", client.LeaseOptions{})
		require.NoError(t, err)
		for range 40 {
			require.Equal(t, "v", get(t, c, "k"))
		}
		l.markStale("node0", "k")
		before := c.Counters().Revalidated
		for c.Counters().Revalidated == before {
			time.Sleep(time.Millisecond)
		}
		time.Sleep(10 * time.Millisecond)
		lease, err := other.Lease(t.Context(), "k", client.LeaseOptions{})
		require.NoError(t, err)
		require.Equal(t, "won", lease.State.String())
		time.Sleep(x)
		_, held := c.ReadNear("k")
		require.False(t, held)
		l.closeAll(c, other)
	})
}

// An entry that memory no longer vouches for is read from the owner, whence it can be filled again, as long as it is read often enough to
// be worth it; not spread over the copies.
func TestRule12TheHottestAreReadFromTheirOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogged(t, 2)
		c := l.client(client.Config{ReplicationFactor: 2, HotKeys: hot()})
		set(t, c, "k", "v")
		heat(t, c, "k")
		owner := l.placed(2, "k")[0]
		for range 50 {
			for range 5 {
				get(t, c, "k")
			}
			time.Sleep(50 * time.Millisecond) // it ends: it is not worth being asked about
			l.take()
			get(t, c, "k")
			for node := range readsByNode(l, "k") {
				require.Equal(t, owner, node)
			}
		}
		l.closeAll(c)
	})
}
