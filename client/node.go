package client

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/memherd/memherd/client/internal/debt"
	"github.com/memherd/memherd/client/internal/health"
	"github.com/memherd/memherd/client/internal/pipe"
	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/ring"
)

// node is one server as the client sees it: its connections, its breaker, its debt.
type node struct {
	ring.Node
	c       *Client
	network string // "tcp" or "unix"

	breaker  health.Breaker
	debt     *debt.Ledger
	orphans  orphans
	slow     atomic.Bool // see steer.go
	refused  atomic.Bool // the last dial found nothing that listens
	coldness coldNode
	casClock casClock
	// life counts the epochs this client has seen of the node. Tokens (CAS values, leases)
	// are of one, and void once it is over: see epoch.go. Written under mu.
	life atomic.Uint64
	// consulted says that it has been asked for the fleet's lists.
	consulted atomic.Bool
	// keepsEpoch says that the node has a sentinel.
	keepsEpoch atomic.Bool

	// can is what the server of the newest connection said it can do, nil before the
	// first. Each connection goes by what its own said.
	can atomic.Pointer[capability]

	conns []atomic.Pointer[pipe.Conn]

	inFlight atomic.Int64 // requests under way on all connections
	asked    atomic.Int64 // requests sent of late, see spread.go
	failures atomic.Uint64

	spare bool // a gutter node, which holds other keys than the fleet's
	// missing says that it has come back and missed something: others are to know, while that bars reads.
	missing atomic.Bool
	kept    bool // some client may have stored on it; guarded by topMu

	// noSpare is until when no further connection is tried, since Client.born.
	noSpare atomic.Int64
	meeting sync.Mutex // held while a connection's sentinel is taken note of; before mu

	// mu guards what follows and is held for bookkeeping only, never across I/O.
	// Lock order: node.mu before pipe's and debt's locks.
	mu          sync.Mutex
	sentinel    string // of the life under way; empty if the node keeps none
	closed      bool
	ghosts      []ghost    // see fence.go
	fenceless   time.Time  // when a connection died whose end at the node can't be looked for
	proc        *process   // who ran at the node when it was last asked, nil if never
	downSince   time.Time  // when the breaker opened last
	foundDead   time.Time  // since when it has not answered; zero while it is down only because it has missed something (distrust)
	quarantined time.Time  // until when reads keep away after a replay
	gone, ill   error      // why it is closed; why the breaker opened last, nil if distrust opened it
	dialing     []*dialing // by connection index, nil when no dial is under way
	mending     bool       // the mender's goroutine runs
	agreement   agreement  // see agree.go
	published   published  // see publish.go
	wake        chan struct{}
	backoff     health.Backoff
	pace        health.Pace
	upSince     time.Time
	ops         uint64 // requests sent on connections that are gone
}

// dialing is one dial that any number of callers wait for.
type dialing struct {
	done chan struct{}
	conn *pipe.Conn
	err  error
}

func newNode(c *Client, rn ring.Node) *node {
	n := &node{
		Node: rn, c: c, network: "tcp",
		debt:    debt.New(c.cfg.DebtLimit),
		conns:   make([]atomic.Pointer[pipe.Conn], c.cfg.ConnsPerNode),
		dialing: make([]*dialing, c.cfg.ConnsPerNode),
		wake:    make(chan struct{}, 1),
		backoff: health.Backoff{Min: 50 * time.Millisecond, Max: probeSoon},
	}
	if strings.HasPrefix(rn.Addr, "/") {
		n.network = "unix"
	}
	// 0 is nobody's; and no two nodes have one in common, not even two of one name.
	n.life.Store(c.births.Add(1) << 32)
	return n
}

// newCall returns an empty call from the client's pool.
func (n *node) newCall() *pipe.Call { return n.c.calls.New() }

// sent is the number of requests sent to the node. The connections count them, under
// the lock they take anyway.
func (n *node) sent() uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	sum := n.ops
	for i := range n.conns {
		if k := n.conns[i].Load(); k != nil {
			sum += k.Started()
		}
	}
	return sum
}

// busy reports whether the node's cap on requests under way is reached.
func (n *node) busy() bool { return n.inFlight.Load() >= int64(n.c.cfg.MaxInFlight) }

