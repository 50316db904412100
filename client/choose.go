package client

import (
	"context"
	"time"

	"github.com/memherd/memherd/client/internal/pipe"
)

// crowded is how many requests under way on every open connection make a further
// connection worth its system calls: while the replies of one are handed out, the
// server is at work for the other, and neither falls asleep. With fewer, one connection merges
// more callers' requests into each system call.
const crowded = 4

// crowdedBytes is the same in bytes of value that are to come: large replies fill a
// connection, and a thread of the server, with fewer requests.
const crowdedBytes = 256 << 10

// crowd is how many requests under way are enough for a connection.
func crowd(k *pipe.Conn) int {
	if size := k.ReplySize(); size > crowdedBytes/crowded {
		return max(crowdedBytes/size, 2)
	}
	return crowded
}

// burstConn chooses the connection for a read of so many keys: the first that does not stall, and has no more to bring than crowdedBytes.
// It returns nil if there is none.
func (n *node) burstConn(keys int) *pipe.Conn {
	for i := range n.conns {
		k := n.conns[i].Load()
		if k == nil || k.Dead() || k.Congested() || k.Stalls() {
			continue
		}
		if int64(k.Pending())*int64(k.ReplySize())*int64(keys) <= crowdedBytes {
			return k
		}
	}
	return nil
}

// bulkValue is the size from which a value goes out on the node's last connection, so
// that the requests and replies of everybody else need not wait behind it.
const bulkValue = 32 << 10

// spareRetry is how long a node that refused a further connection is not asked for one.
const spareRetry = time.Second

// conn chooses the connection for a request with a value of so many bytes: a live one,
// the first that is not crowded, dialling if there is none.
func (n *node) conn(ctx context.Context, value int) (*pipe.Conn, error) {
	if value >= bulkValue {
		if k, err := n.bulkConn(ctx); k != nil || err != nil {
			return k, err
		}
	}
	best, spare := (*pipe.Conn)(nil), -1
	least, full := 0, true // full: every connection has as much as it can do
	for i := range n.conns {
		k := n.conns[i].Load()
		if k == nil || k.Dead() {
			if spare < 0 {
				spare = i
			}
			continue
		}
		if best != nil && k.Congested() {
			continue // large values are going out on it
		}
		p := k.Pending()
		if best == nil || p < least {
			best, least = k, p
		}
		if p < crowd(k) {
			best, full = k, false
			break // the first connection with room: packing them merges system calls
		}
	}
	if best == nil {
		return n.await(ctx, n.dial(0))
	}
	if full && spare >= 0 && n.mayOpen() {
		n.dial(spare) // in the background; this caller does not wait for it
	}
	return best, nil
}

// bulkConn returns the last connection, opening it if it is not there yet: a dial costs
// little beside sending a large value. It returns nil if there is to be one connection
// only, if the node takes no more, or if it has none at all: the first comes first.
func (n *node) bulkConn(ctx context.Context) (*pipe.Conn, error) {
	last := len(n.conns) - 1
	if last == 0 {
		return nil, nil
	}
	if k := n.conns[last].Load(); k != nil && !k.Dead() {
		return k, nil
	}
	if !n.connected() || !n.mayOpen() {
		return nil, nil
	}
	d := n.dial(last)
	k, err := n.await(ctx, d)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, nil // the one it has will do
	}
	return k, nil
}

// mayOpen reports whether a further connection may be tried.
func (n *node) mayOpen() bool {
	return time.Since(n.c.born) >= time.Duration(n.noSpare.Load())
}
