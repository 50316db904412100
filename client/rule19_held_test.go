package client_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/memproto"
	"github.com/memherd/memherd/hotkey"
	"github.com/memherd/memherd/nodeserver"
)

// Of a marked value, a stub and another caller's refresh nothing is held, whoever reads it how: only what the home copy vouches for.
func TestRule19WhatIsNeverHeld(t *testing.T) {
	ctx := context.Background()
	reads := map[string]func(c *client.Client){
		"Get":      func(c *client.Client) { _, _ = c.Get(ctx, "k") },
		"GetMulti": func(c *client.Client) { _, _ = c.GetMulti(ctx, []string{"k"}) },
		"Lease":    func(c *client.Client) { _, _ = c.Lease(ctx, "k", client.LeaseOptions{}) },
		"LeaseMulti": func(c *client.Client) {
			_, _ = c.LeaseMulti(ctx, []string{"k"}, client.LeaseOptions{})
		},
	}
	for what, arrange := range map[string]func(t *testing.T, l *logged, other *client.Client){
		"marked stale": func(t *testing.T, l *logged, other *client.Client) {
			set(t, other, "k", "v")
			l.markStale("node0", "k")
		},
		"marked stale, a refresh under way": func(t *testing.T, l *logged, other *client.Client) {
			set(t, other, "k", "v")
			l.markStale("node0", "k")
			lease, err := other.Lease(ctx, "k", client.LeaseOptions{})
			require.NoError(t, err)
			require.Equal(t, "won", lease.State.String())
		},
		"a stub": func(t *testing.T, l *logged, other *client.Client) {
			won(t, other, "k")
		},
		"a refresh under way": func(t *testing.T, l *logged, other *client.Client) {
			_, err := other.Set(ctx, client.Item{Key: "k", Value: []byte("v"), TTL: time.Minute})
			require.NoError(t, err)
			lease, err := other.Lease(ctx, "k", client.LeaseOptions{Refresh: time.Minute})
			require.NoError(t, err)
			require.Equal(t, "refresh", lease.State.String())
		},
	} {
		for name, read := range reads {
			t.Run(what+" "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l := newLogged(t, 1)
					c := l.client(client.Config{HotKeys: forLong()})
					other := l.client(client.Config{})
					require.NoError(t, c.Ping(ctx))
					set(t, c, "k", "v")
					warmest(t, c, "k") // of hot keys misses are remembered, too
					_, err := c.Delete(ctx, "k")
					require.NoError(t, err)
					arrange(t, l, other)
					for range 3 {
						read(c)
						require.Zero(t, c.NearStats().Entries)
					}
					l.closeAll(c, other)
				})
			})
		}
	}
}

// What another copy or a gutter node has said is not held while there is a home copy, or at all.
func TestRule19OnlyTheHomeCopyVouches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogged(t, 2)
		c := l.client(client.Config{ReplicationFactor: 2, HotKeys: forLong(), HedgeAfter: 10 * time.Millisecond})
		require.NoError(t, c.Ping(t.Context()))
		set(t, c, "k", "v")
		owner := l.placed(2, "k")[0]
		for i := range 100 { // what fills the budget of hedging
			set(t, c, strings.Repeat("x", i+1), "v")
			get(t, c, strings.Repeat("x", i+1))
		}
		l.decide(func(node string, r *memproto.Request) nodeserver.Verdict {
			if node == owner && string(r.Key) == "k" {
				return nodeserver.Verdict{Delay: 50 * time.Millisecond}
			}
			return nodeserver.Verdict{}
		})
		l.take()
		require.Equal(t, "v", get(t, c, "k"))
		require.EqualValues(t, 1, c.Counters().HedgesWon)
		_, held := c.ReadNear("k")
		require.False(t, held, "the other copy has answered")
		l.closeAll(c)
	})
}

// A change of membership voids what is held, and what is on its way from a node that has been a key's home.
func TestRule19MembershipVoids(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogged(t, 2)
		only := l.names[:1]
		names := l.names
		l.names = only
		c, shut := behind(t, l, client.Config{HotKeys: forLong(), Announce: client.NoAnnounce})
		l.names = names
		set(t, c, "held", "v")
		require.Equal(t, "v", get(t, c, "held"))
		_, held := c.ReadNear("held")
		require.True(t, held)
		var moved string // from node0 to node1
		for i := 0; moved == ""; i++ {
			if k := fmt.Sprint("k", i); l.placed(1, k)[0] == "node1" {
				moved = k
			}
		}
		set(t, c, moved, "v")
		open := shut()
		var wg sync.WaitGroup
		wg.Go(func() { require.Equal(t, "v", get(t, c, moved)) })
		time.Sleep(time.Millisecond)
		require.NoError(t, c.SetNodes(l.nodes()))
		for len(c.Nodes()) < 2 {
			time.Sleep(time.Millisecond)
		}
		_, held = c.ReadNear("held")
		require.False(t, held)
		open()
		wg.Wait()
		_, held = c.ReadNear(moved)
		require.False(t, held, "node0 is not its home any more")
		l.closeAll(c)
	})
}

// The levels derive from the number of nodes there are now.
func TestRule19LevelsFollowTheFleet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogged(t, 2)
		c := l.client(client.Config{Nodes: l.nodes()[:1], Announce: client.NoAnnounce,
			HotKeys: &hotkey.Config{Staleness: -1, Budget: -1, HottestKeys: 1}})
		set(t, c, "k", "v")
		share := func() float64 {
			for range 20_000 {
				get(t, c, "k")
			}
			return c.HotKeyStats().HottestShare
		}
		require.Equal(t, 1.0/8, share())
		require.NoError(t, c.SetNodes(l.nodes()))
		for len(c.Nodes()) < 2 {
			time.Sleep(time.Millisecond)
		}
		require.Equal(t, 1.0/16, share())
		l.closeAll(c)
	})
}

