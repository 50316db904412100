package client

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/memherd/memherd/client/internal/pipe"
	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/client/memproto"
)

// Counter says what Count shall do. Key is required; the zero value of the rest adds
// nothing to a counter that must exist.
type Counter struct {
	Key string
	// Delta is added, or, with Decrement, subtracted. A sum wraps at 2^64, a
	// difference stops at 0.
	Delta     uint64
	Decrement bool
	// Create makes a missing counter with the value Initial (Delta is not applied to
	// it) and the life TTL, 0 for ever, by the rules of Item.TTL.
	Create  bool
	Initial uint64
	TTL     time.Duration
	// Touch gives a counter that exists the life TTL as well.
	//
	// A Tier0 node takes Create and Touch as requests of their own: others may see the
	// counter between them. It is counted once at most all the same.
	Touch bool
}

// Increment adds delta to the decimal number at key and returns the sum, which wraps
// at 2^64; ErrCacheMiss if the key is absent, ErrNotNumber if it holds anything else.
// Only the owner holds the counter afterwards. It is never resent: after an error
// that is not SafeToRetry it may or may not have counted.
func (c *Client) Increment(ctx context.Context, key string, delta uint64) (uint64, error) {
	return c.count(ctx, "increment", Counter{Key: key, Delta: delta})
}

// Decrement subtracts delta, stopping at 0; otherwise as Increment.
func (c *Client) Decrement(ctx context.Context, key string, delta uint64) (uint64, error) {
	return c.count(ctx, "decrement", Counter{Key: key, Delta: delta, Decrement: true})
}

// Count changes a counter as n says and returns its new value: Increment and Decrement
// with an initial value and a TTL. The same rules apply.
func (c *Client) Count(ctx context.Context, n Counter) (uint64, error) {
	return c.count(ctx, "count", n)
}

func (c *Client) count(ctx context.Context, op string, n Counter) (uint64, error) {
	req := memproto.Request{
		Cmd:   memproto.CmdMetaArith,
		Flags: memproto.FlagLv | memproto.FlagD | memproto.FlagM, Delta: n.Delta, Mode: 'I',
	}
	setKey(&req, n.Key)
	if n.Decrement {
		req.Mode = 'D'
	}
	exp, err := exptime(n.TTL)
	if err != nil {
		return 0, &item.Error{Op: op, Sent: item.NotSent, Err: err}
	}
	if n.Create {
		req.Flags |= memproto.FlagN | memproto.FlagJ
		req.Vivify, req.Initial = exp, n.Initial
	}
	if n.Touch {
		req.Flags |= memproto.FlagT
		req.Exptime = exp
	}
	for range createTries {
		k, _, err := c.onOwner(ctx, op, n.Key, req, item.Version{})
		if err != nil {
			return 0, err
		}
		sum, err := c.counted(ctx, op, n, exp, k)
		classic := k.Classic
		k.Free()
		if !errors.Is(err, item.ErrCacheMiss) || !n.Create || !classic {
			return sum, err
		}
		// The node can't count and create in one. There was nothing to count, so nothing
		// has happened yet.
		switch created, err := c.create(ctx, op, n, exp); {
		case err != nil:
			return 0, err
		case created:
			return n.Initial, nil
		}
		// Somebody else created it since.
	}
	return 0, item.ErrCacheMiss
}

// createTries is how often a counter may vanish and come back, each time at the wrong
// moment, before Count calls it missing.
const createTries = 8

// create makes the counter if it is still missing.
func (c *Client) create(ctx context.Context, op string, n Counter, exp int64) (bool, error) {
	k, _, err := c.onOwner(ctx, op, n.Key, memproto.Request{
		Cmd: memproto.CmdMetaSet, Key: memproto.StringBytes(n.Key), Value: strconv.AppendUint(nil, n.Initial, 10),
		Flags: memproto.FlagM | memproto.FlagT, Mode: 'E', Exptime: exp,
	}, item.Version{})
	if err != nil {
		return false, err
	}
	defer k.Free()
	return k.Resp.Status == memproto.StatusHD, nil
}

// counted reads the answer to a count, and does what a classic one leaves undone.
func (c *Client) counted(ctx context.Context, op string, n Counter, exp int64, k *pipe.Call) (uint64, error) {
	if k.Resp.Status != memproto.StatusVA {
		return 0, item.ErrCacheMiss
	}
	// A number that was decremented keeps its length, padded with spaces.
	sum, err := strconv.ParseUint(strings.TrimRight(string(k.Value), " "), 10, 64)
	if err != nil {
		return 0, item.ErrNotNumber
	}
	if !n.Touch || !k.Classic {
		return sum, nil
	}
	touch, _, err := c.onOwner(ctx, op, n.Key, memproto.Request{
		Cmd: memproto.CmdMetaGet, Key: memproto.StringBytes(n.Key), Flags: memproto.FlagT, Exptime: exp,
	}, item.Version{})
	if err != nil {
		// Whatever became of the touch, the counter has counted.
		return 0, &item.Error{Op: op, Sent: item.SentUnknown, Err: err}
	}
	touch.Free()
	return sum, nil
}
