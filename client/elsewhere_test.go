package client_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/memproto"
	"github.com/memherd/memherd/hotkey"
	"github.com/memherd/memherd/nodeserver"
)

// Many processes that see a little of the traffic each agree that a key is hot which none of them has read often, if they ask the nodes,
// and few of them know otherwise. What only one of them reads, however often, is hot to none.
func TestManySmallClientsAgree(t *testing.T) {
	for _, profile := range []nodeserver.Profile{nodeserver.Profile1618, nodeserver.Profile15} {
		t.Run(profile.Version(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newMemFleet(t, 0, nodeserver.Config{Profile: profile})
				var asked, plain atomic.Int64
				f.config.Intercept = func(_ net.Addr, r *memproto.Request) nodeserver.Verdict {
					if r.Flags.Has(memproto.FlagLh | memproto.FlagLl) {
						asked.Add(1)
					} else {
						plain.Add(1)
					}
					return nodeserver.Verdict{}
				}
				f.names = []string{"node0", "node1"}
				f.start("node0")
				f.start("node1")
				many := max(20, scaled(t, 40))
				var asking, silent []*client.Client
				for range many {
					asking = append(asking, f.client(client.Config{ReplicationFactor: 2, HotKeys: &hotkey.Config{Staleness: -1, AskNodes: 1}}))
					silent = append(silent, f.client(client.Config{ReplicationFactor: 2, HotKeys: &hotkey.Config{Staleness: -1}}))
				}
				rng := rand.New(rand.NewPCG(7, 7))
				set(t, asking[0], "hot", "v")
				for i := range 500 {
					set(t, asking[0], fmt.Sprint("cold", i), "v")
				}
				for i := range many {
					set(t, asking[0], fmt.Sprint("own", i), "v")
				}
				// Ten reads a second each, for a minute and a half. The hot key is one in eighty of them.
				rounds := 900
				if profile == nodeserver.Profile15 {
					rounds = 100 // it is asked nothing
				}
				for range rounds {
					for i := range many {
						key := fmt.Sprint("cold", rng.IntN(500))
						switch rng.IntN(80) {
						case 0:
							key = "hot"
						case 1:
							key = fmt.Sprint("own", i)
						}
						get(t, asking[i], key)
						get(t, silent[i], key)
					}
					time.Sleep(100 * time.Millisecond)
				}
				know := func(cs []*client.Client) (hot, own int) {
					for _, c := range cs {
						for _, h := range c.HotKeys(1000) {
							switch {
							case h.Level == hotkey.LevelCold:
							case h.Key == "hot":
								hot++
							case h.Key[:3] == "own" && h.Count < 16:
								own++
							}
						}
					}
					return hot, own
				}
				told, own := know(asking)
				alone, _ := know(silent)
				require.Zero(t, own)
				require.Less(t, alone*3, many, "16 reads are seldom")
				if profile == nodeserver.Profile15 {
					require.Zero(t, asked.Load(), "it has no meta commands")
				} else {
					require.Greater(t, told*3, many*2)
					require.Less(t, asked.Load()*2, plain.Load())
				}
				closeFleet(t, f, append(asking, silent...)...)
			})
		})
	}
}
