package client_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/ring"
)

// A client has stopped looking for what has moved where it was; another, which heard of the change later, has not, and brings back
// what the first owes a delete there.
func TestRule7NothingDeletedIsReadBackByWhoMovedFirst(t *testing.T) {
	const window, late = time.Minute, 4 * time.Second
	for name, read := range readers {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLogged(t, 3)
				key := onNode(t, []string{"node0", "node1"}, l.nodes(), l.nodes()[1:])
				a := cutOff(t, l, "node0", client.Config{MigrationWindow: window})
				b := l.client(client.Config{MigrationWindow: window})
				defer l.closeAll(a, b)
				set(t, b, key, "old")
				require.NoError(t, a.SetNodes(l.nodes()[1:]))
				time.Sleep(late)
				require.NoError(t, b.SetNodes(l.nodes()[1:]))
				time.Sleep(client.DefaultAnnounce + window - late/2)
				require.NoError(t, a.SetNodes(l.nodes())) // node0 is not given up
				out, err := a.Delete(t.Context(), key)
				require.NoError(t, err)
				require.Equal(t, 1, out.Owed)
				require.Equal(t, "old", get(t, b, key)) // brings it to node1
				synctest.Wait()
				v, err := read(t, a, key)
				require.NotEqual(t, "old", v, "this client has deleted it (%v)", err)
			})
		})
	}
}

// Another client has switched already to a list that this one still waits for, and brings what this one owes a delete on its owner to the
// later copy, which that list has first.
func TestRule7NothingDeletedIsReadBackByWhoMovesLater(t *testing.T) {
	const late = 8 * time.Second
	for name, read := range readers {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLogged(t, 3)
				after, key := ringOf(t, ring.Config{Nodes: l.nodes()[1:]}), ""
				for _, k := range keys("k") {
					if before := l.placed(2, k); before[0] == "node0" && before[1] == after.Owner(k).Name {
						key = k
					}
				}
				a := cutOff(t, l, "node0", client.Config{ReplicationFactor: 2})
				b := l.client(client.Config{ReplicationFactor: 2})
				defer l.closeAll(a, b)
				set(t, b, key, "old")
				require.NoError(t, b.SetNodes(l.nodes()[1:]))
				time.Sleep(late)
				require.Equal(t, "old", get(t, a, key)) // from the later copy
				require.NoError(t, a.SetNodes(l.nodes()[1:]))
				time.Sleep(client.DefaultAnnounce - late/2)
				out, err := a.Delete(t.Context(), key)
				require.NoError(t, err)
				require.Equal(t, 1, out.Owed)
				require.Equal(t, "old", get(t, b, key))
				time.Sleep(3 * time.Second) // it is on the later copy now
				require.Equal(t, "old", get(t, b, key))
				v, err := read(t, a, key)
				require.NotEqual(t, "old", v, "this client has deleted it (%v)", err)
			})
		})
	}
}

// Another client has met the owner's new process later, and takes it for cold when this one does not any more.
func TestRule7NothingDeletedIsReadBackByWhoMetTheNodeLater(t *testing.T) {
	const window, late = time.Minute, 4 * time.Second
	for name, read := range readers {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLogged(t, 2)
				key := "k"
				owner, other := l.placed(2, key)[0], l.placed(2, key)[1]
				a := cutOff(t, l, other, client.Config{ReplicationFactor: 2, ColdWindow: window})
				var blind atomic.Bool
				b, err := client.New(client.Config{Nodes: l.nodes(), ReplicationFactor: 2, ColdWindow: window, DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
					if blind.Load() && strings.HasPrefix(addr, owner+":") {
						return nil, errors.New("no route")
					}
					return l.dial(ctx, network, addr)
				}})
				require.NoError(t, err)
				defer l.closeAll(a, b)
				set(t, b, key, "old")
				require.Equal(t, "old", get(t, a, key))
				blind.Store(true)
				l.kill(owner)
				l.restart(owner)
				until(a, slices.IndexFunc(a.Nodes(), func(s client.Status) bool { return s.Node.Name == owner }), "up")
				met := time.Now()
				time.Sleep(late)
				blind.Store(false)
				until(b, slices.IndexFunc(b.Nodes(), func(s client.Status) bool { return s.Node.Name == owner }), "up")
				time.Sleep(time.Until(met.Add(window + 2*time.Second)))
				out, err := a.Delete(t.Context(), key)
				require.NoError(t, err)
				require.Equal(t, 1, out.Owed)
				require.Equal(t, "old", get(t, b, key)) // brings it back to the owner
				synctest.Wait()
				v, err := read(t, a, key)
				require.NotEqual(t, "old", v, "this client has deleted it (%v)", err)
			})
		})
	}
}
