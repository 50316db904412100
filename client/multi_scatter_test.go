package client_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/memproto"
	"github.com/memherd/memherd/nodeserver"
)

// getMany reads keys together and returns their values.
func getMany(t *testing.T, c *client.Client, keys ...string) map[string]string {
	t.Helper()
	found, err := c.GetMulti(t.Context(), keys)
	require.NoError(t, err)
	out := map[string]string{}
	for key, it := range found {
		require.Equal(t, key, it.Key)
		require.Zero(t, it.TTL)
		require.Zero(t, it.CAS)
		out[key] = string(it.Value)
	}
	return out
}

// Many keys at once, of which one is hotter than a node can bear: it is borne by all nodes, the others are read as ever, and a call takes as long as
// one without such a key.
func TestGetMultiReadsSuffixCopies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newMemFleet(t, 0, nodeserver.Config{})
		f.config.Intercept = func(_ net.Addr, r *memproto.Request) (v nodeserver.Verdict) {
			if strings.HasPrefix(string(r.Key), "hot") {
				v.Delay = time.Millisecond
			}
			return v
		}
		for i := range 5 {
			f.names = append(f.names, fmt.Sprint("node", i))
			f.start(f.names[i])
		}
		c := f.client(client.Config{HotKeys: scattering(16)})
		want := map[string]string{"hot": "v"}
		keys := []string{"hot", "missing", "hot"}
		set(t, c, "hot", "v")
		for i := range 5 {
			key := fmt.Sprint("cold", i)
			set(t, c, key, key)
			want[key], keys = key, append(keys, key)
		}
		scatter(t, c, "hot")
		ops := func() map[string]uint64 {
			out := map[string]uint64{}
			for _, s := range c.Nodes() {
				out[s.Node.Name] = s.Ops
			}
			return out
		}
		const calls = 3000
		before := c.Counters()
		slow := 0
		for range calls {
			began := time.Now()
			require.Equal(t, want, getMany(t, c, keys...))
			if time.Since(began) > 3*time.Millisecond/2 {
				slow++
			}
		}
		after := c.Counters()
		served := after.Scattered - before.Scattered
		require.Greater(t, served, uint64(calls*0.85), "16 in 17")
		require.Less(t, slow, calls/20, "calls that had to ask twice")
		require.Equal(t, uint64(calls*6), after.NodeHits-before.NodeHits)
		require.Equal(t, uint64(calls), after.Misses-before.Misses)
		// The hot key alone.
		was := ops()
		for range calls {
			require.Equal(t, map[string]string{"hot": "v"}, getMany(t, c, "hot"))
		}
		for name, n := range ops() {
			require.Less(t, n-was[name], uint64(calls/2), "of five nodes, %s", name)
		}
		require.Positive(t, after.ScatterFills)
		closeFleet(t, f, c)
	})
}

// What another client writes GetMulti sees X later at most, however long fills are held up; own writes and deletes at once.
func TestGetMultiOfSuffixCopiesKeepsTheBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := heldUp(t, nodeserver.ProfileNewest)
		a := f.client(client.Config{ReplicationFactor: 2, HotKeys: scattering(4), Timeout: 5 * time.Second})
		b := f.client(client.Config{ReplicationFactor: 2, Timeout: 5 * time.Second})
		set(t, a, "other", "o")
		set(t, b, "k", "0")
		scatter(t, a, "k")
		readWithinBound(t, a, b, func() string {
			got := getMany(t, a, "other", "k", "none")
			require.Equal(t, "o", got["other"])
			return got["k"]
		})
		for i := range 20 {
			want := map[string]string{"other": "o"}
			if i%4 == 3 {
				_, err := a.DeleteMulti(t.Context(), []string{"k"})
				require.NoError(t, err)
			} else {
				want["k"] = fmt.Sprint("own", i)
				set(t, a, "k", want["k"])
			}
			for range 100 {
				require.Equal(t, want, getMany(t, a, "k", "other"))
				time.Sleep(time.Duration(i) * 3 * time.Millisecond)
			}
		}
		closeFleet(t, f, a, b)
	})
}

