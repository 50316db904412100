package client_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
)

// looks are the reads that tell more than a value.
var looks = map[string]func(t *testing.T, c *client.Client, key string) (client.Info, error){
	"GetWith": func(t *testing.T, c *client.Client, key string) (client.Info, error) {
		it, info, err := c.GetWith(t.Context(), key, client.GetOptions{})
		if err == nil {
			require.Equal(t, "v", string(it.Value))
		}
		return info, err
	},
	"Inspect": func(t *testing.T, c *client.Client, key string) (client.Info, error) {
		return c.Inspect(t.Context(), key)
	},
}

// While somebody brings a key back to a node that was restarted, it is looked at where it is, as by Get.
func TestRule4WhatIsBeingBroughtBackIsLookedAtElsewhere(t *testing.T) {
	for name, look := range looks {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLogged(t, 2)
				c := l.client(client.Config{ReplicationFactor: 2})
				defer l.closeAll(c)
				store(t, c, "k", "v", time.Hour)
				owner, other := l.placed(2, "k")[0], l.placed(2, "k")[1]
				l.renew(t, c, owner)
				l.line(owner, "mg k N30\r\n") // who brings it holds its stub
				require.Equal(t, "v", get(t, c, "k"))
				info, err := look(t, c, "k")
				require.NoError(t, err)
				require.Equal(t, other, info.Node)
				require.Equal(t, 1, info.Size)
				require.Greater(t, info.TTL, 59*time.Minute)
				l.line(other, "md k\r\n")
				_, err = look(t, c, "k")
				require.ErrorIs(t, err, client.ErrCacheMiss)
			})
		})
	}
}

// An owner that was a copy before the fleet changed is given what it lacks a second after it was missed there: until then, too.
func TestRule17WhatMovesIsLookedAtWhereItIs(t *testing.T) {
	for name, look := range looks {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLogged(t, 3)
				c := l.client(client.Config{ReplicationFactor: 2})
				defer l.closeAll(c)
				key := l.keyOn("node0", "node1")
				store(t, c, key, "v", time.Hour)
				l.line("node1", "md "+key+"\r\n") // as if it had been evicted
				require.NoError(t, c.SetNodes(l.nodes()[1:]))
				time.Sleep(client.DefaultAnnounce + time.Second)
				info, err := look(t, c, key)
				require.NoError(t, err)
				require.Equal(t, "node0", info.Node)
				time.Sleep(2 * time.Second)
				info, err = look(t, c, key)
				require.NoError(t, err)
				require.Equal(t, "node1", info.Node)
			})
		})
	}
}
