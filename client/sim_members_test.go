package client_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/memproto"
	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/ring"
)

// The simulated changes: a fleet of four of six nodes whose list changes, from every tenth of a
// second to every ten, with three processes that learn of each change up to half of
// Announce after it.
const (
	simAnnounce = 2 * time.Second
	simWindow   = 5 * time.Second
)

// writeThrough is a write by tokens: take them, write the origin, store under them.
func (s *simulation) writeThrough(id int, rng *rand.Rand) {
	c, ctx := s.client(id), s.t.Context()
	key := s.keys[rng.IntN(len(s.keys))]
	l, err := c.LeaseWrite(ctx, key)
	if err != nil {
		return
	}
	v := s.raise(key)
	out, err := c.Fill(ctx, l, client.Item{Value: simValue(key, v), TTL: time.Hour})
	switch {
	case err == nil, errors.Is(err, client.ErrLeaseLost):
	case errors.Is(err, client.ErrNodeDown):
		return // a node that has come back is looked at before it is used, and nobody is told that this is done
	case s.kills || s.moves:
		return
	default:
		s.t.Errorf("write-through: %v", err)
		return
	}
	s.acknowledged(id, key, v, out)
}

// change makes another list of a list.
func (s *simulation) change(rng *rand.Rand, list []ring.Node) []ring.Node {
	in := map[string]bool{}
	for _, n := range list {
		in[n.Name] = true
	}
	var out, free []ring.Node
	for _, n := range s.f.nodes() {
		if in[n.Name] {
			out = append(out, n)
		} else {
			free = append(free, n)
		}
	}
	leave := func() { i := rng.IntN(len(out)); out = append(out[:i], out[i+1:]...) }
	join := func() { out = append(out, free[rng.IntN(len(free))]) }
	switch what := rng.IntN(4); {
	case what == 0 && len(out) < 5:
		join()
	case what == 1 && len(out) > 3:
		leave()
	case what == 2:
		out[rng.IntN(len(out))].Weight = 1 + rng.IntN(3)
	default:
		leave()
		join()
	}
	return out
}

// renew gives up what a node that is in no list holds, as a machine that is taken out for
// good: only as another process may it come back.
func (s *simulation) renew(list []ring.Node) {
	for _, name := range s.f.names {
		listed := false
		for _, n := range list {
			listed = listed || n.Name == name
		}
		for _, c := range s.all() {
			for _, st := range c.Nodes() {
				listed = listed || st.Node.Name == name
			}
		}
		if !listed {
			s.log("renewed ", name)
			s.f.kill(name)
			s.f.restart(name)
		}
	}
}

// crash kills a node of a list, and starts it again.
func (s *simulation) crash(rng *rand.Rand, list []ring.Node) {
	name := list[rng.IntN(len(list))].Name
	s.log("killed ", name)
	s.f.kill(name)
	time.Sleep(s.delay(3 * time.Second))
	s.log("restarted ", name)
	s.f.restart(name)
}

// move kills a node of a list and starts it at another address, as Kubernetes does with a pod, and returns
// the list that says so.
func (s *simulation) move(rng *rand.Rand, list []ring.Node) []ring.Node {
	list = slices.Clone(list)
	n := &list[rng.IntN(len(list))]
	s.log("killed ", n.Name)
	s.f.kill(n.Name)
	time.Sleep(s.delay(time.Second))
	s.f.move(n.Name)
	n.Addr = s.f.host(n.Name) + ":1"
	s.log("moved to ", n.Addr)
	return list
}

func (s *simulation) runChanges(seed uint64) (changes int) {
	rng := rand.New(rand.NewPCG(seed, 2))
	var told sync.WaitGroup
	feeds := make([]chan news, len(s.all()))
	for id, c := range s.all() {
		feeds[id] = make(chan news, 1000)
		rng := rand.New(rand.NewPCG(seed, uint64(50+id)))
		told.Go(func() {
			for n := range feeds[id] {
				// In order, and up to half of Announce late.
				late := time.Duration(rng.Int64N(int64(simAnnounce / 2)))
				if rng.IntN(3) == 0 {
					late = []time.Duration{0, simAnnounce/2 - 1}[rng.IntN(2)]
				}
				time.Sleep(time.Until(n.at.Add(late)))
				s.log("told ", id)
				if err := c.SetNodes(n.list); err != nil {
					s.t.Errorf("set nodes: %v", err)
				}
			}
		})
	}
	s.publish(s.f.nodes()[:4])
	var callers sync.WaitGroup
	callers.Go(func() { s.newcomers(seed, len(feeds)) })
	for id := range feeds {
		for j := range 4 {
			rng := rand.New(rand.NewPCG(seed, uint64(100+10*id+j)))
			callers.Go(func() {
				for !s.over.Load() {
					switch {
					case j == 0 && rng.IntN(3) == 0:
						s.write(s.t.Context(), id, rng)
					case j == 1 && rng.IntN(3) == 0:
						s.writeThrough(id, rng)
					case j == 3:
						s.count(id)
					default:
						s.read(s.t.Context(), id, rng)
					}
					time.Sleep(s.delay(200 * time.Millisecond))
				}
			})
		}
	}
	list := s.f.nodes()[:4]
	slowest := []time.Duration{200 * time.Millisecond, simAnnounce, 3 * simAnnounce, 10 * time.Second}[seed%4]
	for end := time.Now().Add(60 * time.Second); changes < 25 && time.Now().Before(end); {
		time.Sleep(slowest/2 + s.delay(slowest/2))
		if s.kills && rng.IntN(3) == 0 {
			s.crash(rng, list)
		}
		s.renew(list)
		if s.moves && rng.IntN(3) == 0 {
			list = s.move(rng, list)
		} else {
			list = s.change(rng, list)
		}
		names := ""
		for _, n := range list {
			names += fmt.Sprint(" ", n.Name, "*", n.Weight, "@", n.Addr)
		}
		s.log("list", names)
		s.publish(list)
		for _, f := range feeds {
			f <- news{time.Now(), list}
		}
		changes++
	}
	for _, f := range feeds {
		close(f)
	}
	told.Wait()
	time.Sleep(2 * simAnnounce)
	s.over.Store(true)
	callers.Wait()
	return changes
}

