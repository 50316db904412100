package client_test

import (
	"bufio"
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/memproto"
	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/ring"
)

// scaled is n times the environment's MEMHERD_SCALE, at least 1.
func scaled(t testing.TB, n int) int {
	s := os.Getenv("MEMHERD_SCALE")
	if s == "" {
		return n
	}
	f, err := strconv.ParseFloat(s, 64)
	require.NoError(t, err, "MEMHERD_SCALE")
	return max(1, int(f*float64(n)))
}

// seeds are as many as scaled says, from MEMHERD_FIRST_SEED on: so long runs can be made in parts.
func seeds(t testing.TB, n int) iter.Seq[uint64] {
	first := uint64(0)
	if s := os.Getenv("MEMHERD_FIRST_SEED"); s != "" {
		var err error
		first, err = strconv.ParseUint(s, 10, 64)
		require.NoError(t, err, "MEMHERD_FIRST_SEED")
	}
	count := uint64(scaled(t, n))
	return func(yield func(uint64) bool) {
		for seed := first; seed < first+count; seed++ {
			if !yield(seed) {
				return
			}
		}
	}
}

// stage runs actors that share two nodes, one client each, and decides the order in
// which the nodes execute every single request and the origin every access: no more
// than one of them is let through at a time. It works in a bubble, where it can tell
// that everybody waits.
type stage struct {
	t       *testing.T
	fleet   *memFleet
	clients []*client.Client
	raw     map[string]*bufio.ReadWriter
	ring    *ring.Ring
	keys    int

	mu      sync.Mutex // guards what follows
	over    bool
	actors  map[string]string // by the address of a client's connection
	waiting []*turn
}

type turn struct {
	what string
	pass chan struct{}
}

func newStage(t *testing.T, clients int, p nodeserver.Profile) *stage {
	s := &stage{t: t, fleet: newMemFleet(t, 0, nodeserver.Config{Profile: p}), actors: map[string]string{}, raw: map[string]*bufio.ReadWriter{}}
	for _, name := range []string{"node0", "node1"} {
		s.fleet.names = append(s.fleet.names, name)
		s.fleet.config.Intercept = func(peer net.Addr, r *memproto.Request) nodeserver.Verdict {
			s.mu.Lock()
			actor := s.actors[peer.String()]
			s.mu.Unlock()
			if actor != "" && strings.HasPrefix(string(r.Key), "x") {
				s.wait(actor + " " + r.Cmd.String() + " " + name)
			}
			return nodeserver.Verdict{}
		}
		s.fleet.start(name)
		nc, err := s.fleet.network.DialContext(context.Background(), "", name)
		require.NoError(t, err)
		t.Cleanup(func() { nc.Close() })
		s.raw[name] = bufio.NewReadWriter(bufio.NewReader(nc), bufio.NewWriter(nc))
	}
	for i := range clients {
		c, err := client.New(client.Config{Nodes: s.fleet.nodes(), ReplicationFactor: 2,
			DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				nc, err := s.fleet.dial(ctx, network, addr)
				if err == nil {
					s.mu.Lock()
					s.actors[nc.LocalAddr().String()] = string(rune('A' + i))
					s.mu.Unlock()
				}
				return nc, err
			}})
		require.NoError(t, err)
		require.NoError(t, c.Ping(context.Background()))
		s.clients = append(s.clients, c)
	}
	s.ring = ringOf(t, ring.Config{Nodes: s.fleet.nodes()})
	t.Cleanup(s.close)
	return s
}

// close ends everything, in the middle of a schedule too.
func (s *stage) close() {
	s.mu.Lock()
	s.over = true
	for _, t := range s.waiting {
		close(t.pass)
	}
	s.waiting = nil
	s.mu.Unlock()
	for _, c := range s.clients {
		_ = c.Close()
	}
	for _, n := range s.fleet.servers {
		_ = n.Close()
	}
}

// nextKey is a key no schedule has used, with node0 as its owner: the same choices lead
// to the same schedule.
func (s *stage) nextKey() string {
	for {
		s.keys++
		if key := fmt.Sprint("x", s.keys); s.ring.Owner(key).Name == "node0" {
			return key
		}
	}
}

// wait takes a turn.
func (s *stage) wait(what string) {
	t := &turn{what, make(chan struct{})}
	s.mu.Lock()
	if s.over {
		s.mu.Unlock()
		return
	}
	s.waiting = append(s.waiting, t)
	s.mu.Unlock()
	<-t.pass
}

// play runs the actors to their ends; choose picks one of n turns. It returns the
// order in which they were taken.
func (s *stage) play(choose func(n int) int, actors ...func()) (order []string) {
	var wg sync.WaitGroup
	for _, a := range actors {
		wg.Go(a)
	}
	for {
		synctest.Wait()
		s.mu.Lock()
		if len(s.waiting) == 0 {
			s.mu.Unlock()
			break
		}
		slices.SortFunc(s.waiting, func(a, b *turn) int { return strings.Compare(a.what, b.what) })
		i := choose(len(s.waiting))
		next := s.waiting[i]
		s.waiting = slices.Delete(s.waiting, i, i+1)
		s.mu.Unlock()
		order = append(order, next.what)
		close(next.pass)
	}
	wg.Wait()
	return order
}

