package client_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/memproto"
	"github.com/memherd/memherd/hotkey"
	"github.com/memherd/memherd/nodeserver"
)

const scatterX = 3 * time.Second

func scattering(copies int) *hotkey.Config {
	return &hotkey.Config{Budget: -1, Staleness: -1, Scatter: &hotkey.Scatter{Copies: copies}}
}

// scatter reads key until c has it read from suffix copies.
func scatter(t *testing.T, c *client.Client, key string) {
	t.Helper()
	before := c.Counters().Scattered
	for range 4000 {
		get(t, c, key)
		if c.Counters().Scattered > before {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("the key was never scattered")
}

// hasSuffix reports whether a node is asked for a suffix copy of key.
func hasSuffix(r *memproto.Request, key string) bool {
	return strings.HasPrefix(string(r.Key), key+"~memherd~")
}

// A key that one node would bear alone is borne by all, and no other key is.
func TestScatterSharesAKeyOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newMemFleet(t, 5, nodeserver.Config{})
		c := f.client(client.Config{HotKeys: scattering(16)})
		plain := f.client(client.Config{HotKeys: &hotkey.Config{Budget: -1, Staleness: -1}})
		set(t, c, "hot", "v")
		share := func(c *client.Client) (most float64) {
			before := map[string]uint64{}
			for _, s := range c.Nodes() {
				before[s.Node.Name] = s.Ops
			}
			hits := c.Counters().NodeHits
			defer func() { require.EqualValues(t, 4000, c.Counters().NodeHits-hits) }()
			for i := range 4000 {
				require.Equal(t, "v", get(t, c, "hot"))
				if i%100 == 0 {
					time.Sleep(10 * time.Millisecond)
				}
			}
			for _, s := range c.Nodes() {
				most = max(most, float64(s.Ops-before[s.Node.Name])/4000)
			}
			return most
		}
		scatter(t, c, "hot")
		require.Less(t, share(c), 0.25, "of five nodes")
		require.Greater(t, share(plain), 0.99)
		n := c.Counters()
		require.Less(t, n.ScatterFills, n.Scattered/20)
		require.Zero(t, plain.Counters().Scattered+plain.Counters().ScatterFills)
		closeFleet(t, f, c, plain)
	})
}

// What another client writes is seen X later at most, whatever happens to the requests that fill suffix copies: some are held up for
// seconds. Own writes are seen at once.
func TestScatterIsNeverOlderThanItsBound(t *testing.T) {
	for _, profile := range []nodeserver.Profile{nodeserver.ProfileNewest, nodeserver.Profile1618} {
		t.Run(profile.Version(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := heldUp(t, profile)
				a := f.client(client.Config{ReplicationFactor: 2, HotKeys: scattering(4), Timeout: 5 * time.Second})
				b := f.client(client.Config{ReplicationFactor: 2, HotKeys: scattering(4), Timeout: 5 * time.Second})
				set(t, a, "k", "0")
				scatter(t, a, "k")
				readWithinBound(t, a, b, func() string { return get(t, a, "k") })
				// Its own writes, at once and later.
				for i := range 20 {
					v := fmt.Sprint("own", i)
					set(t, a, "k", v)
					for range 100 {
						require.Equal(t, v, get(t, a, "k"))
						time.Sleep(time.Duration(i) * 3 * time.Millisecond)
					}
				}
				closeFleet(t, f, a, b)
			})
		})
	}
}

