package client_test

import (
	"context"
	"fmt"
	"net"
	"slices"
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
	"github.com/memherd/memherd/ring"
)

// logged is a fleet whose nodes write down what they are asked.
type logged struct {
	*memFleet
	mu   sync.Mutex // guards seen
	seen []string   // "node0 md key"
	// verdict, if set, decides what happens to a command of a node.
	verdict atomic.Pointer[func(node string, r *memproto.Request) nodeserver.Verdict]
}

func newLogged(t *testing.T, n int) *logged {
	l := &logged{memFleet: newMemFleet(t, 0, nodeserver.Config{})}
	for i := range n {
		name := "node" + string(rune('0'+i))
		l.names = append(l.names, name)
		l.config.Intercept = l.noting(name)
		l.start(name)
	}
	return l
}

// noting is what a node of that name does with a command.
func (l *logged) noting(name string) func(net.Addr, *memproto.Request) nodeserver.Verdict {
	return func(_ net.Addr, r *memproto.Request) nodeserver.Verdict {
		if ofEpoch(r) {
			return nodeserver.Verdict{}
		}
		l.mu.Lock()
		l.seen = append(l.seen, name+" "+r.Cmd.String()+" "+string(r.Key))
		l.mu.Unlock()
		if f := l.verdict.Load(); f != nil {
			return (*f)(name, r)
		}
		return nodeserver.Verdict{}
	}
}

// restart is that of a fleet, of a node that goes on writing down what it is asked under its own name.
func (l *logged) restart(name string) {
	l.config.Intercept = l.noting(name)
	l.memFleet.restart(name)
}

// renew has the node's process be another, without memory, that c has met by then. It is for bubbles.
func (l *logged) renew(t *testing.T, c *client.Client, name string) {
	l.kill(name)
	l.restart(name)
	time.Sleep(3 * time.Second)
	require.NoError(t, c.Ping(t.Context()))
}

// ofEpoch reports whether r is about a node's sentinel: every connection asks for it.
func ofEpoch(r *memproto.Request) bool {
	return strings.HasPrefix(string(r.Key), client.DefaultEpochKey)
}

// take returns what was asked since the last take, without pings.
func (l *logged) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []string
	for _, s := range l.seen {
		if !strings.Contains(s, " mn ") {
			out = append(out, s)
		}
	}
	l.seen = nil
	return out
}

func (l *logged) decide(f func(node string, r *memproto.Request) nodeserver.Verdict) {
	l.verdict.Store(&f)
}

// placed returns the names of key's nodes, owner first.
func (l *logged) placed(copies int, key string) []string {
	r := ringOf(l.t, ring.Config{Nodes: l.nodes(), Copies: copies})
	var out []string
	for _, i := range r.Lookup(key) {
		out = append(out, r.Node(i).Name)
	}
	return out
}

// keyOn is a key with a copy on each of these nodes, the owner first.
func (l *logged) keyOn(nodes ...string) string {
	for i := 0; ; i++ {
		if key := fmt.Sprint("k", i); slices.Equal(l.placed(len(nodes), key), nodes) {
			return key
		}
	}
}

// closeAll ends everything before a synctest bubble does.
func (l *logged) closeAll(cs ...*client.Client) {
	for _, c := range cs {
		require.NoError(l.t, c.Close())
	}
	for _, s := range l.servers {
		require.NoError(l.t, s.Close())
	}
}

func TestRule2DeletesReachTheOwnerLast(t *testing.T) {
	l := newLogged(t, 3)
	c := l.client(client.Config{ReplicationFactor: 3})
	for _, key := range keys("order") {
		set(t, c, key, "v")
		l.take()
		_, err := c.Delete(context.Background(), key)
		require.NoError(t, err)
		seen := l.take()
		require.Len(t, seen, 3)
		require.Equal(t, l.placed(3, key)[0]+" md "+key, seen[2])
	}
	all := keys("many")
	_, err := c.DeleteMulti(context.Background(), all)
	require.NoError(t, err)
	left := map[string]int{}
	for _, s := range l.take() {
		node, key, _ := strings.Cut(s, " md ")
		left[key]++
		require.Equal(t, left[key] == 3, node == l.placed(3, key)[0], "the owner of a key comes third")
	}
}