// await waits for a dial, at most as long as ctx allows. The dial goes on without us.
func (n *node) await(ctx context.Context, d *dialing) (*pipe.Conn, error) {
	select {
	case <-d.done:
		return d.conn, d.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// dial starts a dial of connection i, or joins the one under way. It runs detached
// from its callers' contexts: whoever started it may leave while others need it.
func (n *node) dial(i int) *dialing {
	d, tooOften := n.startDial(i)
	if tooOften {
		n.dialFailed(errFlapping)
	}
	return d
}

// errFlapping is why a node that keeps losing its connections counts as down.
var errFlapping = errors.New("memherd: the node was dialled too often within a second")

func (n *node) startDial(i int) (d *dialing, tooOften bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if d := n.dialing[i]; d != nil {
		return d, false
	}
	d = &dialing{done: make(chan struct{})}
	if k := n.conns[i].Load(); k != nil && !k.Dead() {
		// Another caller's dial has just ended.
		d.conn = k
		close(d.done)
		return d, false
	}
	if !n.pace.Take(time.Now()) {
		d.err = errFlapping
		close(d.done)
		return d, true
	}
	n.dialing[i] = d
	if n.closed || !n.c.group.Go(func() { n.runDial(i, d) }) {
		n.dialing[i] = nil
		if d.err = n.gone; d.err == nil {
			d.err = item.ErrClosed
		}
		close(d.done)
	}
	return d, false
}

func (n *node) runDial(i int, d *dialing) {
	d.conn, d.err = n.connect(i)
	n.mu.Lock()
	n.dialing[i] = nil
	n.mu.Unlock()
	if d.err != nil {
		n.dialFailed(d.err)
	}
	close(d.done)
}

// dialFailed draws the conclusion from a dial that failed, or was one too many.
func (n *node) dialFailed(err error) {
	if n.connected() {
		// A node that takes no more connections is not down.
		n.noSpare.Store(int64(time.Since(n.c.born) + spareRetry))
		return
	}
	n.trip(err)
}

// connected reports whether any connection is alive.
func (n *node) connected() bool {
	for i := range n.conns {
		if k := n.conns[i].Load(); k != nil && !k.Dead() {
			return true
		}
	}
	return false
}

// connect opens connection i and installs it.
func (n *node) connect(i int) (*pipe.Conn, error) {
	ctx, cancel := context.WithTimeout(n.c.ctx, n.c.cfg.DialTimeout)
	defer cancel()
	nc, err := n.open(ctx)
	n.refused.Store(errors.Is(err, syscall.ECONNREFUSED))
	if err != nil {
		return nil, err
	}
	can, err := learn(ctx, nc)
	if err == nil && can.tier == Tier0 && n.c.cfg.Keys == AnyKeys {
		err = errAnyKeys
	}
	if err != nil {
		_ = nc.Close()
		return nil, err
	}
	sentinel, err := n.askEpoch(ctx, nc, can.tier)
	if err != nil {
		_ = nc.Close()
		return nil, err
	}
	k := pipe.New(nc, pipe.Config{
		Stamp:    n.meet(sentinel),
		Classic:  can.tier == Tier0,
		Timeout:  n.c.cfg.Timeout,
		MaxValue: n.c.cfg.MaxValueBytes + 1<<10, // other clients' values may be a little larger
		Go:       n.c.group.Go,
		Calls:    &n.c.calls,
		InFlight: &n.inFlight, MaxInFlight: n.c.cfg.MaxInFlight,
		OnDoomed: n.haunt,
		OnDead:   n.connDied,
		Owner:    n,
		Without:  n.c.without.Parts,
	})
	n.mu.Lock()
	if n.closed {
		gone := n.gone
		n.mu.Unlock()
		k.Kill(gone)
		return nil, gone
	}
	if old := n.conns[i].Load(); old != nil && !old.Dead() {
		// A probe and a caller's dial may overlap: the first to come through stays, or
		// nobody would know of it any more.
		n.mu.Unlock()
		_ = nc.Close() // nothing but the probe was sent on it
		return old, nil
	}
	if old := n.conns[i].Swap(k); old != nil {
		n.ops += old.Started()
	}
	n.mu.Unlock()
	n.learned(can)
	n.c.startMaintenance()
	return k, nil
}

// close ends the node for good, because of cause.
func (n *node) close(cause error) {
	n.mu.Lock()
	n.closed, n.gone = true, cause
	n.mu.Unlock()
	n.poke()
	n.killConns(cause)
}

// errLeft is why a node that is no longer in the fleet is closed.
var errLeft = errors.New("memherd: the node has left the fleet")

// retire closes a node that has left the fleet when the calls that chose it before are
// over: none lasts longer than a dial and a Timeout.
func (n *node) retire() {
	if !n.c.group.Go(func() {
		t := time.NewTimer(n.c.cfg.DialTimeout + n.c.cfg.Timeout)
		defer t.Stop()
		select {
		case <-t.C:
			n.close(errLeft)
		case <-n.c.ctx.Done():
			n.close(item.ErrClosed)
		}
	}) {
		n.close(item.ErrClosed)
	}
}

func (n *node) killConns(cause error) {
	for i := range n.conns {
		if k := n.conns[i].Load(); k != nil {
			k.Kill(cause)
		}
	}
}

// Status is one node as a Client sees it.
type Status struct {
	Node ring.Node
	// State is "up", "down" (nothing but probes is sent) or "mending" (writes go to
	// it, reads wait until its debt is paid).
	State string
	// InFlight is the number of requests under way, Conns of open connections.
	InFlight, Conns int
	// Tier is what the node's server can do, and Version what it calls itself, at most
	// 64 bytes: as its newest connection was told when it was opened. TierUnknown and
	// "" before the first.
	Tier    Tier
	Version string
	// Joining says that the node is in a list that is announced and not in force yet,
	// Leaving that it is in none but one that was; a node is neither most of the time.
	Joining, Leaving bool
	// Gutter says that the node is one of Config.Gutter.
	Gutter bool
	// Slow says that reads of its keys go to other copies where there are any, because
	// it takes several times as long as the others.
	Slow bool
	// PlacementDiffers says that another client of the node places keys differently: its list of
	// nodes, or ReplicationFactor, Placement, VirtualNodes or KeyTag is not ours.
	PlacementDiffers bool
	// Debt is how many keys the node still has to hear a delete of; DebtOverflow
	// that it was too many to remember.
	Debt         int
	DebtOverflow bool
	// DebtAge is for how long it has been owed anything, without a break; 0 if it is owed nothing.
	DebtAge time.Duration
	// Quarantined says that it is mending, owed nothing, and not read for the rest of
	// Config.RejoinDelay.
	Quarantined bool
	// Ops counts requests sent to the node, Failures those without a valid reply.
	Ops, Failures uint64
}

// Nodes returns the fleet, ordered by name, with the nodes that join and leave it: see
// SetNodes.
func (c *Client) Nodes() []Status {
	t := c.top.Load()
	newest := newestOf(t.placement, t.next)
	var out []Status
	add := func(p *placement, shown func(n *node) bool, s Status) {
		for i, rn := range p.ring.Nodes() {
			if n := p.nodes[i]; shown(n) {
				s.Node = rn
				out = append(out, n.status(s))
			}
		}
	}
	in := func(p *placement) func(n *node) bool {
		return func(n *node) bool { return slices.Contains(p.nodes, n) }
	}
	add(t.placement, in(newest), Status{})
	add(newest, func(n *node) bool { return !in(t.placement)(n) }, Status{Joining: true})
	seen := append(slices.Clone(t.nodes), newest.nodes...)
	leaving := func(n *node) bool {
		if slices.Contains(seen, n) {
			return false
		}
		seen = append(seen, n)
		return true
	}
	add(t.placement, func(n *node) bool { return !in(newest)(n) }, Status{Leaving: true})
	for _, p := range t.next {
		add(p, leaving, Status{Leaving: true})
	}
	for _, p := range slices.Backward(t.past) {
		if !p.left {
			add(p.placement, leaving, Status{Leaving: true})
		}
	}
	if c.gutter != nil {
		add(c.gutter, func(*node) bool { return true }, Status{Gutter: true})
	}
	slices.SortStableFunc(out, func(a, b Status) int { return strings.Compare(a.Node.Name, b.Node.Name) })
	return out
}

// status fills in what the node knows of itself.
func (n *node) status(s Status) Status {
	can := n.capability()
	s.Tier, s.Version = can.tier, can.version
	s.State, s.InFlight = n.breaker.State().String(), int(n.inFlight.Load())
	s.Slow, s.Debt, s.DebtOverflow = n.slow.Load(), n.debt.Depth(), n.debt.Overflow()
	s.DebtAge, s.Quarantined = n.debt.Age(time.Now()), n.inQuarantine()
	s.PlacementDiffers = n.disagrees()
	s.Ops, s.Failures = n.sent(), n.failures.Load()
	for j := range n.conns {
		if k := n.conns[j].Load(); k != nil && !k.Dead() {
			s.Conns++
		}
	}
	return s
}