// config is that of the process with a number.
func (s *simulation) config(seed uint64, id int, list []ring.Node) client.Config {
	return client.Config{
		Nodes: list, ReplicationFactor: 1 + int(seed/4%2), Timeout: 100 * time.Millisecond,
		Announce: simAnnounce, MigrationWindow: simWindow,
		Hooks: client.Hooks{
			TopologyChanged: func(int) { s.switches.Add(1); s.log("switched ", id) },
			NodeDown:        func(node string, cause error) { s.log(id, ": down ", node, " ", cause) },
			NodeUp:          func(node string, paid int) { s.log(id, ": up ", node, " paid ", paid) },
		},
	}
}

// count counts on a counter, where only changes that are known in time may be refused.
func (s *simulation) count(id int) {
	c := s.client(id)
	v, err := c.Increment(s.t.Context(), "counter", 1)
	switch {
	case err == nil:
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.counts[v] {
			s.t.Errorf("%v: the counter had the value %d twice; lists: %v", time.Now().Format("05.000000"), v, s.faults)
		}
		s.counts[v] = true
	case errors.Is(err, client.ErrCacheMiss):
		// A debt that was paid has deleted it everywhere. It goes on with values nobody was given.
		s.mu.Lock()
		s.lost++
		s.base += 1_000_000
		base := s.base
		s.mu.Unlock()
		_, _ = c.Add(s.t.Context(), client.Item{Key: "counter", Value: strconv.AppendUint(nil, base, 10)})
	case !errors.Is(err, client.ErrOwnerDown) && !s.kills && !s.moves:
		s.t.Errorf("increment: %v", err)
	}
}

// TestSimulatedChanges: whatever list of nodes is in force where, no acknowledged delete or
// write is undone, in anybody's eyes, and no two callers are given one count.
//
// In half of the seeds, from 32 on, nodes die and come back at other addresses. Half of the seeds, from 16 on, are left to runs with MEMHERD_KILLS, in
// which nodes crash, too: that is not always survived (DESIGN.md, "Results").
func TestSimulatedChanges(t *testing.T) {
	var reads, hits, loads, writes, restored, counted, lost, changes, switches int64
	kills := os.Getenv("MEMHERD_KILLS") != ""
	for seed := range seeds(t, 36) {
		if seed/16%2 == 1 && !kills {
			continue
		}
		synctest.Test(t, func(t *testing.T) {
			s := &simulation{t: t, seed: seed, origin: map[string]int{}, floor: map[string]int{}, counts: map[uint64]bool{}, rng: rand.New(rand.NewPCG(seed, 1))}
			s.kills = kills && seed/16%2 == 1
			s.moves = seed/32%2 == 1
			s.f = newMemFleet(t, 6, nodeserver.Config{Intercept: func(net.Addr, *memproto.Request) nodeserver.Verdict {
				return nodeserver.Verdict{Delay: s.delay(2 * time.Millisecond)}
			}})
			// Few keys meet every change; of many, some are left where they were for long.
			for i := range []int{6, 100}[seed/8%2] {
				s.keys = append(s.keys, fmt.Sprint("k", i))
			}
			for id := range 3 {
				s.join(id, s.f.client(s.config(seed, id, s.f.nodes()[:4])))
			}
			_, err := s.clients[0].Set(t.Context(), client.Item{Key: "counter", Value: []byte(strconv.Itoa(0))})
			require.NoError(t, err)
			changes += int64(s.runChanges(seed))
			for _, c := range s.all() {
				restored += int64(c.Counters().Restored)
			}
			reads, hits, loads, writes = reads+s.reads.Load(), hits+s.hits.Load(), loads+s.loads.Load(), writes+s.writes.Load()
			counted, lost, switches = counted+int64(len(s.counts)), lost+int64(s.lost), switches+s.switches.Load()
			closeFleet(t, s.f, s.all()...)
		})
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	t.Logf("%d changes, %d switches; %d reads, %d hits, %d loads, %d writes, %d copies migrated; %d counted, %d on a counter that was lost",
		changes, switches, reads, hits, loads, writes, restored, counted, lost)
	require.NotZero(t, hits)
	require.NotZero(t, writes)
	require.NotZero(t, counted)
	require.NotZero(t, restored)
}