// The owner's turn does not come while another copy's answer is due: a delete whose
// caller left is finished by the mender, in the right order.
func TestRule2ACancelledDeleteKeepsTheOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogged(t, 2)
		c := l.client(client.Config{ReplicationFactor: 2, Timeout: time.Second})
		key := "k"
		set(t, c, key, "v")
		owner, other := l.placed(2, key)[0], l.placed(2, key)[1]
		l.take()
		l.decide(func(node string, r *memproto.Request) nodeserver.Verdict {
			if node == other && r.Cmd == memproto.CmdMetaDelete {
				return nodeserver.Verdict{Delay: 200 * time.Millisecond}
			}
			return nodeserver.Verdict{}
		})
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		out, err := c.Delete(ctx, key)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 2, out.Owed)
		_, err = c.Get(t.Context(), key)
		require.ErrorIs(t, err, client.ErrCacheMiss, "what is owed is not read")
		time.Sleep(2 * time.Second)
		seen := l.take()
		require.Equal(t, other+" md "+key, seen[0])
		at := map[string]int{}
		for i, s := range seen {
			if _, ok := at[s]; !ok {
				at[s] = i
			}
		}
		require.Contains(t, at, owner+" md "+key, "the owner heard it in the end")
		for _, n := range c.Nodes() {
			require.Zero(t, n.Debt)
		}
		l.closeAll(c)
	})
}

// An abandoned write keeps its slot and its late reply is its outcome: until it is in,
// the copy is not read, and afterwards nothing is owed.
func TestRule7AnAbandonedWriteIsNotReadAndNotOwed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogged(t, 1)
		c := l.client(client.Config{Timeout: time.Second})
		set(t, c, "k", "old")
		l.decide(func(_ string, r *memproto.Request) nodeserver.Verdict {
			if r.Cmd == memproto.CmdMetaSet {
				return nodeserver.Verdict{Delay: 200 * time.Millisecond}
			}
			return nodeserver.Verdict{}
		})
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_, err := c.Set(ctx, client.Item{Key: "k", Value: []byte("new")})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.False(t, client.SafeToRetry(err))
		_, err = c.Get(t.Context(), "k")
		require.ErrorIs(t, err, client.ErrCacheMiss, "a write is under way there")
		time.Sleep(300 * time.Millisecond)
		require.Equal(t, "new", get(t, c, "k"))
		require.Zero(t, c.Nodes()[0].Debt)
		l.closeAll(c)
	})
}

// If the connection dies first, the abandoned write is debt: a delete, paid once the node
// has done with the dead connection, in whose buffers the write may still lie.
func TestRule7AnAbandonedWriteOfADeadConnectionIsOwed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogged(t, 2)
		c := l.client(client.Config{ReplicationFactor: 2, Timeout: time.Second})
		key := "k"
		set(t, c, key, "old")
		owner := l.placed(2, key)[0]
		l.decide(func(node string, r *memproto.Request) nodeserver.Verdict {
			if r.Cmd == memproto.CmdMetaSet && node == owner {
				return nodeserver.Verdict{Delay: 200 * time.Millisecond, Drop: true}
			}
			return nodeserver.Verdict{}
		})
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_, err := c.Set(ctx, client.Item{Key: key, Value: []byte("new")})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, "new", get(t, c, key), "from the copy that took it")
		l.take()
		time.Sleep(5 * time.Second)
		deletes := 0
		for _, s := range l.take() {
			if s == owner+" md "+key {
				deletes++
			}
		}
		require.Equal(t, 1, deletes)
		_, err = c.Get(t.Context(), key)
		require.ErrorIs(t, err, client.ErrCacheMiss)
		l.closeAll(c)
	})
}

func TestRule9SetGoesToAllCopies(t *testing.T) {
	onEveryHerd(t, func(t *testing.T, h *herd) {
		c := h.client()
		for _, key := range keys("all") {
			set(t, c, key, "v")
			require.Equal(t, []string{"v", "v"}, h.values(key))
		}
	})
}

func TestRule10ReadModifyWriteRunsOnTheOwnerAlone(t *testing.T) {
	onEveryHerd(t, func(t *testing.T, h *herd) {
		c := h.client()
		ctx := context.Background()
		for _, key := range keys("rmw") {
			set(t, c, key, "5")
			n, err := c.Increment(ctx, key, 2)
			require.NoError(t, err)
			require.EqualValues(t, 7, n)
			require.Equal(t, []string{"7", "-"}, h.values(key), "the other copy is deleted, not changed")
			set(t, c, key, "x")
			_, err = c.Append(ctx, client.Item{Key: key, Value: []byte("y")})
			require.NoError(t, err)
			require.Equal(t, []string{"xy", "-"}, h.values(key))
		}
	})
}

