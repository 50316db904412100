package gomc

import (
	"context"
	"errors"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/item"
)

// fromOld reads the old placement. Where a node is the key's in both, what a memherd client has
// put there is told from what the program stored: a lease's placeholder is a miss.
func (d *Dual) fromOld(key string) (*memcache.Item, error) {
	it, err := d.old.Get(key)
	if err != nil {
		return nil, err
	}
	if !d.readable(it) {
		return nil, memcache.ErrCacheMiss
	}
	return it, nil
}

// readable makes an item of the old placement what the program stored; false if it is
// a placeholder, which a Client never returns.
func (d *Dual) readable(it *memcache.Item) bool {
	it.CasID = 0
	if _, ours := d.old.(*Client); ours {
		return true
	}
	if it.Flags == 0 && len(it.Value) == 0 {
		return false
	}
	if it.Flags == item.FlagZero {
		it.Flags = 0
	}
	return true
}

// forOld is it as gomemcache's client is to store it: an empty value with flags 0 would be taken for a placeholder.
func (d *Dual) forOld(it *memcache.Item) *memcache.Item {
	if _, theirs := d.old.(*memcache.Client); !theirs || it.Flags != 0 || len(it.Value) > 0 {
		return it
	}
	marked := *it
	marked.Flags = item.FlagZero
	return &marked
}

func (d *Dual) fromNew(it client.Item, err error) (*memcache.Item, error) {
	if err != nil {
		return nil, translate(err)
	}
	it.CAS = 0
	return d.new.item(d.new.owned(it)), nil
}

// copy fills a lease with what the old placement has. That it may fail is no concern of the
// reader's: the key was written meanwhile, or the next reader copies it.
func (d *Dual) copy(ctx context.Context, l client.Lease, it *memcache.Item) {
	out, err := d.new.c.Fill(ctx, l, client.Item{Value: it.Value, Flags: it.Flags, TTL: d.copyTTL})
	if err == nil && out.Confirmed > 0 {
		d.copied.Add(1)
	}
}

// give gives a lease back and returns err.
func (d *Dual) give(ctx context.Context, l client.Lease, err error) error {
	if l.State == item.LeaseWon {
		d.new.c.Release(ctx, l) // fails after Close and for keys that are none, which was told already
	}
	return err
}

func (d *Dual) deleteNew(key string) error { return found(d.new.Delete(key)) }
func (d *Dual) deleteOld(key string) error { return found(d.old.Delete(key)) }

// found takes a miss for success.
func found(err error) error {
	if err == memcache.ErrCacheMiss {
		return nil
	}
	return err
}

// both is what has failed on the old placement, and perhaps on the new one, too: as it is if there is nothing to join,
// for those who compare it.
func both(old, new error) error {
	if new == nil || old == memcache.ErrMalformedKey {
		return old
	}
	return errors.Join(old, new)
}

// distinct returns keys without repetitions.
func distinct(keys []string) []string {
	seen := make(map[string]bool, len(keys))
	out := make([]string, 0, len(keys))
	for _, key := range keys {
		if !seen[key] {
			seen[key] = true
			out = append(out, key)
		}
	}
	return out
}