// A suffix copy that is refused, or whose connection is lost, costs a caller nothing but time: the key's own copies are asked. Who does not wait for one
// that is silent is told so.
func TestGetMultiWithoutSuffixCopies(t *testing.T) {
	for name, verdict := range map[string]nodeserver.Verdict{
		"dropped": {Drop: true},
		"refused": {Reply: []byte("SERVER_ERROR out of memory reading request\r\n")},
		"silent":  {Delay: time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLogged(t, 4)
				c := l.client(client.Config{ReplicationFactor: 2, HotKeys: scattering(8), Timeout: 200 * time.Millisecond})
				set(t, c, "k", "v")
				set(t, c, "other", "o")
				scatter(t, c, "k")
				var refused atomic.Int64
				l.decide(func(_ string, r *memproto.Request) nodeserver.Verdict {
					if hasSuffix(r, "k") {
						refused.Add(1)
						return verdict
					}
					return nodeserver.Verdict{}
				})
				before := c.Counters().Scattered
				if name == "silent" {
					for refused.Load() == 0 {
						short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
						_, err := c.GetMulti(short, []string{"k", "other"})
						cancel()
						if refused.Load() > 0 {
							require.ErrorIs(t, err, context.DeadlineExceeded)
						}
					}
					l.closeAll(c)
					return
				}
				for refused.Load() == 0 {
					require.Equal(t, map[string]string{"k": "v", "other": "o"}, getMany(t, c, "k", "none", "other"))
				}
				require.Equal(t, before, c.Counters().Scattered)
				l.closeAll(c)
			})
		})
	}
}

// A loader's leases of many keys are answered by suffix copies, too; reads that want a token are not.
func TestSuffixCopiesAnswerLeasesNotTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newMemFleet(t, 3, nodeserver.Config{})
		c := f.client(client.Config{ReplicationFactor: 2, HotKeys: scattering(8)})
		set(t, c, "k", "v")
		set(t, c, "other", "o")
		scatter(t, c, "k")
		before := c.Counters().Scattered
		for range 100 {
			leases, errs := c.LeaseMulti(t.Context(), []string{"other", "k"}, client.LeaseOptions{})
			for i, want := range []string{"o", "v"} {
				require.NoError(t, errs[i])
				require.Equal(t, "hit", leases[i].State.String())
				require.Equal(t, want, string(leases[i].Item.Value))
			}
		}
		after := c.Counters().Scattered
		require.Greater(t, after, before+50)
		for range 100 {
			found, err := c.GetsMulti(t.Context(), []string{"k", "other"})
			require.NoError(t, err)
			require.Equal(t, "v", string(found["k"].Value))
			require.NotZero(t, found["k"].CAS)
		}
		require.Equal(t, after, c.Counters().Scattered)
		leases, errs := c.LeaseMulti(t.Context(), []string{"k"}, client.LeaseOptions{Home: true})
		require.NoError(t, errs[0])
		require.Equal(t, "v", string(leases[0].Item.Value))
		closeFleet(t, f, c)
	})
}

// A key that memory serves and that is scattered, too, is given to the caller once.
func TestGetMultiGivesAScatteredKeyOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newMemFleet(t, 4, nodeserver.Config{})
		cfg := scattering(4)
		cfg.Staleness = 0 // the default: memory is on
		c := f.client(client.Config{ReplicationFactor: 2, HotKeys: cfg})
		set(t, c, "k", "v")
		both := 0
		for i := range 40_000 {
			near, times := c.NearStats().Hits, 0
			require.NoError(t, c.GetMultiFunc(t.Context(), []string{"k", "k"}, func(client.Item) { times++ }))
			require.Equal(t, 1, times, "call %d", i)
			if c.NearStats().Hits > near && c.Counters().Scattered > 0 {
				both++
			}
			time.Sleep([]time.Duration{time.Millisecond, 40 * time.Millisecond}[i/1000%2])
		}
		require.NotZero(t, both, "memory never served it while it was scattered")
		closeFleet(t, f, c)
	})
}
