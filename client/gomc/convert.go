package gomc

import (
	"bytes"
	"errors"
	"time"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/item"
)

// maxRelative is the largest Expiration that counts from now, in seconds; a larger one is a time of
// the Unix clock (memcached's protocol.txt, "Expiration times").
const maxRelative = 30 * 24 * 60 * 60

// life is an Expiration as a TTL.
func life(expiration int32) time.Duration {
	switch {
	case expiration == 0:
		return client.NoExpiry
	case expiration < 0:
		return client.Expired
	case expiration <= maxRelative:
		return time.Duration(expiration) * time.Second
	}
	return client.Until(time.Unix(int64(expiration), 0))
}

// own is gomemcache's item as package client has it, without its token.
func own(it *memcache.Item) client.Item {
	return client.Item{Key: it.Key, Value: it.Value, Flags: it.Flags, TTL: life(it.Expiration)}
}

// item is an item that was read as gomemcache has it.
func (c *Client) item(it client.Item) *memcache.Item {
	out := c.itemValue(it)
	return &out
}

func (c *Client) itemValue(it client.Item) memcache.Item {
	if it.Value == nil {
		it.Value = []byte{}
	}
	return memcache.Item{Key: it.Key, Value: it.Value, Flags: it.Flags, CasID: c.lives.join(it.CAS, it.Version)}
}

// owned is it, of a read that memory may have served, with a value that nobody else has: a program may write to what gomemcache gave it.
func (c *Client) owned(it client.Item) client.Item {
	if c.near {
		it.Value = bytes.Clone(it.Value)
	}
	return it
}

// outcomes are what a node may answer and what is refused before it is sent, each with gomemcache's
// word for it.
var outcomes = []struct{ ours, theirs error }{
	{item.ErrCacheMiss, memcache.ErrCacheMiss},
	{item.ErrNotStored, memcache.ErrNotStored},
	{item.ErrCASConflict, memcache.ErrCASConflict},
	{item.ErrMalformedKey, memcache.ErrMalformedKey},
	{item.ErrNotNumber, errNotNumber},
}

// errNotNumber reads as gomemcache's error does, which has no name there.
var errNotNumber error = notNumber{}

type notNumber struct{}

func (notNumber) Error() string {
	return "memcache: client error: cannot increment or decrement non-numeric value"
}

func (notNumber) Unwrap() error { return item.ErrNotNumber }

// translate returns gomemcache's error for an outcome, and any other as it is.
func translate(err error) error {
	if err == nil {
		return nil
	}
	for _, o := range outcomes {
		if errors.Is(err, o.ours) {
			return o.theirs
		}
	}
	return err
}

// outcome says whether another copy would give the same error.
func outcome(err error) bool {
	return errors.Is(err, item.ErrCacheMiss) || errors.Is(err, item.ErrMalformedKey) || errors.Is(err, item.ErrClosed)
}
