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
)

// endings are all ways to store k with an end that has passed.
var endings = map[string]func(ctx context.Context, c *client.Client) error{
	"Set": func(ctx context.Context, c *client.Client) error {
		_, err := c.Set(ctx, client.Item{Key: "k", TTL: client.Expired})
		return err
	},
	"Set that ends at": func(ctx context.Context, c *client.Client) error {
		_, err := c.Set(ctx, client.Item{Key: "k", TTL: client.Until(time.Unix(1, 0))})
		return err
	},
	"SetMulti": func(ctx context.Context, c *client.Client) error {
		_, err := c.SetMulti(ctx, []client.Item{{Key: "k", Value: []byte("before")}, {Key: "k", TTL: client.Expired}, {Key: "l"}})
		return err
	},
	"SetKeep": func(ctx context.Context, c *client.Client) error {
		_, _, err := c.SetKeep(ctx, client.Item{Key: "k", TTL: client.Expired})
		return err
	},
	"Touch": func(ctx context.Context, c *client.Client) error { return c.Touch(ctx, "k", client.Expired) },
	"GetAndTouch": func(ctx context.Context, c *client.Client) error {
		_, err := c.GetAndTouch(ctx, "k", client.Expired)
		return err
	},
}

// What is stored with an end that has passed is no longer there, nor is what was there before: not even if somebody misses it on its owner, which
// is cold, before another copy has heard of it.
func TestRule2WhatHasEndedIsNotBroughtBack(t *testing.T) {
	for name, end := range endings {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLogged(t, 2)
				a, b := l.client(client.Config{ReplicationFactor: 2}), l.client(client.Config{ReplicationFactor: 2})
				defer l.closeAll(a, b)
				set(t, a, "k", "old")
				require.Equal(t, "old", get(t, b, "k"))
				owner := l.placed(2, "k")[0]
				l.renew(t, a, owner)
				require.Equal(t, "old", get(t, b, "k"))
				l.decide(func(node string, r *memproto.Request) (v nodeserver.Verdict) {
					if node != owner && (r.Cmd == memproto.CmdMetaSet || r.Flags.Has(memproto.FlagT)) {
						v.Delay = 20 * time.Millisecond
					}
					return v
				})
				ended := make(chan error)
				go func() { ended <- end(t.Context(), a) }()
				time.Sleep(5 * time.Millisecond)
				_, _ = b.Get(t.Context(), "k")
				require.NoError(t, <-ended)
				for _, c := range []*client.Client{a, b} {
					_, err := c.Get(t.Context(), "k")
					require.ErrorIs(t, err, client.ErrCacheMiss)
				}
			})
		})
	}
}

// Of items some of which have ended each has its own outcome, and of several of one key the last counts.
func TestSetMultiOfWhatHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogged(t, 2)
		c := l.client(client.Config{ReplicationFactor: 2})
		defer l.closeAll(c)
		for _, key := range []string{"a", "b", "c", "d"} {
			set(t, c, key, "old")
		}
		v := []byte("new")
		items := []client.Item{
			{Key: "a", Value: v}, {Key: "b", TTL: client.Expired}, {Key: "c", TTL: client.Expired}, {Key: "c", Value: v},
			{Key: "d", Value: v}, {Key: "d", TTL: client.Expired}, {Key: "d", TTL: client.Expired},
		}
		outs, err := c.SetMulti(t.Context(), items)
		require.NoError(t, err)
		for _, o := range outs {
			require.Equal(t, client.Outcome{Copies: 2, Confirmed: 2}, o)
		}
		require.Len(t, outs, len(items))
		found, err := c.GetMulti(t.Context(), []string{"a", "b", "c", "d"})
		require.NoError(t, err)
		require.Len(t, found, 2)
		require.Equal(t, "new", string(found["a"].Value))
		require.Equal(t, "new", string(found["c"].Value))

		l.network.Partition("node0", true)
		l.network.Partition("node1", true)
		time.Sleep(3 * time.Second)
		outs, err = c.SetMulti(t.Context(), items)
		require.ErrorIs(t, err, client.ErrNodeDown)
		require.True(t, client.SafeToRetry(err))
		require.Equal(t, client.Outcome{Copies: 2}, outs[0], "it has not happened")
		require.Equal(t, client.Outcome{Copies: 2, Owed: 2}, outs[1], "it has to be heard")
	})
}
