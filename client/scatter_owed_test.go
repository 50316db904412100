package client_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
)

// What a client has deleted, and owes to a copy that others reach, they go on filling suffix copies with: it does not read those.
func TestRule7NothingDeletedIsReadFromSuffixCopies(t *testing.T) {
	for _, name := range []string{"get", "get many", "lease", "lease many"} {
		read := readers[name]
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLogged(t, 4)
				owner := l.placed(2, "k")[0]
				a := cutOff(t, l, owner, client.Config{ReplicationFactor: 2, HotKeys: scattering(4)})
				b := l.client(client.Config{ReplicationFactor: 2, HotKeys: scattering(4)})
				defer l.closeAll(a, b)
				set(t, b, "k", "old")
				scatter(t, a, "k")
				scatter(t, b, "k")
				out, err := a.Delete(t.Context(), "k")
				require.NoError(t, err)
				require.Equal(t, 1, out.Owed)
				for began := time.Now(); time.Since(began) < 2*scatterX; time.Sleep(10 * time.Millisecond) {
					require.Equal(t, "old", get(t, b, "k"), "nobody has told the owner")
					v, _ := read(t, a, "k")
					require.NotEqual(t, "old", v, "this client has deleted it")
				}
			})
		})
	}
}
