package client_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/nodeserver"
)

// dialLog notes when a node was dialled, by whomever.
type dialLog struct {
	mu sync.Mutex // guards at
	at []time.Time
}

func (d *dialLog) note() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.at = append(d.at, time.Now())
}

// worst is the most dials that fell into one second.
func (d *dialLog) worst() (most int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	first := 0
	for i, at := range d.at {
		for at.Sub(d.at[first]) >= time.Second {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

// flap makes the node come and go for a minute, every 50 to 500 ms, in one of the ways
// a node can: refused and reset, reset alone, hung. The fastest seed does it steadily.
func flap(f *memFleet, name string, fastest bool, rng *rand.Rand, kinds []string) {
	pause := func() {
		if fastest {
			time.Sleep(50 * time.Millisecond)
			return
		}
		time.Sleep(time.Duration(50+rng.IntN(451)) * time.Millisecond)
	}
	for start := time.Now(); time.Since(start) < time.Minute; {
		switch kinds[rng.IntN(len(kinds))] {
		case "killed":
			f.network.Kill(name)
			pause()
			f.network.Revive(name)
		case "reset":
			f.network.Kill(name)
			f.network.Revive(name)
		case "hung":
			f.network.Partition(name, true)
			pause()
			time.Sleep(client.DefaultTimeout) // or nobody would notice
			f.network.Partition(name, false)
		}
		pause()
	}
}

// A node that flaps is dialled ten times a second at most, callers' dials included, and
// with a second copy nobody sees an error.
func TestDialsOfAFlappingNode(t *testing.T) {
	ways := [][]string{{"killed", "reset", "hung"}, {"killed"}, {"reset"}, {"hung"}}
	if scaled(t, 10) < 10 {
		ways = ways[:1] // the race detector has seen all then
	}
	for _, kinds := range ways {
		t.Run(fmt.Sprint(kinds), func(t *testing.T) {
			most, dials, ops, slowest := 0, 0, 0, time.Duration(0)
			for seed := range scaled(t, 4) {
				synctest.Test(t, func(t *testing.T) {
					f := newMemFleet(t, 2, nodeserver.Config{})
					var log dialLog
					c, err := client.New(client.Config{Nodes: f.nodes(), ReplicationFactor: 2,
						DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
							if addr == "node0:1" {
								log.note()
							}
							return f.dial(ctx, network, addr)
						}})
					require.NoError(t, err)
					require.NoError(t, c.Ping(t.Context()))
					stop := make(chan struct{})
					var mu sync.Mutex // guards n, failed
					var n int
					var failed []error
					var wg sync.WaitGroup
					for id := range 8 {
						wg.Go(func() {
							rng := rand.New(rand.NewPCG(uint64(seed), uint64(id)))
							for {
								select {
								case <-stop:
									return
								case <-time.After(time.Duration(rng.IntN(40_000)) * time.Microsecond):
								}
								key := fmt.Sprint("k", rng.IntN(100))
								err := oneOf(c, key, rng)
								mu.Lock()
								n++
								if err != nil {
									failed = append(failed, err)
								}
								mu.Unlock()
							}
						})
					}
					flap(f, "node0", seed == 0, rand.New(rand.NewPCG(uint64(seed), 99)), kinds)
					// It is dialled again, after a pause that has grown to a second or so, what it is owed is paid, behind
					// a fence that takes up to a second, and for RejoinDelay others may pay, too.
					began := time.Now()
					for stateOf(c, "node0") != "up" && time.Since(began) < 10*time.Second {
						time.Sleep(100 * time.Millisecond)
					}
					slowest = max(slowest, time.Since(began))
					well := stateOf(c, "node0")
					close(stop)
					wg.Wait()
					require.Equal(t, "up", well, "seed %d: it is well again", seed)
					require.NoError(t, errors.Join(failed...), "seed %d", seed)
					most, dials, ops = max(most, log.worst()), dials+len(log.at), ops+n
					require.NoError(t, c.Close())
					for _, s := range f.servers {
						require.NoError(t, s.Close())
					}
				})
			}
			t.Logf("%d operations, %d dials, at most %d in one second; well again %v later", ops, dials, most, slowest)
			require.LessOrEqual(t, most, 10)
			require.Greater(t, dials, scaled(t, 4)*10)
		})
	}
}

// oneOf reads, writes or deletes key, and checks what it reads.
func oneOf(c *client.Client, key string, rng *rand.Rand) error {
	ctx := context.Background()
	switch rng.IntN(10) {
	case 0:
		_, err := c.Delete(ctx, key)
		return err
	case 1, 2, 3:
		_, err := c.Set(ctx, client.Item{Key: key, Value: []byte("value of " + key)})
		return err
	}
	it, err := c.Get(ctx, key)
	switch {
	case errors.Is(err, client.ErrCacheMiss):
		return nil
	case err == nil && string(it.Value) != "value of "+key:
		return fmt.Errorf("%s holds %q", key, it.Value)
	}
	return err
}
