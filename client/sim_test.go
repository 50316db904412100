package client_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/memproto"
	"github.com/memherd/memherd/nodeserver"
)

// simulation is a fleet under faults, with an origin behind it and several processes in
// front, in virtual time. Every key has a version in the origin. A writer raises it and
// deletes the key; a reader that wins the lease loads it and fills. What a writer has
// acknowledged it reads itself at once; everybody else does once every copy has confirmed it,
// or the writer has paid what it owes.
type simulation struct {
	t    *testing.T
	seed uint64
	f    *memFleet
	keys []string

	mu      sync.Mutex // guards what follows
	clients []*client.Client
	origin  map[string]int
	floor   map[string]int   // the newest version that every copy has confirmed
	own     []map[string]int // by client: the newest version it has acknowledged
	faults  []string
	counts  map[uint64]bool // given out by the counter
	lost    int             // found it gone
	history []news          // of lists
	base    uint64
	rng     *rand.Rand // of the network

	reads, hits, loads, writes, switches atomic.Int64
	over                                 atomic.Bool
	kills, moves                         bool // nodes crash, or die and come back elsewhere, while their lists change
}

// delay is random to the nanosecond, so that two things hardly ever happen at one nanosecond: what the scheduler would
// make of that is not the seed's.
func (s *simulation) delay(most time.Duration) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Duration(1 + s.rng.Int64N(int64(most)))
}

// simValue is what version v of key is stored as.
func simValue(key string, v int) []byte { return []byte(key + "=" + strconv.Itoa(v)) }

// check judges a value that was read by somebody who began when floor was the floor.
func (s *simulation) check(how, key string, value []byte, floor int) {
	name, version, ok := strings.Cut(string(value), "=")
	v, err := strconv.Atoi(version)
	if !ok || err != nil || name != key {
		s.t.Errorf("%s of %s: a wrong value %q", how, key, value)
		return
	}
	s.hits.Add(1)
	if v < floor {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.t.Errorf("seed %d, %v: %s of %s returned version %d, but %d had been acknowledged; faults: %v", s.seed, time.Now().Format("05.000000"), how, key, v, floor, s.faults)
	}
}

// client is the process with a number, all are all of them.
func (s *simulation) client(id int) *client.Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.clients[id]
}

func (s *simulation) all() []*client.Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.clients)
}

// join makes another process of the number id, the next one if it is new: it has acknowledged nothing.
func (s *simulation) join(id int, c *client.Client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if id == len(s.clients) {
		s.clients, s.own = append(s.clients, nil), append(s.own, nil)
	}
	s.clients[id], s.own[id] = c, map[string]int{}
}

func (s *simulation) now(id int, key string) (origin, floor int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.origin[key], max(s.floor[key], s.own[id][key])
}

func (s *simulation) read(ctx context.Context, id int, rng *rand.Rand) {
	c := s.client(id)
	key := s.keys[rng.IntN(len(s.keys))]
	s.reads.Add(1)
	_, floor := s.now(id, key)
	switch rng.IntN(4) {
	case 0:
		if it, err := c.Get(ctx, key); err == nil {
			s.check(fmt.Sprint(id, ": get"), key, it.Value, floor)
		}
	case 1:
		floors := map[string]int{}
		for _, k := range s.keys {
			_, floors[k] = s.now(id, k)
		}
		found, _ := c.GetMulti(ctx, s.keys)
		for k, it := range found {
			s.check(fmt.Sprint(id, ": get many"), k, it.Value, floors[k])
		}
	default:
		l, err := c.Lease(ctx, key, client.LeaseOptions{})
		if err != nil {
			return
		}
		switch l.State.String() {
		case "hit":
			s.check(fmt.Sprint(id, ": lease"), key, l.Item.Value, floor)
		case "won":
			v, _ := s.now(id, key)
			time.Sleep(s.delay(5 * time.Millisecond)) // the load takes its time
			s.loads.Add(1)
			_, _ = c.Fill(ctx, l, client.Item{Value: simValue(key, v), TTL: time.Hour})
		}
	}
}

func (s *simulation) write(ctx context.Context, id int, rng *rand.Rand) {
	c := s.client(id)
	key := s.keys[rng.IntN(len(s.keys))]
	v := s.raise(key)
	// Acknowledged is what every copy has heard or is owed. Who gets an error is not told
	// how many are, and repeats it until it is.
	for !s.over.Load() {
		out, err := c.Delete(ctx, key)
		most := len(s.f.names)
		if s.moves {
			most *= 2 // where one was before it is another one
		}
		if out.Copies > most {
			s.t.Errorf("%d: a delete reached %d of %d nodes", id, out.Copies, most)
		}
		if err == nil && out.Confirmed+out.Owed == out.Copies {
			s.acknowledged(id, key, v, out)
			return
		}
		time.Sleep(s.delay(50 * time.Millisecond))
	}
}

