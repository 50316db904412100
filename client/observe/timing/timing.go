package timing

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/item"
)

// DefaultEvery is Config.Every if that is 0.
const DefaultEvery = 8

// Config is the set-up of a Client. Client is required.
type Config struct {
	Client *client.Client
	// Every is how many calls there are to one that is timed, chosen at random: 0 means 8, 1 times
	// each, at most 65,536. Timing costs two readings of the clock, some 60 to 100 ns, which a read
	// that a node answers hardly shows and one from the near-cache does.
	Every int
}

// Client is a client.Client, also for a loader, that times Get, GetMulti, Set, Delete, Lease,
// LeaseMulti and Fill. All methods may be called concurrently.
type Client struct {
	*client.Client
	every uint32
	ops   [opCount]histogram
}

// Op is one of the calls that are timed.
type Op uint8

// The operations, by the words that stand in metrics.
const (
	Get Op = iota
	GetMulti
	Set
	Delete
	Lease
	LeaseMulti
	Fill
	opCount
)

var opNames = [opCount]string{"get", "get_multi", "set", "delete", "lease", "lease_multi", "fill"}

func (o Op) String() string {
	if o < opCount {
		return opNames[o]
	}
	return fmt.Sprintf("Op(%d)", uint8(o))
}

// Ops are all of them.
func Ops() []Op {
	var ops []Op
	for o := range opCount {
		ops = append(ops, o)
	}
	return ops
}

// New checks cfg and returns a Client, whose Close is that of Config.Client.
func New(cfg Config) (*Client, error) {
	switch {
	case cfg.Client == nil:
		return nil, fmt.Errorf("timing: Config.Client is missing")
	case cfg.Every < 0 || cfg.Every > 1<<16:
		return nil, fmt.Errorf("timing: Config.Every is %d: use 1 to 65536, or 0 for the default", cfg.Every)
	case cfg.Every == 0:
		cfg.Every = DefaultEvery
	}
	return &Client{Client: cfg.Client, every: uint32(cfg.Every)}, nil
}

// begin is the zero time if the call is not to be timed.
func (c *Client) begin() (t time.Time) {
	if c.every == 1 || rand.Uint32N(c.every) == 0 {
		t = time.Now()
	}
	return t
}

func (c *Client) end(o Op, began time.Time) {
	if !began.IsZero() {
		c.ops[o].add(time.Since(began))
	}
}

// Latency returns what was measured of o since New. Count and Sum are estimates of all calls: what was
// timed, times Config.Every.
func (c *Client) Latency(o Op) Latency {
	if o >= opCount {
		return Latency{}
	}
	return c.ops[o].read(uint64(c.every))
}

// Get is client.Client's, as all that follow.
func (c *Client) Get(ctx context.Context, key string) (item.Item, error) {
	began := c.begin()
	it, err := c.Client.Get(ctx, key)
	c.end(Get, began)
	return it, err
}

// GetTTL is counted with Get.
func (c *Client) GetTTL(ctx context.Context, key string) (item.Item, error) {
	began := c.begin()
	it, err := c.Client.GetTTL(ctx, key)
	c.end(Get, began)
	return it, err
}

// GetMulti is one call, however many the keys.
func (c *Client) GetMulti(ctx context.Context, keys []string) (map[string]item.Item, error) {
	began := c.begin()
	found, err := c.Client.GetMulti(ctx, keys)
	c.end(GetMulti, began)
	return found, err
}

// Set is client.Client's.
func (c *Client) Set(ctx context.Context, it item.Item) (item.Outcome, error) {
	began := c.begin()
	out, err := c.Client.Set(ctx, it)
	c.end(Set, began)
	return out, err
}

// Delete is client.Client's.
func (c *Client) Delete(ctx context.Context, key string) (item.Outcome, error) {
	began := c.begin()
	out, err := c.Client.Delete(ctx, key)
	c.end(Delete, began)
	return out, err
}

// Lease is client.Client's.
func (c *Client) Lease(ctx context.Context, key string, o item.LeaseOptions) (item.Lease, error) {
	began := c.begin()
	l, err := c.Client.Lease(ctx, key, o)
	c.end(Lease, began)
	return l, err
}

// LeaseMulti is one call, however many the keys.
func (c *Client) LeaseMulti(ctx context.Context, keys []string, o item.LeaseOptions) ([]item.Lease, []error) {
	began := c.begin()
	ls, errs := c.Client.LeaseMulti(ctx, keys, o)
	c.end(LeaseMulti, began)
	return ls, errs
}

// Fill is client.Client's.
func (c *Client) Fill(ctx context.Context, l item.Lease, it item.Item) (item.Outcome, error) {
	began := c.begin()
	out, err := c.Client.Fill(ctx, l, it)
	c.end(Fill, began)
	return out, err
}
