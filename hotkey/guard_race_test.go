//go:build race

package hotkey

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A caller who changes a shared value is found out, whatever becomes of the entry next.
func TestAChangedValueIsFoundOut(t *testing.T) {
	for name, next := range map[string]func(n *Near){
		"own write": func(n *Near) { n.Drop(hashOf("k"), "k") },
		"node":      func(n *Near) { n.DropNode("") },
		"close":     func(n *Near) { n.DropAll() },
		"new value": func(n *Near) { n.put("k", "w") },
		"renewed": func(n *Near) {
			e := n.InUse(1)[0]
			n.Renew(e, n.Generation(e.Hash), time.Now())
		},
	} {
		for _, honest := range []bool{true, false} {
			n := newNear(t, Config{Staleness: time.Hour})
			require.True(t, n.put("k", "value"))
			v, ok := n.get("k")
			require.True(t, ok)
			if honest {
				require.NotPanics(t, func() { next(n) }, name)
				continue
			}
			v.Bytes[0] = 'V'
			require.PanicsWithValue(t, "hotkey: somebody has changed the bytes of a value from the near-cache; they are shared by all readers and read-only: copy them first",
				func() { next(n) }, name)
		}
	}
}
