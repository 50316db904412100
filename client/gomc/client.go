package gomc

import (
	"context"
	"fmt"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/ring"
)

// Config is the set-up of a Client. Only Client.Nodes is required.
type Config struct {
	// Client is the set-up of the client underneath. gomemcache's Timeout is its Timeout,
	// 250 ms if 0; DialContext is its DialContext; MaxIdleConns has no counterpart, because
	// all callers share ConnsPerNode connections to a node.
	Client client.Config
	// NoTokens is for programs that never call CompareAndSwap: Get and GetMulti then don't ask
	// for CAS values, and can be served by the near-cache, by a copy in the own zone, and by
	// the faster of two copies, as Client has it. Item.CasID is 0, and
	// CompareAndSwap of such an item is ErrCASConflict. false has every read ask a node,
	// because a value from memory has no token, and a loop of Get and
	// CompareAndSwap on a hot key would never end.
	NoTokens bool
}

// Client has the methods of gomemcache's *memcache.Client, with the same arguments and results,
// over a memherd client. Outcomes are gomemcache's own errors, so that == works on them; failures are
// those of package client. All methods may be called concurrently, as there.
// Make one with New or NewServers. DIFFERENCES.md beside this file lists what is not as
// gomemcache has it.
type Client struct {
	c        *client.Client
	noTokens bool
	near     bool // there may be a near-cache, whose values are not to be written to
	lives    lives
}

// New checks cfg and returns a Client. It does no I/O: see Ping. Errors are those of client.New.
func New(cfg Config) (*Client, error) {
	c, err := client.New(cfg.Client)
	if err != nil {
		return nil, err
	}
	return &Client{c: c, noTokens: cfg.NoTokens, near: cfg.Client.HotKeys != nil}, nil
}

// NewServers is New with gomemcache's own argument: addresses as memcache.New takes them, "host:port"
// or the path of a Unix socket. One that stands there several times gets that many
// shares of the keys. What is no address is an error, which memcache.New keeps to itself
// until the first call; no address at all is memcache.ErrNoServers.
func NewServers(server ...string) (*Client, error) {
	nodes, err := Servers(server...)
	if err != nil {
		return nil, err
	}
	return New(Config{Client: client.Config{Nodes: nodes}})
}

// Servers turns memcache.New's list of addresses into nodes, for Config.Client.Nodes: the weight of
// a node is how often its address stands there.
func Servers(server ...string) ([]ring.Node, error) {
	if len(server) == 0 {
		return nil, memcache.ErrNoServers
	}
	var nodes []ring.Node
	at := map[string]int{}
	for i, s := range server {
		n, err := ring.Node{Addr: s, Weight: 1}.Canonical()
		if err != nil {
			return nil, fmt.Errorf("server %d: %w", i+1, err)
		}
		if j, ok := at[n.Name]; ok {
			nodes[j].Weight++
			continue
		}
		at[n.Name] = len(nodes)
		nodes = append(nodes, n)
	}
	return nodes, nil
}

// Memherd returns the client underneath, for what gomemcache has no word for: contexts, leases,
// a loader, SetNodes, figures. Close closes it.
func (c *Client) Memherd() *client.Client { return c.c }

// Get returns the item at key, memcache.ErrCacheMiss if there is none. The owner of the key is asked
// for the item and its token; if it does not answer, the next copy is asked for the item
// alone: Item.CasID is 0 then.
func (c *Client) Get(key string) (*memcache.Item, error) {
	get := c.c.GetsOrGet
	if c.noTokens {
		get = c.c.Get
	}
	it, err := get(context.Background(), key)
	if err != nil {
		return nil, translate(err)
	}
	if it.CAS == 0 {
		it = c.owned(it)
	}
	return c.item(it), nil
}

// GetMulti returns the items of keys that are there, by key. The map is never nil without an error; beside
// an error it holds what could be read.
func (c *Client) GetMulti(keys []string) (map[string]*memcache.Item, error) {
	get := c.c.GetsMultiFunc
	if c.noTokens {
		get = c.c.GetMultiFunc
	}
	items := make(map[string]*memcache.Item, len(keys))
	mem := make([]memcache.Item, 0, len(keys)) // one piece of memory, which never moves
	err := get(context.Background(), keys, func(it client.Item) {
		if c.noTokens {
			it = c.owned(it)
		}
		mem = append(mem, c.itemValue(it))
		items[it.Key] = &mem[len(mem)-1]
	})
	if len(items) == 0 && err != nil {
		return nil, translate(err)
	}
	return items, translate(err)
}