// raise writes a new version of key to the origin and returns it.
func (s *simulation) raise(key string) int {
	s.writes.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.origin[key]++
	return s.origin[key]
}

// acknowledged takes note that the writer of version v has been told that it is done: it reads
// no older one itself from now on, and nobody does once what it owes is paid.
func (s *simulation) acknowledged(id int, key string, v int, out client.Outcome) {
	s.log(id, " has written ", key, " ", v, " ", out)
	s.mu.Lock()
	s.own[id][key] = max(s.own[id][key], v)
	s.mu.Unlock()
	for out.Owed > 0 && owes(s.client(id)) && !s.over.Load() {
		time.Sleep(s.delay(20 * time.Millisecond))
	}
	if s.over.Load() {
		return
	}
	s.mu.Lock()
	s.floor[key] = max(s.floor[key], v)
	s.mu.Unlock()
}

// log notes an event for the report of a failure.
func (s *simulation) log(what ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, "\n"+time.Now().Format("05.000000 ")+fmt.Sprint(what...))
}

// owes reports whether c owes any node anything.
func owes(c *client.Client) bool {
	return slices.ContainsFunc(c.Nodes(), func(n client.Status) bool { return n.Debt > 0 })
}

// fault does one thing to one node, and undoes it.
func (s *simulation) fault(rng *rand.Rand) {
	name := s.f.names[rng.IntN(len(s.f.names))]
	note := func(what string) { s.log(name, " ", what) }
	switch rng.IntN(4) {
	case 0, 1:
		note("killed")
		s.f.kill(name)
		time.Sleep(s.delay(4 * time.Second))
		note("restarted")
		s.f.restart(name)
	case 2:
		// Long enough for everybody to notice: who does not is promised nothing.
		note("cut off")
		s.f.network.Partition(name, true)
		time.Sleep(3*time.Second + s.delay(3*time.Second))
		note("healed")
		s.f.network.Partition(name, false)
	case 3:
		note("connections lost")
		s.f.network.Kill(name)
		s.f.network.Revive(name)
	}
}

func (s *simulation) run(seed uint64) {
	var callers sync.WaitGroup
	for id := range s.all() {
		for j := range 3 {
			rng := rand.New(rand.NewPCG(seed, uint64(100+10*id+j)))
			callers.Go(func() {
				for !s.over.Load() {
					if j == 0 && rng.IntN(4) == 0 {
						s.write(s.t.Context(), id, rng)
					} else {
						s.read(s.t.Context(), id, rng)
					}
					time.Sleep(s.delay(300 * time.Millisecond))
				}
			})
		}
	}
	rng := rand.New(rand.NewPCG(seed, 2))
	for range 5 {
		time.Sleep(time.Second + s.delay(8*time.Second))
		s.fault(rng)
	}
	time.Sleep(10 * time.Second)
	s.over.Store(true)
	callers.Wait()
}

// TestSimulatedFaults: whatever happens to the nodes, one at a time, no acknowledged
// delete is undone, in anybody's eyes.
func TestSimulatedFaults(t *testing.T) {
	var reads, hits, loads, writes, restored int64
	for seed := range seeds(t, 200) {
		synctest.Test(t, func(t *testing.T) {
			s := &simulation{t: t, seed: seed, origin: map[string]int{}, floor: map[string]int{}, rng: rand.New(rand.NewPCG(seed, 1))}
			s.f = newMemFleet(t, 3+int(seed%2), nodeserver.Config{Intercept: func(net.Addr, *memproto.Request) nodeserver.Verdict {
				return nodeserver.Verdict{Delay: s.delay(2 * time.Millisecond)}
			}})
			for i := range 6 {
				s.keys = append(s.keys, fmt.Sprint("k", i))
			}
			for range 3 {
				s.join(len(s.all()), s.f.client(client.Config{ReplicationFactor: 2 + int(seed/2%2), Timeout: 100 * time.Millisecond}))
			}
			for _, c := range s.all() {
				require.NoError(t, c.Ping(t.Context()))
			}
			s.run(seed)
			for _, c := range s.all() {
				restored += int64(c.Counters().Restored)
			}
			reads, hits, loads, writes = reads+s.reads.Load(), hits+s.hits.Load(), loads+s.loads.Load(), writes+s.writes.Load()
			closeFleet(t, s.f, s.all()...)
		})
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	t.Logf("%d reads, %d hits, %d loads, %d writes, %d copies restored", reads, hits, loads, writes, restored)
	require.NotZero(t, hits)
	require.NotZero(t, writes)
}
