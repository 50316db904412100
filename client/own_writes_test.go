package client_test

import (
	"bytes"
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/memproto"
	"github.com/memherd/memherd/nodeserver"
)

// newOfK goes out on a connection of its own, as large values do.
var newOfK = bytes.Repeat([]byte("new"), 20_000)

// writesOfK change the value at "k", or end it.
var writesOfK = map[string]func(c *client.Client) error{
	"Set": func(c *client.Client) error {
		_, err := c.Set(context.Background(), client.Item{Key: "k", Value: newOfK})
		return err
	},
	"SetMulti": func(c *client.Client) error {
		_, err := c.SetMulti(context.Background(), []client.Item{{Key: "k", Value: newOfK}})
		return err
	},
	"Delete":      func(c *client.Client) error { _, err := c.Delete(context.Background(), "k"); return err },
	"DeleteMulti": func(c *client.Client) error { _, err := c.DeleteMulti(context.Background(), []string{"k"}); return err },
	"Append": func(c *client.Client) error {
		_, err := c.Append(context.Background(), client.Item{Key: "k", Value: newOfK})
		return err
	},
	"Touch": func(c *client.Client) error { return c.Touch(context.Background(), "k", client.Expired) },
	"Fill": func(c *client.Client) error {
		l, err := c.LeaseWrite(context.Background(), "k")
		if err == nil {
			_, err = c.Fill(context.Background(), l, client.Item{Value: newOfK})
		}
		return err
	},
	"SetKeep": func(c *client.Client) error {
		_, _, err := c.SetKeep(context.Background(), client.Item{Key: "k", Value: newOfK})
		return err
	},
	"FillKeepMulti": func(c *client.Client) error {
		l, err := c.LeaseWrite(context.Background(), "k")
		if err != nil {
			return err
		}
		_, _, errs := c.FillKeepMulti(context.Background(), []client.Lease{l}, []client.Item{{Value: newOfK}})
		return errs[0]
	},
}

// A read that starts while a write of the same client is under way may bring what was there before, and memory may hold that: but not when
// the write has returned.
func TestAReadBesideAWriteLeavesNothingInMemory(t *testing.T) {
	for name, write := range writesOfK {
		if name == "Touch" || name == "Delete" || name == "DeleteMulti" {
			continue // no read overtakes them
		}
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				slow := false
				f := newMemFleet(t, 1, nodeserver.Config{Intercept: func(_ net.Addr, r *memproto.Request) (v nodeserver.Verdict) {
					if slow && r.Cmd == memproto.CmdMetaSet {
						v.Delay = 100 * time.Millisecond
					}
					return v
				}})
				cfg := hot()
				cfg.Staleness = time.Hour
				c := f.client(client.Config{HotKeys: cfg, Timeout: time.Second})
				set(t, c, "k", "old")
				heat(t, c, "k")
				slow = true
				wrote := make(chan error)
				go func() { wrote <- write(c) }()
				time.Sleep(50 * time.Millisecond)
				require.Equal(t, "old", get(t, c, "k"))
				held, ok := c.ReadNear("k")
				require.True(t, ok, "memory holds it")
				require.Equal(t, "old", string(held.Value))
				require.NoError(t, <-wrote)
				_, ok = c.ReadNear("k")
				require.False(t, ok)
				it, err := c.Get(context.Background(), "k")
				if err == nil {
					require.NotEqual(t, "old", string(it.Value))
				}
				closeFleet(t, f, c)
			})
		})
	}
}
