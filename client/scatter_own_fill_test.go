package client_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/nodeserver"
)

// An own fill is seen at once where the key is scattered, too: what suffix copies have from before is read no more.
func TestScatterOwnFillsAreSeenAtOnce(t *testing.T) {
	for name, o := range map[string]client.LeaseOptions{
		"of what another has deleted": {NoNear: true},
		"of what is refreshed":        {Refresh: time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newMemFleet(t, 3, nodeserver.Config{})
				a := f.client(client.Config{ReplicationFactor: 2, HotKeys: scattering(4)})
				b := f.client(client.Config{ReplicationFactor: 2})
				store(t, a, "k", "old", time.Hour)
				scatter(t, a, "k")
				for range 200 { // every suffix copy has it
					require.Equal(t, "old", get(t, a, "k"))
				}
				if o.Refresh == 0 {
					_, err := b.Delete(t.Context(), "k")
					require.NoError(t, err)
				}
				l, err := a.Lease(t.Context(), "k", o)
				require.NoError(t, err)
				require.NotEmpty(t, l.Tokens)
				_, err = a.Fill(t.Context(), l, client.Item{Value: []byte("new"), TTL: 2 * time.Hour})
				require.NoError(t, err)
				for range 200 {
					require.Equal(t, "new", get(t, a, "k"))
					require.Equal(t, map[string]string{"k": "new"}, getMany(t, a, "k"))
					time.Sleep(20 * time.Millisecond)
				}
				closeFleet(t, f, a, b)
			})
		})
	}
}
