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
// Hit change. ErrCacheMiss if there is none. A Tier0 node tells neither TTL, Idle nor Hit,
// and it counts as a read there.
func (c *Client) Inspect(ctx context.Context, key string) (Info, error) {
	const flags = memproto.FlagLs | memproto.FlagLf | memproto.FlagLc | memproto.FlagLt | memproto.FlagLl | memproto.FlagLh | memproto.FlagLu
	f, err := c.look(ctx, "inspect", key, readOptions{flags: flags})
	if err != nil {
		return Info{}, err
	}
	defer f.call.Free()
	return infoOf(&f), nil
}

// GetOptions say how GetWith reads. The zero value reads the value and changes
// nothing that a Get would not.
type GetOptions struct {
	// NoBump leaves the item's place in the node's LRU as it is, and Info.Idle and
	// Info.Hit: for a look that is not to keep the item alive, as of a scan or a backup.
	NoBump bool
	// Touch gives the item a new life TTL on every live copy, by the rules of Item.TTL,
	// in the same request.
	Touch bool
	TTL   time.Duration
	// Dst, if not nil, is memory for the value: see GetInto.
	Dst []byte
}

// GetWith is Get with all that the node knows about the item, in one request; the
// answer is some 30 bytes longer. It always asks the home copy, never the near-cache.
// Item.TTL is the life the item has now, Info.TTL the one it had; Info.Idle and
// Info.Hit are from before this read. Item.CAS and Item.Version are fit for
// CompareAndSwap if the node that answered is the key's owner; otherwise that says
// ErrCASConflict. ErrCacheMiss if there is no item.
func (c *Client) GetWith(ctx context.Context, key string, o GetOptions) (item.Item, Info, error) {
	const op = "get"
	read := readOptions{flags: getFlags | memproto.FlagLh | memproto.FlagLl | memproto.FlagLc, borrow: o.Dst != nil}
	if o.NoBump {
		read.flags |= memproto.FlagLu
	}
	var f flight
	var err error
	if o.Touch {
		f, err = c.touch(ctx, op, key, o.TTL, read)
	} else {
		f, err = c.look(ctx, op, key, read)
	}
	if err != nil {
		return item.Item{}, Info{}, err
	}
	defer f.call.Free()
	it, info := itemOf(key, &f.call.Answer), infoOf(&f)
	if o.Touch {
		it.TTL = o.TTL
	}
	if o.Dst != nil {
		it.Value = append(o.Dst[:0], it.Value...)
	}
	it.Version = item.Version{Node: f.n.Name, Life: f.life}
	return it, info, nil
}

// look reads key from its home copy, a CAS value included. The flight it returns holds
// an item's reply, whose call must be freed.
func (c *Client) look(ctx context.Context, op, key string, o readOptions) (flight, error) {
	if err := c.check(ctx, op, key); err != nil {
		return flight{}, err
	}
	o.lease = true // a win comes with its token, and goes back
	hash := c.top.Load().ring.Hash(key)
	f, err := c.readRestored(ctx, op, hash, key, o)
	if err != nil {
		return flight{}, c.readFailed(err)
	}
	r := &f.call.Resp
	stub := tokenKind(&f.call.Answer) == item.TokenStub
	if r.Flags.Has(memproto.FlagW) {
		postHandBack(f.conn, key, r.CAS, stub)
	}
	if r.Status == memproto.StatusEN || stub {
		f.call.Free()
		c.counters.misses.Add(1)
		return flight{}, item.ErrCacheMiss
	}
	c.counters.nodeHits.Add(1)
	return f, nil
}

// infoOf reads what a reply tells about the item.
func infoOf(f *flight) Info {
	r := &f.call.Resp
	info := Info{
		Node: f.n.Name, Size: len(f.call.Value), Flags: flagsIn(r.ClientFlags), CAS: r.CAS,
		Idle: time.Duration(r.LastAccess) * time.Second, Hit: r.Hit, Stale: r.Flags.Has(memproto.FlagX),
	}
	if r.Flags.Has(memproto.FlagLs) {
		info.Size = int(r.Size)
	}
	if r.TTL > 0 {
		info.TTL = time.Duration(r.TTL) * time.Second
	}
	return info
}