// GetAndTouch returns the item at key and gives it a new end, on all its copies. Item.CasID is 0, as
// in gomemcache.
func (c *Client) GetAndTouch(key string, expiration int32) (*memcache.Item, error) {
	it, err := c.c.GetAndTouch(context.Background(), key, life(expiration))
	if err != nil {
		return nil, translate(err)
	}
	it.CAS = 0
	return c.item(it), nil
}

// Touch gives the item at key a new end, on all its copies: seconds as Item.Expiration.
func (c *Client) Touch(key string, seconds int32) error {
	return translate(c.c.Touch(context.Background(), key, life(seconds)))
}

// Set stores the item on every copy of its key, unconditionally.
func (c *Client) Set(item *memcache.Item) error {
	_, err := c.c.Set(context.Background(), own(item))
	return translate(err)
}

// Add stores the item if its key is absent, memcache.ErrNotStored otherwise. Like all
// that follow, up to CompareAndSwap, it runs on the owner of the key alone, and deletes the
// other copies.
func (c *Client) Add(item *memcache.Item) error {
	_, err := c.c.Add(context.Background(), own(item))
	return translate(err)
}

// Replace stores the item if its key is there, memcache.ErrNotStored otherwise.
func (c *Client) Replace(item *memcache.Item) error {
	_, err := c.c.Replace(context.Background(), own(item))
	return translate(err)
}

// Append adds Item.Value to the end of the value, memcache.ErrNotStored if there is none.
func (c *Client) Append(item *memcache.Item) error {
	_, err := c.c.Append(context.Background(), own(item))
	return translate(err)
}

// Prepend adds Item.Value before the value, memcache.ErrNotStored if there is none.
func (c *Client) Prepend(item *memcache.Item) error {
	_, err := c.c.Prepend(context.Background(), own(item))
	return translate(err)
}

// CompareAndSwap stores an item that this Client's Get or GetMulti returned, if nobody changed it since:
// memcache.ErrCASConflict if somebody did, or if its node was lost since, memcache.ErrCacheMiss if
// it is gone.
func (c *Client) CompareAndSwap(item *memcache.Item) error {
	it := own(item)
	it.CAS, it.Version = c.lives.split(item.CasID)
	_, err := c.c.CompareAndSwap(context.Background(), it)
	return translate(err)
}

// Delete removes the item at key from all its copies, memcache.ErrCacheMiss if none had it.
func (c *Client) Delete(key string) error {
	out, err := c.c.Delete(context.Background(), key)
	if err == nil && !out.Found {
		return memcache.ErrCacheMiss
	}
	return translate(err)
}

// DeleteAll empties every node, which is what gomemcache says of it, and not one of them, which is what
// that does.
func (c *Client) DeleteAll() error { return c.FlushAll() }

// FlushAll empties every node. The error joins the failures of those that were not reached; the others
// are empty all the same.
func (c *Client) FlushAll() error { return translate(c.c.FlushAll(context.Background())) }

// Increment adds delta to the number at key and returns the sum, which wraps; memcache.ErrCacheMiss if
// there is none.
func (c *Client) Increment(key string, delta uint64) (uint64, error) {
	n, err := c.c.Increment(context.Background(), key, delta)
	return n, translate(err)
}

// Decrement subtracts delta, and stops at 0.
func (c *Client) Decrement(key string, delta uint64) (uint64, error) {
	n, err := c.c.Decrement(context.Background(), key, delta)
	return n, translate(err)
}

// Ping asks every node for a sign of life; the error joins the failures of those that gave none.
func (c *Client) Ping() error { return translate(c.c.Ping(context.Background())) }

// Close ends all connections and waits for all goroutines of the client. Calls after it fail with
// client.ErrClosed.
func (c *Client) Close() error { return c.c.Close() }