// What ends at its node ends in memory, within the second in which nodes count, whether it was read or filled, and whatever X is.
func TestRule19NothingOutlivesItsNode(t *testing.T) {
	for _, filled := range []bool{false, true} {
		t.Run(map[bool]string{false: "read", true: "filled"}[filled], func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLogged(t, 1)
				c := l.client(client.Config{HotKeys: forLong()})
				other := l.client(client.Config{})
				require.NoError(t, c.Ping(t.Context()))
				for phase := range 20 { // of the node's clock, which counts seconds
					key := fmt.Sprint("k", phase)
					it := client.Item{Key: key, Value: []byte("v"), TTL: 2 * time.Second}
					if filled {
						_, err := c.Fill(t.Context(), won(t, c, key), it)
						require.NoError(t, err)
					} else {
						_, err := other.Set(t.Context(), it)
						require.NoError(t, err)
					}
					if filled { // it may be gone when one of its two seconds is over
						time.Sleep(time.Second)
						before := c.Counters().NearHits
						_, _ = c.Get(t.Context(), key)
						require.Equal(t, before, c.Counters().NearHits)
					}
					var gone time.Time
					for began := time.Now(); time.Since(began) < 4*time.Second; time.Sleep(50 * time.Millisecond) {
						if _, err := other.Get(t.Context(), key); err != nil && gone.IsZero() {
							gone = time.Now()
						}
						_, err := c.Get(t.Context(), key)
						if !gone.IsZero() && time.Since(gone) >= time.Second {
							require.ErrorIs(t, err, client.ErrCacheMiss, "%v after it was gone", time.Since(gone))
						}
					}
					require.False(t, gone.IsZero())
					time.Sleep(70 * time.Millisecond)
				}
				require.Positive(t, c.Counters().NearHits)
				l.closeAll(c, other)
			})
		})
	}
}

// Of all keys that are read the hottest alone are held, and of all that are missing those that are hot.
func TestRule19OnlyTheHottestAreHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogged(t, 1)
		c := l.client(client.Config{HotKeys: &hotkey.Config{Budget: -1, Staleness: time.Hour, HotKeys: 100, HottestKeys: 1}})
		warm := keys("warm")
		for _, k := range append(warm, "cold", "top") {
			set(t, c, k, "v")
		}
		for i := range 3 { // before anything is hot
			get(t, c, "cold")
			_, _ = c.Get(t.Context(), "missing")
			_, _ = c.GetMulti(t.Context(), []string{"missing", fmt.Sprint("missing", i)})
		}
		require.Zero(t, c.NearStats().Entries)
		for range 500 {
			for _, k := range warm {
				get(t, c, k)
			}
			for range 2 * len(warm) {
				get(t, c, "top")
			}
		}
		levels := map[string]hotkey.Level{}
		for _, h := range c.HotKeys(1000) {
			levels[h.Key] = h.Level
		}
		require.Equal(t, hotkey.LevelHottest, levels["top"])
		require.Equal(t, hotkey.LevelHot, levels[warm[0]])
		require.Equal(t, 1, c.NearStats().Entries)
		_, err := c.DeleteMulti(t.Context(), []string{"top", warm[0]})
		require.NoError(t, err)
		require.Zero(t, c.NearStats().Entries)
		_, err = c.GetMulti(t.Context(), []string{"top"})
		require.NoError(t, err)
		_, err = c.Get(t.Context(), warm[0])
		require.ErrorIs(t, err, client.ErrCacheMiss)
		require.Equal(t, 2, c.NearStats().Entries, "misses of a hot key, too")
		l.closeAll(c)
	})
}

// What is asked with a token comes from the node, and a token that was asked for on account of memory alone is not given away.
func TestRule19MemoryHasNoTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogged(t, 1)
		c := l.client(client.Config{HotKeys: hot()})
		set(t, c, "k", "v")
		heat(t, c, "k")
		for range 100 {
			it, err := c.Get(t.Context(), "k")
			require.NoError(t, err)
			require.Zero(t, it.CAS)
			found, err := c.GetsMulti(t.Context(), []string{"k"})
			require.NoError(t, err)
			require.NotZero(t, found["k"].CAS)
			time.Sleep(60 * time.Millisecond) // what that has brought ends
		}
		l.closeAll(c)
	})
}

// A value is held no longer than it lives on the node, that of a key, too, which has become one of the hottest with the very
// read that brought it.
func TestRule19NothingOutlivesItsTTLInMemory(t *testing.T) {
	for _, key := range []string{"k", "a key with blanks"} {
		t.Run(key, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLogged(t, 1)
				c := l.client(client.Config{Keys: client.AnyKeys, HotKeys: &hotkey.Config{Staleness: time.Hour}})
				_, err := c.Set(t.Context(), client.Item{Key: key, Value: []byte("v"), TTL: 10 * time.Second})
				require.NoError(t, err)
				for c.NearStats().Entries == 0 {
					require.Equal(t, "v", get(t, c, key))
				}
				_, held := c.ReadNear(key)
				require.True(t, held)
				time.Sleep(11 * time.Second)
				_, err = c.Get(t.Context(), key)
				require.ErrorIs(t, err, client.ErrCacheMiss)
				l.closeAll(c)
			})
		})
	}
}
