package client_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/ring"
)

// A process that starts within a migration window meets a node that has just restarted, empty, and says nothing of the
// fleet's lists. What it deletes is deleted where the others look for what they miss, whoever met the node first.
func TestRule17ANewcomerMeetsANodeThatHasRestarted(t *testing.T) {
	for name, othersFirst := range map[string]bool{"it meets it first": false, "another has made the sentinel": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newMemFleet(t, 4, nodeserver.Config{})
				m := &moved{t: t, r: 1, before: f.nodes()[:3], after: f.nodes()[1:], cfg: client.Config{DialContext: f.dial}}
				m.old = m.client(m.before)
				key := m.key(0)
				owner := ringOf(t, ring.Config{Nodes: m.after, Copies: 1}).Owner(key).Name
				down := func() bool {
					return slices.ContainsFunc(m.old.Nodes(), func(s client.Status) bool { return s.Node.Name == owner && s.State == "down" })
				}
				set(t, m.old, key, "old")
				m.change()
				m.switched()
				f.kill(owner)
				require.Eventually(t, down, time.Minute, 100*time.Millisecond)
				f.restart(owner)
				for othersFirst && down() {
					time.Sleep(time.Millisecond)
				}
				c := m.client(m.after)
				_, err := c.Delete(t.Context(), key)
				require.NoError(t, err)
				_, err = m.old.Get(t.Context(), key)
				require.Error(t, err, "what was deleted is read again")
				time.Sleep(5 * time.Second)
				_, err = m.old.Get(t.Context(), key)
				require.ErrorIs(t, err, client.ErrCacheMiss)
				closeFleet(t, f, m.old, c)
			})
		})
	}
}
