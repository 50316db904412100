package client

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/memherd/memherd/client/internal/pipe"
	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/hotkey"
)

// Client talks to a fleet of memcached nodes. Make it with New. All methods may be
// called concurrently; after Close they return ErrClosed.
type Client struct {
	cfg       Config
	top       atomic.Pointer[topology]
	detector  *hotkey.Detector
	near      *hotkey.Near // nil when Config.HotKeys is nil
	nearAll   bool         // it takes every key
	group     group
	gutter    *placement // nil when Config.Gutter is empty
	calls     pipe.Pool
	multiGets sync.Pool       // of *multiGet
	ctx       context.Context // ends with Close
	cancel    context.CancelFunc
	counters  counters
	cold      cold
	reviver   reviver
	hedging   hedging
	retries   budget
	journal   journaling
	slow      atomic.Int64  // how many nodes are
	sweeping  atomic.Bool   // see sweep.go
	births    atomic.Uint64 // of nodes
	born      time.Time
	without   parts // nothing, except in the benchmark that measures what parts cost

	scattering scattering // see scatter.go

	// topMu serialises changes of the topology; it is held while a new one is built
	// and published, never across I/O. Before it: nothing. Under it: a node's mu and debt.
	topMu   sync.Mutex
	closed  bool         // guarded by topMu
	members membership   // guarded by topMu
	lists   writtenLists // see publish.go

	maintaining sync.Once
}

// parts are what a client does on every read besides reading.
type parts struct {
	pipe.Parts
	detection, stats bool
}

// New checks cfg and returns a Client. It does no I/O, unless a DebtJournal has something to pay: nodes are dialled when they
// are first needed, so an unreachable node is no error here (see Ping).
func New(cfg Config) (*Client, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &Client{
		cfg: cfg, born: time.Now(),
		hedging: hedging{budget: budget{share: hedgeShare, burst: hedgeBurst}},
		retries: budget{share: max(cfg.RetryBudget, 0), burst: retryBurst},
	}
	if cfg.RetryBudget < 0 {
		c.retries.burst = 0
	}
	c.hedging.after.Store(int64(max(cfg.HedgeAfter, 0))) // HedgeAuto has to measure first
	c.ctx, c.cancel = context.WithCancel(context.Background())
	if err := c.journal.open(c); err != nil {
		c.cancel()
		return nil, err
	}
	p, err := c.newPlacement(cfg.Nodes, nil)
	if err != nil {
		c.cancel()
		return nil, err
	}
	p.number, p.learned = firstNumber, c.born
	p.keep()
	p.seen = true
	c.members = membership{now: p, switched: c.born, numbers: firstNumber, wake: make(chan struct{}, 1)}
	if err := c.openGutter(); err != nil {
		c.cancel()
		return nil, err
	}
	t := &topology{placement: p, since: c.born}
	t.gather()
	if c.detector, err = hotkey.NewDetector(cfg.HotKeys, len(t.nodes)); err != nil {
		c.cancel()
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	if cfg.HotKeys != nil {
		hot := *cfg.HotKeys
		hot.Prefixes = slices.Clone(hot.Prefixes) // chooseScattered looks at them later
		c.cfg.HotKeys, c.nearAll = &hot, hot.NearAll
		if s := cfg.HotKeys.Scatter; s != nil {
			c.scattering.cfg, _ = s.WithDefaults() // which NewDetector has checked
		}
		for i, p := range hot.Prefixes {
			if c.CheckKey(p.Prefix) != nil {
				c.cancel()
				return nil, configError("HotKeys.Prefixes[%d].Prefix is the beginning of no key that this client takes; see Keys", i)
			}
		}
		near, err := hotkey.NewNear(cfg.HotKeys)
		if err != nil {
			c.cancel()
			return nil, err
		}
		if !near.Off() {
			c.near = near // one that holds nothing would have the hottest keys read with all that memory must know
		}
	}
	if z := cfg.ReadZone; z != "" && !slices.ContainsFunc(t.nodes, func(n *node) bool { return n.Zone == z }) {
		c.cancel()
		return nil, configError("ReadZone is %q, but no node is in that zone", z)
	}
	c.top.Store(t)
	for _, n := range t.nodes {
		c.journal.adopt(n, false)
	}
	return c, nil
}

// Close ends every connection and waits for all goroutines the client started. Calls
// under way fail with ErrClosed. Debt that was not paid is lost with the client, unless there
// is a DebtJournal, whose failure to take the last of it is Close's only error; it is
// bounded by the items' TTL. What a call under way comes to owe is in the journal when that
// returns: close the journal after the last of them. Closing twice is harmless.
func (c *Client) Close() error {
	c.topMu.Lock()
	already := c.closed
	c.closed = true
	c.topMu.Unlock()
	if already {
		c.group.wait()
		return nil
	}
	c.cancel()
	c.group.close()
	for _, n := range c.everyone() {
		n.close(item.ErrClosed)
	}
	c.group.wait()
	c.near.DropAll()
	return c.journal.flush()
}

// start makes sure that the maintenance goroutine runs; called when the first
// connection is made, so that New starts nothing.
func (c *Client) startMaintenance() {
	c.maintaining.Do(func() { c.group.Go(c.maintain) })
}

// check refuses a call before anything else happens: a closed client, a context that
// has ended, a malformed key.
func (c *Client) check(ctx context.Context, op, key string) error {
	if err := c.CheckKey(key); err != nil {
		return &item.Error{Op: op, Sent: item.NotSent, Err: err}
	}
	return c.checkCall(ctx, op)
}

// checkLease is check for a call that gives a lease back or makes up for it even if ctx has ended.
func (c *Client) checkLease(ctx context.Context, op, key string) error {
	if ctx != nil {
		ctx = context.Background()
	}
	return c.check(ctx, op, key)
}

func (c *Client) checkCall(ctx context.Context, op string) error {
	if ctx == nil {
		return &item.Error{Op: op, Sent: item.NotSent, Err: item.ErrNilContext}
	}
	if err := ctx.Err(); err != nil {
		return &item.Error{Op: op, Sent: item.NotSent, Err: err}
	}
	if c.ctx.Err() != nil {
		return &item.Error{Op: op, Sent: item.NotSent, Err: item.ErrClosed}
	}
	return nil
}

// replayPause is when a key owed after a connection died with writes unanswered is
// deleted a second time: what was left in the dead connection's buffers has been
// executed by then (consistency rule 13).
func (c *Client) replayPause() time.Duration { return 2 * c.cfg.Timeout }
