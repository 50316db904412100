package nodeserver

import (
	"context"
	"net"
	"strconv"
	"sync"
	"syscall"
)

// MemNetwork is a network inside the process, for tests: connections behave like TCP
// (bounded buffers, half close, reset, deadlines) and, having no sockets, work inside
// testing/synctest bubbles. Nodes can be made to crash or to hang. Its methods may be
// called from any goroutine. A bubble must use a MemNetwork made in it.
type MemNetwork struct {
	// mu guards everything below and is never held while waiting.
	mu       sync.Mutex
	nodes    map[string]*memNode
	nextPort int
}

// memNode is an address: it outlives the listener, so that Kill and Partition hold
// while nobody listens.
type memNode struct {
	listener *memListener
	conns    map[*memConn]struct{} // the dialling ends
	killed   bool
	gate     *gate
}

// NewMemNetwork returns an empty network.
func NewMemNetwork() *MemNetwork { return &MemNetwork{nodes: make(map[string]*memNode)} }

func (n *MemNetwork) node(addr string) *memNode {
	nd := n.nodes[addr]
	if nd == nil {
		nd = &memNode{conns: make(map[*memConn]struct{}), gate: newGate()}
		n.nodes[addr] = nd
	}
	return nd
}

// memAddr is an address on a MemNetwork.
type memAddr string

func (memAddr) Network() string  { return "mem" }
func (a memAddr) String() string { return string(a) }

// Listen makes addr, any string, reachable. It fails when somebody listens there.
// "host:0" gets a free port.
func (n *MemNetwork) Listen(addr string) (net.Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if host, port, err := net.SplitHostPort(addr); err == nil && port == "0" {
		n.nextPort++
		addr = net.JoinHostPort(host, strconv.Itoa(20000+n.nextPort))
	}
	nd := n.node(addr)
	if nd.listener != nil {
		return nil, opError("listen", memAddr(addr), syscall.EADDRINUSE)
	}
	nd.listener = &memListener{net: n, addr: memAddr(addr), queue: make(chan *memConn, 128), done: make(chan struct{})}
	return nd.listener, nil
}

// DialContext connects to addr; it fits wherever a net.Dialer's method does. The
// network's name is ignored. It is refused when nobody listens at addr or Kill was
// called for it, and waits for ctx while addr is partitioned.
func (n *MemNetwork) DialContext(ctx context.Context, _, addr string) (net.Conn, error) {
	n.mu.Lock()
	nd := n.node(addr)
	g := nd.gate
	n.mu.Unlock()
	if err := g.wait(ctx); err != nil {
		return nil, opError("dial", memAddr(addr), err)
	}
	if err := ctx.Err(); err != nil {
		return nil, opError("dial", memAddr(addr), err)
	}
	n.mu.Lock()
	ln := nd.listener
	if ln == nil || nd.killed {
		n.mu.Unlock()
		return nil, opError("dial", memAddr(addr), syscall.ECONNREFUSED)
	}
	n.nextPort++
	local := memAddr("mem:" + strconv.Itoa(20000+n.nextPort))
	client, server := newMemPair(local, memAddr(addr), g)
	client.onClose = func() {
		n.mu.Lock()
		delete(nd.conns, client)
		n.mu.Unlock()
	}
	nd.conns[client] = struct{}{}
	n.mu.Unlock()
	err := error(syscall.ECONNREFUSED)
	select {
	case ln.queue <- server:
		select {
		case <-ln.done: // its Close may have looked through the queue before
		default:
			return client, nil
		}
	case <-ln.done:
	case <-ctx.Done():
		err = ctx.Err()
	}
	client.Reset()
	client.Close()
	server.Close()
	return nil, opError("dial", memAddr(addr), err)
}

// Kill makes the node at addr crash as seen from outside: its connections are reset
// and new ones refused, until Revive. The Server, and what it stores, stays: Close it
// and start another for a node that comes back empty.
func (n *MemNetwork) Kill(addr string) {
	n.mu.Lock()
	nd := n.node(addr)
	nd.killed = true
	conns := make([]*memConn, 0, len(nd.conns))
	for c := range nd.conns {
		conns = append(conns, c)
	}
	n.mu.Unlock()
	for _, c := range conns {
		c.Reset()
		c.peer.Reset()
	}
}

// Revive ends Kill.
func (n *MemNetwork) Revive(addr string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.node(addr).killed = false
}

// Partition makes the node at addr hang, or ends that: nothing arrives in either
// direction, dials get no answer, and nobody is told. What is sent meanwhile arrives
// afterwards, as far as the buffers held it.
func (n *MemNetwork) Partition(addr string, on bool) {
	n.mu.Lock()
	g := n.node(addr).gate
	n.mu.Unlock()
	g.set(on)
}

// memListener is a listening address.
type memListener struct {
	net   *MemNetwork
	addr  memAddr
	queue chan *memConn
	once  sync.Once
	done  chan struct{}
}

func (l *memListener) Accept() (net.Conn, error) {
	select {
	case <-l.done:
		return nil, opError("accept", l.addr, net.ErrClosed)
	default:
	}
	select {
	case c := <-l.queue:
		return c, nil
	case <-l.done:
		return nil, opError("accept", l.addr, net.ErrClosed)
	}
}

// Close frees the address; connections nobody accepted are reset.
func (l *memListener) Close() error {
	l.once.Do(func() {
		l.net.mu.Lock()
		l.net.node(string(l.addr)).listener = nil
		l.net.mu.Unlock()
		close(l.done)
		for {
			select {
			case c := <-l.queue:
				c.Reset()
			default:
				return
			}
		}
	})
	return nil
}

func (l *memListener) Addr() net.Addr { return l.addr }

func opError(op string, addr net.Addr, err error) error {
	return &net.OpError{Op: op, Net: "mem", Addr: addr, Err: err}
}