// With the owner away nothing is sent at all: two owners would grant one lock twice.
func TestRule10OwnerDown(t *testing.T) {
	l := newLogged(t, 2)
	c := l.client(client.Config{ReplicationFactor: 2})
	ctx := context.Background()
	key := "lock"
	set(t, c, key, "v")
	l.kill(l.placed(2, key)[0])
	require.Eventually(t, func() bool {
		_, err := c.Set(ctx, client.Item{Key: key, Value: []byte("v")})
		require.NoError(t, err)
		for _, n := range c.Nodes() {
			if n.State == "down" {
				return true
			}
		}
		return false
	}, 20*time.Second, time.Millisecond)
	l.take()
	for name, call := range map[string]func() error{
		"add":       func() error { _, err := c.Add(ctx, client.Item{Key: key}); return err },
		"increment": func() error { _, err := c.Increment(ctx, key, 1); return err },
		"gets":      func() error { _, err := c.Gets(ctx, key); return err },
	} {
		err := call()
		require.ErrorIs(t, err, client.ErrOwnerDown, name)
		require.True(t, client.SafeToRetry(err), name)
	}
	require.Empty(t, l.take(), "nothing was sent, to no copy")
	require.Equal(t, "v", get(t, c, key), "reads go on")
}

// A read-modify-write whose reply is lost is never sent again.
func TestRule10NothingIsResent(t *testing.T) {
	l := newLogged(t, 1)
	c := l.client(client.Config{})
	set(t, c, "n", "0")
	l.decide(func(_ string, r *memproto.Request) nodeserver.Verdict {
		return nodeserver.Verdict{DropAfter: r.Cmd == memproto.CmdMetaArith}
	})
	_, err := c.Increment(context.Background(), "n", 1)
	require.ErrorIs(t, err, client.ErrConnLost)
	require.False(t, client.SafeToRetry(err))
	require.Equal(t, "1", get(t, c, "n"))
}

// A value the node refuses takes the old one away; the client says so, and so do the
// copies. 255 neighbours in the same pipeline are not touched (rule 18).
func TestRule11And18ARefusedSetFailsItselfOnly(t *testing.T) {
	onEveryHerd(t, func(t *testing.T, h *herd) {
		c := newClient(t, client.Config{Nodes: h.nodes, DialContext: h.dial, ReplicationFactor: 2, MaxValueBytes: 4 << 20, Timeout: 10 * time.Second,
			Hooks: client.Hooks{ConnLost: func(_ string, cause error) {
				if cause != client.ErrClosed {
					t.Errorf("a connection was lost: %v", cause)
				}
			}}})
		set(t, c, "big", "old")
		var wg sync.WaitGroup
		for range 255 {
			wg.Go(func() {
				_, err := c.Set(context.Background(), client.Item{Key: "small", Value: []byte("v")})
				if err != nil {
					t.Errorf("a neighbour failed: %v", err)
				}
			})
		}
		_, err := c.Set(context.Background(), client.Item{Key: "big", Value: make([]byte, 2<<20)})
		require.ErrorIs(t, err, client.ErrTooLarge)
		wg.Wait()
		_, err = c.Get(context.Background(), "big")
		require.ErrorIs(t, err, client.ErrCacheMiss)
		require.Equal(t, []string{"-", "-"}, h.values("big"))
		require.Equal(t, "v", get(t, c, "small"))
	})
}

// A copy with a write of this client under way, whose caller has left, is not read: on another
// connection the read would overtake the write.
func TestRule7ACopyWithAWriteUnderWayIsNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogged(t, 2)
		c := l.client(client.Config{ReplicationFactor: 2, Timeout: 2 * time.Second})
		set(t, c, "k", "old")
		owner, other := l.placed(2, "k")[0], l.placed(2, "k")[1]
		l.decide(func(node string, r *memproto.Request) nodeserver.Verdict {
			if r.Cmd == memproto.CmdMetaSet && node == owner {
				return nodeserver.Verdict{Delay: time.Second}
			}
			return nodeserver.Verdict{}
		})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		out, err := c.Set(ctx, client.Item{Key: "k", Value: []byte("new")})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 1, out.Confirmed)
		l.take()
		read := map[string]func() string{
			"Get": func() string { return get(t, c, "k") },
			"GetMulti": func() string {
				many, err := c.GetMulti(t.Context(), []string{"k"})
				require.NoError(t, err)
				return string(many["k"].Value)
			},
			"Lease": func() string {
				lease, err := c.Lease(t.Context(), "k", client.LeaseOptions{})
				require.NoError(t, err)
				return string(lease.Item.Value)
			},
		}
		for name, f := range read {
			require.Equal(t, "new", f(), name)
			require.Equal(t, []string{other + " mg k"}, l.take(), name)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		l.take()
		require.Equal(t, "new", get(t, c, "k"))
		require.Equal(t, []string{owner + " mg k"}, l.take(), "its outcome is known")
		l.closeAll(c)
	})
}
