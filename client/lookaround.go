package client

import (
	"context"

	"github.com/memherd/memherd/client/internal/pipe"
	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/client/memproto"
)

// A copy that lacks a key it should have gets it from another one: what the others have is looked at, and the right to fill is
// taken before they are looked at again (consistency rule 4).

// finding is what a key's other nodes have of it.
type finding uint8

const (
	// foundNothing: none has it, as far as can be known any more.
	foundNothing finding = iota
	// foundValue: one has it.
	foundValue
	// foundUnclear: an old owner can't be asked now, or one that is up has not answered, or has a value that can't be copied,
	// because it is about to end or its node can't say when it does.
	foundUnclear
)

// lookAround reads key from its copies and old copies other than home. With all it looks at lists, too, that some clients may
// have missed: what their nodes have may be old, but if it is a lock or a counter, not to see it would be worse.
func (c *Client) lookAround(ctx context.Context, op string, t *topology, hash uint64, key string, home *node, all bool) (it item.Item, found finding) {
	var mem [2 * maxCopies]*node
	for _, n := range t.everywhere(hash, all, mem[:0]) {
		if n == home || n.debt.Blocks(key) { // what this client owes a delete of is deleted
			continue
		}
		var a pipe.Answer
		err, up := item.ErrNodeDown, n.breaker.Readable()
		if up {
			a, err = c.readCopy(ctx, op, n, key)
		}
		switch {
		case err != nil:
			if up || t.owned(hash, n) && !t.lost(n) {
				found = foundUnclear
			}
		case sound(&a):
			return itemOf(key, &a), foundValue
		case valid(&a):
			found = foundUnclear
		}
	}
	return item.Item{}, found
}

// stubState is what came of asking a node for the right to fill a key.
type stubState uint8

const (
	// stubNone: there is no right to be had.
	stubNone stubState = iota
	// stubWon: it is ours, until the token is used or given back.
	stubWon
	// stubTaken: somebody else has it.
	stubTaken
	// stubFilled: the node has a value.
	stubFilled
)

// winStub asks n for the right to fill key, if it lacks it. it is what it has if it doesn't. The error is a failure of n.
func (n *node) winStub(ctx context.Context, op, key string, ask readOptions) (tok item.Token, it item.Item, what stubState, err error) {
	f, err := n.askLease(ctx, op, key, ask)
	if err != nil {
		return tok, it, stubNone, err
	}
	defer f.call.Free()
	a := &f.call.Answer
	switch won := a.Resp.Flags.Has(memproto.FlagW); {
	case a.Resp.Status != memproto.StatusVA || a.Resp.CAS == 0:
		return tok, it, stubNone, nil
	case !isStub(a):
		if won {
			postHandBack(f.conn, key, a.Resp.CAS, false)
		}
		return tok, itemOf(key, a), stubFilled, nil
	case !won:
		return tok, it, stubTaken, nil
	}
	return item.Token{Version: item.Version{Node: n.Name, Life: f.life}, CAS: a.Resp.CAS, Kind: item.TokenStub, Won: true}, it, stubWon, nil
}
