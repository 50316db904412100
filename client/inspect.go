package client

import (
	"context"
	"time"

	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/client/memproto"
)

// Info is what a node knows about an item besides its value.
type Info struct {
	// Node is the node that answered: the key's home copy.
	Node string
	// Size is the length of the value in bytes, Flags the user's flags.
	Size  int
	Flags uint32
	// CAS is the item's CAS value on that node.
	CAS uint64
	// TTL is the remaining life in whole seconds, 0 if it has no end.
	TTL time.Duration
	// Idle is the time since somebody last read the item; Hit says that somebody has
	// read it since it was stored.
	Idle time.Duration
	Hit  bool
	// Stale says that the item is marked stale: one reader is to refresh it.
	Stale bool
}

// Inspect returns what the home copy knows about the item at key, without its value
// and without counting as a read: neither its place in the node's LRU nor Idle and
// Hit change. ErrCacheMiss if there is none.
func (c *Client) Inspect(ctx context.Context, key string) (Info, error) {
	const op = "inspect"
	if err := c.check(ctx, op, key); err != nil {
		return Info{}, err
	}
	const flags = memproto.FlagLs | memproto.FlagLf | memproto.FlagLc | memproto.FlagLt | memproto.FlagLl | memproto.FlagLh | memproto.FlagLu
	hash := c.top.Load().ring.Hash(key)
	f, err := c.readHome(ctx, op, hash, key, readOptions{flags: flags, lease: true})
	if err != nil {
		return Info{}, c.readFailed(err)
	}
	defer f.call.Free()
	r := &f.call.Resp
	kind := tokenKind(f.call)
	if r.Flags.Has(memproto.FlagW) {
		postHandBack(f.conn, key, r.CAS, kind == item.TokenStub)
	}
	if r.Status != memproto.StatusHD || kind == item.TokenStub {
		c.counters.misses.Add(1)
		return Info{}, item.ErrCacheMiss
	}
	c.counters.nodeHits.Add(1)
	info := Info{
		Node: f.n.Name, Size: int(r.Size), Flags: flagsIn(r.ClientFlags), CAS: r.CAS,
		Idle: time.Duration(r.LastAccess) * time.Second, Hit: r.Hit, Stale: r.Flags.Has(memproto.FlagX),
	}
	if r.TTL > 0 {
		info.TTL = time.Duration(r.TTL) * time.Second
	}
	return info, nil
}
