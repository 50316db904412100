package client_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
)

// Calls that are under way together share commands on their way to a node. Each is told what is there all the same: with
// keys in common and not, hits and misses, with tokens and without, single gets and writes of other keys in between.
func TestGetMultiOfManyCallers(t *testing.T) {
	onEveryHerd(t, func(t *testing.T, h *herd) {
		c := newClient(t, client.Config{Nodes: h.nodes, DialContext: h.dial, Timeout: 10 * time.Second, Hooks: client.Hooks{ConnLost: func(node string, cause error) {
			if cause != client.ErrClosed {
				t.Errorf("connection to %s lost: %v", node, cause)
			}
		}}})
		ctx := t.Context()
		value := func(key string) string { return strings.Repeat(key, 1+len(key)%5) }
		var keys []string
		there := map[string]bool{}
		for i := range 120 {
			key := fmt.Sprint(strings.Repeat("k", i%60), i)
			keys = append(keys, key)
			if i%3 > 0 {
				_, err := c.Set(ctx, client.Item{Key: key, Value: []byte(value(key)), Flags: uint32(i)})
				require.NoError(t, err)
				there[key] = true
			}
		}
		var wg sync.WaitGroup
		for id := range 24 {
			rng := rand.New(rand.NewPCG(uint64(id), 3))
			wg.Go(func() {
				for range 40 {
					ask := map[string]bool{}
					for range 1 + rng.IntN(40) {
						ask[keys[rng.IntN(len(keys))]] = true
					}
					var list []string
					want := 0
					for key := range ask {
						list = append(list, key)
						if there[key] {
							want++
						}
					}
					get := c.GetMulti
					switch rng.IntN(6) {
					case 0:
						get = c.GetsMulti
					case 1:
						it, err := c.Get(ctx, list[0])
						if there[list[0]] {
							assert.NoError(t, err)
							assert.Equal(t, value(list[0]), string(it.Value))
						} else {
							assert.ErrorIs(t, err, client.ErrCacheMiss)
						}
					case 2:
						_, err := c.Set(ctx, client.Item{Key: fmt.Sprint("other", id), Value: []byte("x")})
						assert.NoError(t, err)
					}
					found, err := get(ctx, list)
					assert.NoError(t, err)
					assert.Len(t, found, want)
					for key, it := range found {
						assert.True(t, ask[key] && there[key])
						assert.Equal(t, key, it.Key)
						assert.Equal(t, value(key), string(it.Value))
					}
				}
			})
		}
		wg.Wait()
	})
}
