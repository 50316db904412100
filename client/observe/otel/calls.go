package otel

import (
	"context"
	"errors"

	"github.com/memherd/memherd/client/item"
)

// Get is client.Client's, as all that follow.
func (c *Client) Get(ctx context.Context, key string) (item.Item, error) {
	ctx, k := c.begin(ctx, "get", 1)
	it, err := c.Client.Get(ctx, key)
	k.end(ctx, err)
	return it, err
}

// GetTTL is client.Client's; its spans are Get's.
func (c *Client) GetTTL(ctx context.Context, key string) (item.Item, error) {
	ctx, k := c.begin(ctx, "get", 1)
	it, err := c.Client.GetTTL(ctx, key)
	k.end(ctx, err)
	return it, err
}

// GetMulti is one call, however many the keys.
func (c *Client) GetMulti(ctx context.Context, keys []string) (map[string]item.Item, error) {
	ctx, k := c.begin(ctx, "get_multi", len(keys))
	found, err := c.Client.GetMulti(ctx, keys)
	k.end(ctx, err)
	return found, err
}

// Set is client.Client's.
func (c *Client) Set(ctx context.Context, it item.Item) (item.Outcome, error) {
	ctx, k := c.begin(ctx, "set", 1)
	out, err := c.Client.Set(ctx, it)
	k.end(ctx, err)
	return out, err
}

// Delete is client.Client's.
func (c *Client) Delete(ctx context.Context, key string) (item.Outcome, error) {
	ctx, k := c.begin(ctx, "delete", 1)
	out, err := c.Client.Delete(ctx, key)
	k.end(ctx, err)
	return out, err
}

// DeleteMulti is one call, however many the keys.
func (c *Client) DeleteMulti(ctx context.Context, keys []string) ([]item.Outcome, error) {
	ctx, k := c.begin(ctx, "delete_multi", len(keys))
	outs, err := c.Client.DeleteMulti(ctx, keys)
	k.end(ctx, err)
	return outs, err
}

// Lease is client.Client's.
func (c *Client) Lease(ctx context.Context, key string, o item.LeaseOptions) (item.Lease, error) {
	ctx, k := c.begin(ctx, "lease", 1)
	l, err := c.Client.Lease(ctx, key, o)
	k.end(ctx, err)
	return l, err
}

// LeaseMulti is one call, which failed if it failed for any key.
func (c *Client) LeaseMulti(ctx context.Context, keys []string, o item.LeaseOptions) ([]item.Lease, []error) {
	ctx, k := c.begin(ctx, "lease_multi", len(keys))
	ls, errs := c.Client.LeaseMulti(ctx, keys, o)
	k.end(ctx, errors.Join(errs...))
	return ls, errs
}

// Fill is client.Client's.
func (c *Client) Fill(ctx context.Context, l item.Lease, it item.Item) (item.Outcome, error) {
	ctx, k := c.begin(ctx, "fill", 1)
	out, err := c.Client.Fill(ctx, l, it)
	k.end(ctx, err)
	return out, err
}
