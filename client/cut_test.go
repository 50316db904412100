package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/memproto"
	"github.com/memherd/memherd/nodeserver"
)

// knife does one thing to what a node sends, after so many bytes of it.
type knife struct {
	mu    sync.Mutex // guards what follows
	fault string     // "" for nothing
	at    int
	got   []byte // what has passed since it was drawn
}

// draw makes the knife ready; "" puts it away. It returns what has passed since the
// last time.
func (k *knife) draw(fault string, at int) []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	got := k.got
	k.fault, k.at, k.got = fault, at, nil
	return got
}

// cuttable is a client's end of a connection that a knife cuts.
type cuttable struct {
	net.Conn
	k *knife
	// Only the reader touches what follows.
	buf    []byte
	broken error  // what every further read comes to
	silent bool   // nothing arrives any more
	later  []byte // what goes before the bytes that arrive next
}

func (c *cuttable) Read(p []byte) (int, error) {
	for len(c.buf) == 0 {
		if c.cut() {
			continue
		}
		if c.broken != nil {
			c.Conn.Close()
			return 0, c.broken
		}
		in := make([]byte, 4096)
		n, err := c.Conn.Read(in)
		if err != nil {
			return 0, err
		}
		if !c.silent {
			c.take(in[:n])
		}
	}
	n := copy(p, c.buf)
	c.buf = c.buf[n:]
	return n, nil
}

// cut does what is due when at bytes have passed: true if there is more to read now.
func (c *cuttable) cut() bool {
	c.k.mu.Lock()
	defer c.k.mu.Unlock()
	if c.k.fault == "" || len(c.k.got) < c.k.at || strings.HasPrefix(c.k.fault, "twice") {
		return false
	}
	fault := c.k.fault
	c.k.fault = ""
	switch fault {
	case "close":
		c.broken = io.EOF
	case "reset":
		c.broken = syscall.ECONNRESET
	case "stall":
		c.silent = true
	case "garbage":
		c.buf = []byte("#")
	}
	return len(c.buf) > 0
}

// take lets bytes pass, as many as may before the cut.
func (c *cuttable) take(in []byte) {
	c.k.mu.Lock()
	defer c.k.mu.Unlock()
	c.buf = append(append(c.buf, c.later...), in...)
	c.later = nil
	if c.k.fault == "" {
		return
	}
	room := c.k.at - len(c.k.got)
	c.k.got = append(c.k.got, in...)
	switch {
	case c.k.fault == "twice":
		c.buf = append(c.buf, in[:min(len(in), c.k.at)]...)
		c.k.fault = ""
	case c.k.fault == "twice, later":
		// When another caller's reply is due: only its opaque token tells.
		c.later = bytes.Clone(in[:min(len(in), c.k.at)])
		c.k.fault = ""
	case len(in) <= room:
	case c.k.fault == "garbage":
		c.buf = slices.Insert(c.buf, len(c.buf)-len(in)+room, '#')
		c.k.fault = ""
	default:
		c.buf = c.buf[:len(c.buf)-len(in)+room]
		c.k.got = c.k.got[:c.k.at]
	}
}

// once are the operations that must not reach a node twice, whatever happens.
var once = []string{
	"Set", "Add", "Replace", "Append", "Prepend", "CompareAndSwap", "Increment", "Decrement", "Count",
	"Fill", "Fill after LeaseWrite",
}

// Every operation of a client, on a key that is there and on one that is not, and its
// replies cut at every byte in every way: nobody gets a wrong value or is told of a
// write that has not happened, nothing runs twice, every call ends, and the client is
// well again afterwards.
func TestEveryOperationCutAtEveryByte(t *testing.T) {
	step := 10 / scaled(t, 10)
	for _, fault := range []string{"close", "reset", "stall", "garbage", "twice", "twice, later"} {
		t.Run(fault, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newCutRig(t)
				cells := 0
				for _, name := range slices.Sorted(maps.Keys(r.w.ops(r.c, t.Context(), "k1", "n1"))) {
					for _, there := range []bool{true, false} {
						length := len(r.run(name, there, "none", 1<<20))
						require.Positive(t, length, name)
						for at := 0; at <= length; at += step {
							r.run(name, there, fault, at)
							cells++
						}
					}
				}
				r.close()
				t.Logf("%d cells", cells)
				require.Greater(t, cells*step, 1500)
			})
		})
	}
}

// cutRig is a client of one node behind a knife.
type cutRig struct {
	t *testing.T
	w *witness
	f *memFleet
	c *client.Client
	k knife
}

func newCutRig(t *testing.T) *cutRig {
	r := &cutRig{t: t, w: newWitness(t)}
	r.f = newMemFleet(t, 1, nodeserver.Config{Intercept: r.w.intercept(func(*memproto.Request) nodeserver.Verdict {
		return nodeserver.Verdict{}
	})})
	var err error
	r.c, err = client.New(client.Config{Nodes: r.f.nodes(), RejoinDelay: client.NoRejoinDelay, DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := r.f.dial(ctx, network, addr)
		return &cuttable{Conn: nc, k: &r.k}, err
	}})
	require.NoError(t, err)
	return r
}

// run runs an operation under the knife and returns what passed of its replies.
func (r *cutRig) run(name string, there bool, fault string, at int) []byte {
	ctx := r.t.Context()
	where := fmt.Sprintf("%s of %s (there: %t) after %d bytes", fault, name, there, at)
	ops := r.w.ops(r.c, ctx, "k1", "n1")
	require.NoError(r.t, ops["DeleteMulti"](), where)
	if there {
		require.NoError(r.t, ops["Set"](), where)
		require.NoError(r.t, ops["Count"](), where)
	}
	r.k.draw(fault, at)
	start := time.Now()
	err := ops[name]()
	got := r.k.draw("", 0)
	// Two requests one after the other, each of them tried twice.
	require.LessOrEqual(r.t, time.Since(start), 4*client.DefaultTimeout, where)
	if fault == "none" && err != nil {
		require.True(r.t, expected(err), "%s: %v", where, err)
	}
	// The next caller may find the connection out of step, and is never told what is
	// another's.
	for _, next := range []string{"Get", "Gets"} {
		_ = ops[next]()
	}
	time.Sleep(2*time.Second + 137*time.Millisecond) // and not at a moment when idle connections are pinged
	synctest.Wait()
	for _, next := range []string{"Get", "Gets"} {
		if err := ops[next](); !errors.Is(err, client.ErrCacheMiss) {
			require.NoError(r.t, err, where)
		}
	}
	n := r.c.Nodes()[0]
	require.Equal(r.t, "up", n.State, where)
	require.Zero(r.t, n.InFlight, where)
	require.Zero(r.t, n.Debt, where)
	require.False(r.t, r.t.Failed(), where)
	return got
}

func (r *cutRig) close() {
	r.w.verdict()
	for n, op := range r.w.told {
		if slices.Contains(once, op) {
			require.LessOrEqual(r.t, r.w.seen[n], 1, "%s %d ran twice", op, n)
		}
	}
	require.NoError(r.t, r.c.Close())
	require.NoError(r.t, r.f.servers["node0"].Close())
}