// send sends a line to a node, past all clients, and returns the reply's first line, or
// the data block after a VALUE line.
func (s *stage) send(node, line string) string {
	rw := s.raw[node]
	_, err := rw.WriteString(line + "\r\n")
	require.NoError(s.t, err)
	require.NoError(s.t, rw.Flush())
	reply, err := rw.ReadString('\n')
	require.NoError(s.t, err)
	if strings.HasPrefix(reply, "VALUE ") {
		reply, err = rw.ReadString('\n')
		require.NoError(s.t, err)
		end, err := rw.ReadString('\n')
		require.NoError(s.t, err)
		require.Equal(s.t, "END\r\n", end)
	}
	return strings.TrimSpace(reply)
}

// copies returns what both nodes hold: "" for a stub, END for nothing.
func (s *stage) copies(key string) []string {
	return []string{s.send("node0", "get "+key), s.send("node1", "get "+key)}
}

// every calls run with choosers that go through all schedules, depth first, or, if there
// are more than most, with random ones. It returns how many schedules were played.
func every(most int, run func(choose func(n int) int)) (played int) {
	type fork struct{ took, of int }
	var path []fork
	for played < most {
		at := 0
		run(func(n int) int {
			if at == len(path) {
				path = append(path, fork{0, n})
			}
			at++
			return path[at-1].took
		})
		played++
		for len(path) > 0 && path[len(path)-1].took+1 == path[len(path)-1].of {
			path = path[:len(path)-1]
		}
		if len(path) == 0 {
			return played
		}
		path[len(path)-1].took++
	}
	for range most {
		run(rand.IntN)
		played++
	}
	return played
}

// scene is what the actors of one schedule share.
type scene struct {
	*stage
	key    string
	origin string
}

// newScene begins a schedule with "0" at the origin and, as start says, on the copies.
func (s *stage) newScene(start string) *scene {
	c := &scene{stage: s, key: s.nextKey(), origin: "0"}
	if start != "absent" {
		require.Equal(s.t, "STORED", s.send("node0", "set "+c.key+" 1 0 1\r\n0"))
	}
	if start == "present" {
		require.Equal(s.t, "STORED", s.send("node1", "set "+c.key+" 1 0 1\r\n0"))
	}
	return c
}

// stale returns a value that a copy holds and that is not the origin's, "" if there is none.
func (s *scene) stale() string {
	for _, v := range s.copies(s.key) {
		if v != "" && v != "END" && v != s.origin {
			return v
		}
	}
	return ""
}

// reader loads key under a lease, as a loader does.
func (s *scene) reader(i int) func() {
	return func() {
		l, err := s.clients[i].Lease(context.Background(), s.key, client.LeaseOptions{})
		require.NoError(s.t, err)
		if l.State.String() != "won" {
			return
		}
		s.wait(string(rune('A'+i)) + " reads the origin")
		_, _ = s.clients[i].Fill(context.Background(), l, client.Item{Value: []byte(s.origin)})
	}
}

// putter writes through.
func (s *scene) putter(i int, value string) func() {
	return func() {
		l, err := s.clients[i].LeaseWrite(context.Background(), s.key)
		require.NoError(s.t, err)
		s.wait(string(rune('A'+i)) + " writes the origin")
		s.origin = value
		_, _ = s.clients[i].Fill(context.Background(), l, client.Item{Value: []byte(value)})
	}
}

// deleter writes around.
func (s *scene) deleter(i int, value string) func() {
	return func() {
		s.wait(string(rune('A'+i)) + " writes the origin")
		s.origin = value
		_, err := s.clients[i].Delete(context.Background(), s.key)
		require.NoError(s.t, err)
	}
}

// schedules plays the scene in every order of its single requests, from each state of
// the copies, and requires that in the end no copy holds anything but the origin's
// value.
func schedules(t *testing.T, clients, most int, actors func(s *scene) []func()) {
	for _, p := range []nodeserver.Profile{nodeserver.ProfileNewest, nodeserver.Profile15} {
		t.Run(p.String(), func(t *testing.T) { schedulesOn(t, p, clients, most/2, actors) })
	}
}

func schedulesOn(t *testing.T, p nodeserver.Profile, clients, most int, actors func(s *scene) []func()) {
	for _, start := range []string{"absent", "present", "on one copy"} {
		t.Run(start, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st := newStage(t, clients, p)
				played := every(scaled(t, most), func(choose func(n int) int) {
					s := st.newScene(start)
					order := st.play(choose, actors(s)...)
					if v := s.stale(); v != "" {
						require.Fail(t, "an older value stays", "%q and not %q, after\n%s", v, s.origin, strings.Join(order, "\n"))
					}
				})
				t.Logf("%d schedules", played)
			})
		})
	}
}

func TestRule8AllSchedulesOfTwoPuts(t *testing.T) {
	schedules(t, 2, 4000, func(s *scene) []func() { return []func(){s.putter(0, "1"), s.putter(1, "2")} })
}

func TestRule8AllSchedulesOfAPutAndALoad(t *testing.T) {
	schedules(t, 2, 4000, func(s *scene) []func() { return []func(){s.putter(0, "1"), s.reader(1)} })
}

func TestRule3AllSchedulesOfALoadAndADelete(t *testing.T) {
	schedules(t, 2, 4000, func(s *scene) []func() { return []func(){s.deleter(0, "1"), s.reader(1)} })
}

func TestRules3And8SchedulesOfThree(t *testing.T) {
	schedules(t, 3, 3000, func(s *scene) []func() {
		return []func(){s.deleter(0, "1"), s.reader(1), s.putter(2, "2")}
	})
}
