package client_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/nodeserver/stock"
	"github.com/memherd/memherd/ring"
)

// herd is two nodes that hold a copy of every key, whatever they are, and a way to
// look at one copy without the client.
type herd struct {
	t     *testing.T
	nodes []ring.Node
	dial  func(ctx context.Context, network, addr string) (net.Conn, error)
	// meta says that every node takes meta commands, from the client, too.
	meta bool
}

// onEveryHerd runs a test on two embedded nodes and on two real memcached processes,
// new and old, and on one of each age.
func onEveryHerd(t *testing.T, run func(t *testing.T, h *herd)) {
	for name, profiles := range map[string][]nodeserver.Profile{
		"memnode":                   {nodeserver.ProfileNewest, nodeserver.ProfileNewest},
		"memnode 1.5.22":            {nodeserver.Profile15, nodeserver.Profile15},
		"memnode 1.6.18 and 1.5.22": {nodeserver.Profile1618, nodeserver.Profile15},
	} {
		t.Run(name, func(t *testing.T) {
			f := newProfiledFleet(t, profiles...)
			run(t, &herd{t: t, nodes: f.nodes(), dial: f.dial, meta: name == "memnode"})
		})
	}
	for name, dial := range map[string]func(ctx context.Context, network, addr string) (net.Conn, error){
		"memcached": (&net.Dialer{}).DialContext, "memcached in classic words": dialClassic,
	} {
		t.Run(name, func(t *testing.T) {
			var addrs []string
			for range 2 {
				addrs = append(addrs, stock.ForTest(t).Addr())
			}
			run(t, &herd{t: t, nodes: ring.Addrs(addrs...), dial: dial, meta: name == "memcached"})
		})
	}
}

// onBothHerds runs a test on the herds whose nodes all take meta commands: an embedded
// one and one of real memcached.
func onBothHerds(t *testing.T, run func(t *testing.T, h *herd)) {
	onEveryHerd(t, func(t *testing.T, h *herd) {
		if h.meta {
			run(t, h)
		}
	})
}

// newProfiledFleet is a memFleet of one node of each profile.
func newProfiledFleet(t testing.TB, profiles ...nodeserver.Profile) *memFleet {
	f := newMemFleet(t, 0, nodeserver.Config{})
	for i, p := range profiles {
		f.config.Profile = p
		f.names = append(f.names, fmt.Sprintf("node%d", i))
		f.start(f.names[i])
	}
	return f
}

// dialClassic connects to a memcached that seems to know no meta commands: the probe
// loses its mn on the way.
func dialClassic(ctx context.Context, network, addr string) (net.Conn, error) {
	nc, err := (&net.Dialer{}).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return &withoutMeta{Conn: nc}, nil
}

type withoutMeta struct{ net.Conn }

func (c *withoutMeta) Write(p []byte) (int, error) {
	q := bytes.Replace(p, []byte("version\r\nmn\r\n"), []byte("version\r\nno\r\n"), 1)
	return c.Conn.Write(q)
}

func (h *herd) client() *client.Client {
	return newClient(h.t, client.Config{Nodes: h.nodes, ReplicationFactor: 2, DialContext: h.dial, DialTimeout: 5 * time.Second})
}

// placed returns the nodes of key, owner first.
func (h *herd) placed(key string) []ring.Node {
	r := ringOf(h.t, ring.Config{Nodes: h.nodes, Copies: 2})
	var out []ring.Node
	for _, i := range r.Lookup(key) {
		out = append(out, r.Node(i))
	}
	return out
}

// ask sends one line (and data block) to a node and returns the reply's first line
// and, after VALUE or VA, its data block.
func (h *herd) ask(n ring.Node, request string) (line, value string) {
	h.t.Helper()
	nc, err := h.dial(context.Background(), "tcp", n.Addr)
	require.NoError(h.t, err)
	defer nc.Close()
	_, err = io.WriteString(nc, request)
	require.NoError(h.t, err)
	r := bufio.NewReader(nc)
	line, err = r.ReadString('\n')
	require.NoError(h.t, err)
	line = strings.TrimRight(line, "\r\n")
	if word := strings.Fields(line); word[0] == "VALUE" || word[0] == "VA" {
		at := map[string]int{"VALUE": 3, "VA": 1}[word[0]]
		size, err := strconv.Atoi(word[at])
		require.NoError(h.t, err)
		block := make([]byte, size+2)
		_, err = io.ReadFull(r, block)
		require.NoError(h.t, err)
		value = string(block[:size])
	}
	return line, value
}

// values returns what each copy of key holds, owner first: "-" for nothing or a stub.
func (h *herd) values(key string) []string {
	h.t.Helper()
	var out []string
	for _, n := range h.placed(key) {
		line, value := h.ask(n, "get "+key+"\r\n")
		if line == "END" || line == "VALUE "+key+" 0 0" {
			value = "-"
		}
		out = append(out, value)
	}
	return out
}

// holdNo requires that no copy of key holds bad.
func (h *herd) holdNo(key, bad string) {
	h.t.Helper()
	for i, v := range h.values(key) {
		require.NotEqual(h.t, bad, v, "copy %d", i)
	}
}

// keys are a few keys, so that each node is the owner of some.
func keys(prefix string) []string {
	out := make([]string, 6)
	for i := range out {
		out[i] = fmt.Sprintf("%s:%d", prefix, i)
	}
	return out
}

func won(t *testing.T, c *client.Client, key string) client.Lease {
	t.Helper()
	l, err := c.Lease(context.Background(), key, client.LeaseOptions{})
	require.NoError(t, err)
	require.Equal(t, "won", l.State.String())
	return l
}
