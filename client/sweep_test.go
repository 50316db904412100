package client_test

import (
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/memproto"
	"github.com/memherd/memherd/hotkey"
	"github.com/memherd/memherd/nodeserver"
)

// An entry that is read is asked about before it ends, and readers hardly ever wait for a node. What another
// client writes is seen X later at most. Nobody reads: nobody asks, and the sweeper ends.
func TestSweepsRenewWhatIsRead(t *testing.T) {
	for _, profile := range []nodeserver.Profile{nodeserver.ProfileNewest, nodeserver.Profile1618, nodeserver.Profile15} {
		t.Run(profile.Version(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const x = 50 * time.Millisecond
				f := newMemFleet(t, 0, nodeserver.Config{Profile: profile})
				var withValue, asked atomic.Int64
				f.config.Intercept = func(_ net.Addr, r *memproto.Request) nodeserver.Verdict {
					if (r.Cmd == memproto.CmdMetaGet || !r.Cmd.Meta() && !r.Cmd.Storage()) && string(r.Key) == "k" {
						asked.Add(1)
						if r.Flags.Has(memproto.FlagLv) && !r.Flags.Has(memproto.FlagC) {
							withValue.Add(1)
						}
					}
					return nodeserver.Verdict{Delay: 100 * time.Microsecond}
				}
				f.names = []string{"node0", "node1"}
				f.start("node0")
				f.start("node1")
				a := f.client(client.Config{ReplicationFactor: 2, HotKeys: hot()})
				b := f.client(client.Config{ReplicationFactor: 2})
				set(t, a, "k", "0")
				heat(t, a, "k")
				read := func(d time.Duration) (reads int64) {
					for began := time.Now(); time.Since(began) < d; time.Sleep(500 * time.Microsecond) {
						require.NotEmpty(t, get(t, a, "k"))
						reads++
					}
					return reads
				}
				read(x)
				before, renewed := a.Counters(), asked.Load()
				values := withValue.Load()
				reads := read(time.Second)
				after := a.Counters()
				require.LessOrEqual(t, after.NodeHits-before.NodeHits, uint64(2), "readers wait for a node")
				require.GreaterOrEqual(t, after.Revalidated-before.Revalidated, uint64(20))
				require.LessOrEqual(t, (asked.Load()-renewed)*16, reads, "coherence costs more than a sixteenth of what it saves")
				if profile != nodeserver.Profile15 {
					require.LessOrEqual(t, withValue.Load()-values, int64(2), "an unchanged value is sent again")
				}
				for i := range 20 {
					v := fmt.Sprint(i + 1)
					set(t, b, "k", v)
					confirmed := time.Now()
					for time.Since(confirmed) < 3*x {
						if began := time.Now(); began.Sub(confirmed) >= x {
							require.Equal(t, v, get(t, a, "k"), "a read %v after the write", began.Sub(confirmed))
						} else {
							get(t, a, "k")
						}
						time.Sleep(time.Millisecond)
					}
				}
				require.LessOrEqual(t, a.Counters().NodeHits-after.NodeHits, uint64(5), "a changed value is brought by the sweep")
				time.Sleep(4 * x)
				require.Zero(t, a.NearStats().Entries)
				idle := a.Counters().Revalidated
				time.Sleep(time.Minute)
				require.Equal(t, idle, a.Counters().Revalidated)
				heat(t, a, "k")
				read(4 * x)
				require.Greater(t, a.Counters().Revalidated, idle, "it begins again")
				closeFleet(t, f, a, b)
			})
		})
	}
}

// A node that hangs is not sent a batch a sweep, and what it vouched for ends with its X.
func TestSweepsLeaveAHungNodeAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newMemFleet(t, 0, nodeserver.Config{})
		var hung atomic.Bool
		var asked atomic.Int64
		f.config.Intercept = func(_ net.Addr, r *memproto.Request) nodeserver.Verdict {
			if hung.Load() {
				if string(r.Key) == "k" {
					asked.Add(1)
				}
				return nodeserver.Verdict{Delay: time.Hour}
			}
			return nodeserver.Verdict{}
		}
		f.names = []string{"node0"}
		f.start("node0")
		cfg := hot()
		cfg.Staleness = 20 * time.Millisecond
		c := f.client(client.Config{HotKeys: cfg, Timeout: time.Second})
		set(t, c, "k", "v")
		heat(t, c, "k")
		for range 100 {
			get(t, c, "k")
		}
		hung.Store(true)
		for range 15 {
			began := time.Now()
			require.Equal(t, "v", get(t, c, "k"))
			require.Zero(t, time.Since(began), "within the bound memory answers")
			time.Sleep(time.Millisecond)
		}
		time.Sleep(10 * time.Millisecond)
		_, err := c.Get(t.Context(), "k")
		require.Error(t, err, "beyond it there is nobody to ask")
		require.LessOrEqual(t, asked.Load(), int64(4))
		closeFleet(t, f, c)
	})
}

