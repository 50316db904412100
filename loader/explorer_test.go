package loader_test

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/memproto"
	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/ring"
)

// explorer plays schedules: two processes, a client and a loader each, over two nodes that
// hold a copy each of every key. It decides the order in which the nodes execute every
// request and the origin every access: no more than one of them is let through at a time.
// It works in a bubble, where it can tell that everybody waits.
type explorer struct {
	t         testing.TB
	network   *nodeserver.MemNetwork
	servers   [2]*nodeserver.Server
	raw       [2]*bufio.ReadWriter // past all clients
	clients   [2]*client.Client
	processes [2]*loader.Loader[string]
	ring      *ring.Ring
	keys      int
	ctx       context.Context

	mu      sync.Mutex // guards what follows
	free    bool       // nobody takes turns: between two schedules
	lives   [2]int     // of the nodes
	actors  map[string]string
	waiting []*turn
	running int // actors
	origin  map[string]string
}

// turn is somebody who waits.
type turn struct {
	what  string
	node  int // that executes it, -1 for the origin and restarts
	after int // so many others, unless there are none
	pass  chan struct{}
}

func nodeName(i int) string { return fmt.Sprint("node", i) }
func nodeAddr(i int) string { return nodeName(i) + ":1" }

// careless changes what a loader's cache is, to plant a bug.
type careless func(c *client.Client) loader.Cache

func newExplorer(t testing.TB, plant careless) *explorer {
	x := &explorer{t: t, network: nodeserver.NewMemNetwork(), free: true, actors: map[string]string{}, origin: map[string]string{}, ctx: context.Background()}
	var nodes []ring.Node
	for i := range x.servers {
		x.start(i)
		nodes = append(nodes, ring.Node{Name: nodeName(i), Addr: nodeAddr(i)})
	}
	for i := range x.processes {
		who := string(rune('A' + i))
		c, err := client.New(client.Config{Nodes: nodes, ReplicationFactor: 2, Timeout: time.Minute,
			DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				nc, err := x.network.DialContext(ctx, network, addr)
				if err == nil {
					x.mu.Lock()
					x.actors[nc.LocalAddr().String()] = who
					x.mu.Unlock()
				}
				return nc, err
			}})
		require.NoError(t, err)
		require.NoError(t, c.Ping(x.ctx))
		var cache loader.Cache = c
		if plant != nil {
			cache = plant(c)
		}
		x.clients[i] = c
		x.processes[i], err = loader.New(cache, loader.Config[string]{
			Codec: loader.String{},
			Load: func(_ context.Context, key string) (string, error) {
				x.wait(who+" reads the origin", -1)
				return x.row(key), nil
			},
			Store: func(_ context.Context, key, v string) error {
				x.write(who, key, v)
				return nil
			},
		})
		require.NoError(t, err)
	}
	var err error
	x.ring, err = ring.New(ring.Config{Nodes: nodes})
	require.NoError(t, err)
	return x
}

// start starts a node, in its next life.
func (x *explorer) start(i int) {
	x.mu.Lock()
	x.lives[i]++
	life := x.lives[i]
	x.mu.Unlock()
	var err error
	x.servers[i], err = nodeserver.Start(nodeserver.Config{Network: x.network, Addr: nodeAddr(i), Intercept: func(peer net.Addr, r *memproto.Request) nodeserver.Verdict {
		if !strings.HasPrefix(string(r.Key), "x") {
			return nodeserver.Verdict{}
		}
		x.mu.Lock()
		who := x.actors[peer.String()]
		x.mu.Unlock()
		x.wait(who+" "+r.Cmd.String()+" "+nodeName(i), i)
		x.mu.Lock()
		defer x.mu.Unlock()
		return nodeserver.Verdict{Drop: x.lives[i] != life} // it died while the request lay there
	}})
	require.NoError(x.t, err)
	nc, err := x.network.DialContext(x.ctx, "", nodeAddr(i))
	require.NoError(x.t, err)
	x.raw[i] = bufio.NewReadWriter(bufio.NewReader(nc), bufio.NewWriter(nc))
}

// at sends a meta command to a node and returns the value in its reply, if there is one.
func (x *explorer) at(i int, command string) string {
	_, err := x.raw[i].WriteString(command + "\r\n")
	require.NoError(x.t, err)
	require.NoError(x.t, x.raw[i].Flush())
	head, err := x.raw[i].ReadString('\n')
	require.NoError(x.t, err)
	var size int
	if n, _ := fmt.Sscanf(head, "VA %d", &size); n == 0 {
		return ""
	}
	value := make([]byte, size+2)
	_, err = io.ReadFull(x.raw[i], value)
	require.NoError(x.t, err)
	return string(value[:size])
}

