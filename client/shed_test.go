package client_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/client/memproto"
	"github.com/memherd/memherd/nodeserver"
)

// The only copy that is up has shed its idle connection: it is asked on a new one, whichever of the copies it is.
func TestShedConnectionOfTheOnlyCopyLeft(t *testing.T) {
	reads := map[string]func(t *testing.T, c *client.Client, key string) error{
		"Get": func(t *testing.T, c *client.Client, key string) error { _, err := c.Get(t.Context(), key); return err },
		"Lease": func(t *testing.T, c *client.Client, key string) error {
			_, err := c.Lease(t.Context(), key, client.LeaseOptions{})
			return err
		},
		"GetMulti": func(t *testing.T, c *client.Client, key string) error {
			_, err := c.GetMulti(t.Context(), []string{key})
			return err
		},
		"Touch": func(t *testing.T, c *client.Client, key string) error { return c.Touch(t.Context(), key, time.Hour) },
	}
	for name, read := range reads {
		for copies := 1; copies <= 2; copies++ {
			for other := 0; other <= copies-1; other++ {
				t.Run(name+[]string{"", ", R=1", ", R=2"}[copies]+[]string{"", ", other down"}[other], func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						f := newMemFleet(t, 2, nodeserver.Config{})
						key := onNode(t, []string{"node0"}, f.nodes())
						c := f.client(client.Config{ReplicationFactor: copies})
						defer closeFleet(t, f, c)
						set(t, c, key, "v")
						if other == 1 {
							f.network.Kill("node1")
							until(c, 1, "down")
						}
						time.Sleep(300 * time.Millisecond)
						f.network.Kill("node0") // its connections are reset
						f.network.Revive("node0")
						require.Equal(t, "up", c.Nodes()[0].State)
						require.NoError(t, read(t, c, key))
						require.Equal(t, "up", c.Nodes()[0].State)
					})
				})
			}
		}
	}
}

// So it is for who wants the home copy's answer alone.
func TestShedConnectionOfAHomeLease(t *testing.T) {
	for copies := 1; copies <= 2; copies++ {
		synctest.Test(t, func(t *testing.T) {
			f := newMemFleet(t, 2, nodeserver.Config{})
			key := onNode(t, []string{"node0"}, f.nodes())
			c := f.client(client.Config{ReplicationFactor: copies})
			defer closeFleet(t, f, c)
			set(t, c, key, "v")
			time.Sleep(300 * time.Millisecond)
			f.network.Kill("node0") // its connections are reset
			f.network.Revive("node0")
			l, err := c.Lease(t.Context(), key, client.LeaseOptions{Home: true})
			require.NoError(t, err, "R=%d", copies)
			require.Equal(t, item.LeaseHit, l.State)
		})
	}
}

// So it is where the other copy may not be read, because a write of it is under way.
func TestShedConnectionBesideAnOwedCopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogged(t, 2)
		key := "k"
		owner, other := l.placed(2, key)[0], l.placed(2, key)[1]
		c := l.client(client.Config{ReplicationFactor: 2, Timeout: 20 * time.Second})
		defer l.closeAll(c)
		set(t, c, key, "old")
		l.decide(func(node string, r *memproto.Request) (v nodeserver.Verdict) {
			if r.Cmd == memproto.CmdMetaSet && node == other {
				v.Delay = 5 * time.Second
			}
			return v
		})
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		out, err := c.Set(ctx, client.Item{Key: key, Value: []byte("new")})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 1, out.Confirmed)
		require.Equal(t, "new", get(t, c, key))
		l.network.Kill(owner)
		l.network.Revive(owner)
		require.Equal(t, "new", get(t, c, key))
	})
}