// That a hot key is missing is remembered for MissTTL at most, never for a lease, and own writes end it.
func TestMissesOfHotKeysAreRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newMemFleet(t, 2, nodeserver.Config{})
		cfg := hot()
		cfg.Staleness, cfg.MissTTL = 100*time.Millisecond, 30*time.Millisecond
		a := f.client(client.Config{ReplicationFactor: 2, HotKeys: cfg})
		b := f.client(client.Config{ReplicationFactor: 2})
		miss := func() {
			_, err := a.Get(t.Context(), "k")
			require.ErrorIs(t, err, client.ErrCacheMiss)
		}
		var dst [8]byte
		for range 2000 {
			miss()
		}
		before := a.Counters()
		asked := func() (n uint64) {
			for _, s := range a.Nodes() {
				n += s.Ops
			}
			return n
		}
		sent := asked()
		for range 100 {
			miss()
			found, err := a.GetMulti(t.Context(), []string{"k", "k"})
			require.NoError(t, err)
			require.Empty(t, found)
			_, err = a.GetInto(t.Context(), "k", dst[:0])
			require.ErrorIs(t, err, client.ErrCacheMiss)
		}
		require.Equal(t, sent, asked(), "no node is asked")
		after := a.Counters()
		require.GreaterOrEqual(t, after.Misses-before.Misses, uint64(300))
		require.Equal(t, before.NearHits, after.NearHits)
		require.Positive(t, a.NearStats().Misses)

		set(t, b, "k", "v")
		miss()
		time.Sleep(30 * time.Millisecond)
		require.Equal(t, "v", get(t, a, "k"), "30 ms later")

		_, err := b.Delete(t.Context(), "k")
		require.NoError(t, err)
		time.Sleep(100 * time.Millisecond)
		for range 100 {
			miss()
		}
		set(t, a, "k", "w")
		require.Equal(t, "w", get(t, a, "k"), "own writes are seen at once")
		_, err = a.Delete(t.Context(), "k")
		require.NoError(t, err)
		for range 100 {
			miss()
		}
		leases, errs := a.LeaseMulti(t.Context(), []string{"k"}, client.LeaseOptions{})
		require.NoError(t, errs[0])
		require.Equal(t, "won", leases[0].State.String(), "who wants to load asks the node")
		require.NoError(t, a.Release(t.Context(), leases[0]))
		for range 100 {
			miss()
		}
		l, err := a.Lease(t.Context(), "k", client.LeaseOptions{})
		require.NoError(t, err)
		require.Equal(t, "won", l.State.String())
		_, ok := a.ReadNear("k")
		require.False(t, ok)
		closeFleet(t, f, a, b)
	})
}

// Keys with a prefix have their own X, or are not held at all.
func TestStalenessByPrefix(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newMemFleet(t, 1, nodeserver.Config{})
		cfg := hot()
		cfg.Prefixes = []hotkey.Prefix{{Prefix: "exact:", Staleness: -1}, {Prefix: "slow:", Staleness: time.Second}}
		a := f.client(client.Config{HotKeys: cfg})
		b := f.client(client.Config{})
		keys := []string{"exact:k", "slow:k", "k"}
		for _, k := range keys {
			set(t, a, k, "old")
		}
		for range 5000 {
			for _, k := range keys {
				get(t, a, k)
			}
		}
		require.Equal(t, 2, a.NearStats().Entries)
		for _, k := range keys {
			set(t, b, k, "new")
		}
		require.Equal(t, []string{"new", "old", "old"}, []string{get(t, a, keys[0]), get(t, a, keys[1]), get(t, a, keys[2])})
		time.Sleep(50 * time.Millisecond)
		require.Equal(t, "new", get(t, a, "k"))
		time.Sleep(950 * time.Millisecond)
		require.Equal(t, "new", get(t, a, "slow:k"))
		closeFleet(t, f, a, b)
	})
}