// restart is an actor that kills a node, after so many turns of others as it draws, and
// starts it anew, empty, after some more: with turns of its own like the others' it would
// nearly always be among the first.
func (x *explorer) restart(i int) func() {
	dies := rand.IntN(14)
	back := dies + rand.IntN(6)
	return func() { x.reborn(i, dies, back) }
}

func (x *explorer) reborn(i, dies, back int) {
	x.waitUntil(dies, nodeName(i)+" dies", -1)
	x.network.Kill(nodeAddr(i))
	x.mu.Lock()
	x.lives[i]++
	x.waiting = slices.DeleteFunc(x.waiting, func(t *turn) bool {
		if t.node == i {
			close(t.pass)
		}
		return t.node == i
	})
	x.mu.Unlock()
	_ = x.servers[i].Close()
	x.waitUntil(back, nodeName(i)+" comes back", -1)
	x.network.Revive(nodeAddr(i))
	x.start(i)
}

// close ends everything, in the middle of a schedule too.
func (x *explorer) close() {
	x.release()
	for i := range x.processes {
		_ = x.processes[i].Close()
		_ = x.clients[i].Close()
	}
	for _, s := range x.servers {
		_ = s.Close()
	}
}

// release ends the taking of turns.
func (x *explorer) release() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.free = true
	for _, t := range x.waiting {
		close(t.pass)
	}
	x.waiting = nil
}

// wait takes a turn.
func (x *explorer) wait(what string, node int) { x.waitUntil(0, what, node) }

func (x *explorer) waitUntil(after int, what string, node int) {
	x.mu.Lock()
	if x.free {
		x.mu.Unlock()
		return
	}
	t := &turn{what, node, after, make(chan struct{})}
	x.waiting = append(x.waiting, t)
	x.mu.Unlock()
	<-t.pass
}

func (x *explorer) row(key string) string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.origin[key]
}

func (x *explorer) write(who, key, v string) {
	x.wait(who+" writes the origin", -1)
	x.mu.Lock()
	defer x.mu.Unlock()
	x.origin[key] = v
}

// choosing picks one of n turns.
type choosing func(n int) int

// play runs the actors to their ends and returns the order in which they took turns.
func (x *explorer) play(choose choosing, actors []func()) (order []string) {
	x.mu.Lock()
	x.free, x.running = false, len(actors)
	x.mu.Unlock()
	for _, a := range actors {
		go func() {
			a()
			x.mu.Lock()
			defer x.mu.Unlock()
			x.running--
		}()
	}
	for {
		synctest.Wait()
		x.mu.Lock()
		if len(x.waiting) == 0 {
			running := x.running
			x.mu.Unlock()
			if running == 0 {
				break
			}
			time.Sleep(10 * time.Millisecond) // somebody waits for time to pass
			continue
		}
		slices.SortFunc(x.waiting, func(a, b *turn) int { return cmp.Or(cmp.Compare(a.after, b.after), strings.Compare(a.what, b.what)) })
		ripe := slices.IndexFunc(x.waiting, func(t *turn) bool { return t.after > len(order) })
		if ripe <= 0 { // all, or none
			ripe = len(x.waiting)
		}
		i := choose(ripe)
		next := x.waiting[i]
		x.waiting = slices.Delete(x.waiting, i, i+1)
		x.mu.Unlock()
		order = append(order, next.what)
		close(next.pass)
	}
	x.release()
	return order
}

// nextKey is a key no schedule has used, with node0 as its owner: the same choices lead to
// the same schedule.
func (x *explorer) nextKey() string {
	for {
		x.keys++
		if key := fmt.Sprint("x", x.keys); x.ring.Owner(key).Name == nodeName(0) {
			return key
		}
	}
}

// settle waits until both clients read from both nodes and owe nothing, and what
// restores copies behind them has had its time.
func (x *explorer) settle() {
	for _, c := range x.clients {
		for slices.ContainsFunc(c.Nodes(), func(s client.Status) bool { return s.State != "up" || s.Debt > 0 }) {
			time.Sleep(20 * time.Millisecond)
		}
	}
	time.Sleep(3 * time.Second)
}

// every calls run with choosers that go through all schedules, depth first, but not more
// than most.
func every(most int, run func(choosing)) {
	type fork struct{ took, of int }
	var path []fork
	for range most {
		at := 0
		run(func(n int) int {
			if at == len(path) {
				path = append(path, fork{0, n})
			}
			at++
			return min(path[at-1].took, n-1)
		})
		path = path[:at]
		for len(path) > 0 && path[len(path)-1].took+1 >= path[len(path)-1].of {
			path = path[:len(path)-1]
		}
		if len(path) == 0 {
			return
		}
		path[len(path)-1].took++
	}
}

// some calls run with choosers that pick at random.
func some(n int, seed uint64, run func(choosing)) {
	rng := rand.New(rand.NewPCG(seed, 0x5ced))
	for range n {
		run(rng.IntN)
	}
}
