package client_test

import (
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
)

// What a restarted node lacks is brought from other copies by several goroutines, but given to the caller's function on the caller's own: a panic is
// his, and may be caught, and who exits there exits alone.
func TestGetMultiFuncRunsOnItsCallersGoroutine(t *testing.T) {
	for name, leave := range map[string]func(t *testing.T, call func(fn func(client.Item))){
		"panic": func(t *testing.T, call func(fn func(client.Item))) {
			require.PanicsWithValue(t, "mine", func() { call(func(client.Item) { panic("mine") }) })
		},
		"exit": func(_ *testing.T, call func(fn func(client.Item))) {
			done := make(chan struct{})
			go func() {
				defer close(done)
				call(func(client.Item) { runtime.Goexit() })
			}()
			<-done
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLogged(t, 2)
				c := l.client(client.Config{ReplicationFactor: 2})
				defer l.closeAll(c)
				var keys []string
				for i := 0; len(keys) < 40; i++ {
					if key := fmt.Sprint("k", i); l.placed(2, key)[0] == "node0" {
						keys = append(keys, key)
						set(t, c, key, "v")
					}
				}
				l.kill("node0")
				l.restart("node0")
				time.Sleep(3 * time.Second)
				require.NoError(t, c.Ping(t.Context()))
				leave(t, func(fn func(client.Item)) { _ = c.GetMultiFunc(t.Context(), keys, fn) })
				found, err := c.GetMulti(t.Context(), keys)
				require.NoError(t, err)
				require.Len(t, found, len(keys))
			})
		})
	}
}
