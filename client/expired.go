package client

import (
	"context"
	"errors"

	"github.com/memherd/memherd/client/item"
)

// To store an item whose end has passed is to delete it, and takes the order of a delete (consistency rule 2). Were it stored on all copies
// at once, who misses it on an owner that is cold or new would bring back there what another copy still had.

// setExpired is the Set of such an item.
func (c *Client) setExpired(ctx context.Context, op, key string, hash uint64) (item.Outcome, error) {
	out, err := c.deleteKey(ctx, op, key, hash)
	out.Found = false
	if err != nil {
		c.counters.errors.Add(1)
	}
	return out, err
}

// setSomeExpired is SetMulti of items of which expired says which are such. They come behind the others, unless one of the same key follows.
func (c *Client) setSomeExpired(ctx context.Context, op string, items []item.Item, expired []bool) ([]item.Outcome, error) {
	var live []item.Item
	var keys []string
	place, last := make([]int, len(items)), map[string]int{}
	for i, it := range items {
		last[it.Key] = i
		if !expired[i] {
			place[i] = len(live)
			live = append(live, it)
		}
	}
	for i, it := range items {
		if expired[i] && last[it.Key] == i {
			place[i] = len(keys)
			keys = append(keys, it.Key)
		}
	}
	var stored []item.Outcome
	var failed error
	if len(live) > 0 {
		if stored, failed = c.SetMulti(ctx, live); stored == nil {
			return nil, failed
		}
	}
	var deleted []item.Outcome
	if len(keys) > 0 {
		var err error
		deleted, err = c.endMulti(ctx, op, keys)
		switch {
		case err != nil && failed == nil && len(live) > 0:
			failed = partly(op, err)
		case err == nil && failed != nil:
			failed = partly(op, failed)
		default:
			failed = errors.Join(failed, err)
		}
	}
	outs := make([]item.Outcome, len(items))
	for i, it := range items {
		at := i
		if expired[i] {
			at = last[it.Key] // whose turn it was then
		}
		if expired[at] {
			outs[i] = deleted[place[at]]
		} else {
			outs[i] = stored[place[at]]
		}
	}
	return outs, failed
}

// endMulti is setExpired for many keys, each of them once.
func (c *Client) endMulti(ctx context.Context, op string, keys []string) ([]item.Outcome, error) {
	c.counters.sets.Add(uint64(len(keys)))
	outs, err := c.deleteKeys(ctx, op, keys)
	for i := range outs {
		outs[i].Found = false
	}
	return outs, err
}