// Who knows that a key is scattered deletes its suffix copies with it, also when the writer has left; who does not leaves them to their end.
func TestScatterIsHealedByDeletesAndTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogged(t, 3)
		a := l.client(client.Config{ReplicationFactor: 2, HotKeys: scattering(4)})
		stranger := l.client(client.Config{ReplicationFactor: 2})
		read := func(d time.Duration) {
			for began := time.Now(); time.Since(began) < d; time.Sleep(time.Millisecond) {
				_, err := a.Get(t.Context(), "k")
				if err != nil {
					require.ErrorIs(t, err, client.ErrCacheMiss)
				}
			}
		}
		deletes := func() (n int) {
			for _, s := range l.take() {
				if strings.Contains(s, " md k~memherd~") {
					n++
				}
			}
			return n
		}
		for name, write := range map[string]func(){
			"Delete":      func() { _, _ = a.Delete(t.Context(), "k") },
			"DeleteMulti": func() { _, _ = a.DeleteMulti(t.Context(), []string{"k", "other"}) },
			"Set":         func() { set(t, a, "k", "new") },
			"SetMulti":    func() { _, _ = a.SetMulti(t.Context(), []client.Item{{Key: "k", Value: []byte("new")}}) },
			"Append":      func() { _, _ = a.Append(t.Context(), client.Item{Key: "k", Value: []byte("+")}) },
			"Touch":       func() { _ = a.Touch(t.Context(), "k", time.Hour) },
			"cancelled": func() {
				ctx, cancel := context.WithCancel(t.Context())
				l.decide(func(_ string, r *memproto.Request) nodeserver.Verdict {
					if r.Cmd == memproto.CmdMetaDelete && string(r.Key) == "k" {
						return nodeserver.Verdict{Delay: 50 * time.Millisecond}
					}
					return nodeserver.Verdict{}
				})
				time.AfterFunc(10*time.Millisecond, cancel)
				_, err := a.Delete(ctx, "k")
				require.ErrorIs(t, err, context.Canceled)
				l.decide(func(string, *memproto.Request) nodeserver.Verdict { return nodeserver.Verdict{} })
			},
		} {
			set(t, a, "k", "v")
			scatter(t, a, "k")
			read(100 * time.Millisecond)
			l.take()
			write()
			require.Equal(t, 4, deletes(), "%s: every suffix copy", name)
			before := a.Counters().Scattered
			read(scatterX - 500*time.Millisecond)
			require.Equal(t, before, a.Counters().Scattered, "%s: none is read for X", name)
		}
		set(t, a, "k", "v")
		scatter(t, a, "k")
		l.take()
		_, err := stranger.Delete(t.Context(), "k")
		require.NoError(t, err)
		require.Zero(t, deletes())
		time.Sleep(scatterX)
		for range 50 {
			_, err = a.Get(t.Context(), "k")
			require.ErrorIs(t, err, client.ErrCacheMiss, "it has healed by itself")
		}
		l.closeAll(a, stranger)
	})
}

// Keys that may not be read late are not scattered, nor those whose suffix copies would have no legal name; a loader's lease is answered
// by a suffix copy, one for a reader of the home copy is not.
func TestScatterLeavesSomeAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newMemFleet(t, 3, nodeserver.Config{})
		cfg := scattering(4)
		cfg.Prefixes = []hotkey.Prefix{{Prefix: "exact:", Staleness: -1}}
		cfg.Scatter.Share = 0.1
		c := f.client(client.Config{ReplicationFactor: 2, HotKeys: cfg})
		long := strings.Repeat("x", 245)
		for _, key := range []string{"exact:k", long, "k"} {
			set(t, c, key, "v")
		}
		for range 2000 {
			get(t, c, "exact:k")
			get(t, c, long)
			time.Sleep(5 * time.Millisecond)
		}
		require.Zero(t, c.Counters().Scattered)
		scatter(t, c, "k")
		lease := func(o client.LeaseOptions) {
			for range 100 {
				l, err := c.Lease(t.Context(), "k", o)
				require.NoError(t, err)
				require.Equal(t, "hit", l.State.String())
				require.Equal(t, "v", string(l.Item.Value))
				require.Zero(t, l.Item.TTL, "that of the suffix copy says nothing")
			}
		}
		before := c.Counters().Scattered
		lease(client.LeaseOptions{})
		after := c.Counters().Scattered
		require.Greater(t, after, before+30)
		lease(client.LeaseOptions{Home: true})
		require.Equal(t, after, c.Counters().Scattered)
		closeFleet(t, f, c)
	})
}
