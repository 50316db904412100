package client

import (
	"context"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/memherd/memherd/client/internal/pipe"
	"github.com/memherd/memherd/client/memproto"
)

// A write left in the buffers of a dead connection may run after the debt it became has
// been paid on another: the node was stopped, or had a long queue, and undoes the payment
// when it goes on (consistency rule 13). So a payment waits for a fence: the node shows by
// `stats conns` that it has done with the dead connection. Where it can't show that
// (another program's address stands between us, a Unix socket, an old server), the debt
// is paid at once and again after replayPause, and its keys are held until then.

// ghost is a connection that died with requests unanswered, by our end's address.
type ghost struct {
	host, port string
	died       time.Time
}

const (
	// fenceWait is how long payments wait for the fence. Then they are made, and what they
	// are for stays out of reads until the node has done with the connection, or
	// fenceMost has passed: it may never learn that ours has ended.
	fenceWait = time.Second
	fenceMost = 10 * time.Second
	// fencePoll is the shortest pause between two questions.
	fencePoll = 10 * time.Millisecond
	// maxGhosts bounds those remembered; beyond it, all debt is paid in two parts.
	maxGhosts = 64
)

// haunt notes a connection that has died, before any of its callers hears of it: what they
// book as debt then is sure to come after.
func (n *node) haunt(conn *pipe.Conn, unanswered int) {
	if unanswered == 0 {
		return
	}
	host, port, err := net.SplitHostPort(conn.LocalAddr().String())
	now := time.Now()
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.debt.Depth() == 0 {
		// What the older ones left has been paid; the callers of one that died just now may
		// be about to book theirs.
		old := func(died time.Time) bool { return now.Sub(died) > fenceMost }
		n.ghosts = slices.DeleteFunc(n.ghosts, func(g ghost) bool { return old(g.died) })
		if old(n.fenceless) {
			n.fenceless = time.Time{}
		}
	}
	if err != nil || len(n.ghosts) >= maxGhosts {
		n.fenceless = now
		return
	}
	n.ghosts = append(n.ghosts, ghost{host, port, now})
}

// fence looks whether the node has done with its dead connections. It returns false if one
// is there still.
//
// The order matters: what was owed before we note seq has its ghost in the list we take
// after, so the fence vouches for exactly that debt.
func (n *node) fence() bool {
	seq := n.debt.Seq()
	n.mu.Lock()
	ghosts, fenceless := slices.Clone(n.ghosts), n.fenceless
	n.mu.Unlock()
	if len(ghosts) == 0 || !fenceless.IsZero() {
		return true
	}
	gone, able := n.exorcised(ghosts)
	if gone {
		n.forget(ghosts)
		n.debt.Fenced(seq, time.Now())
	}
	return gone || !able
}

func (n *node) forget(ghosts []ghost) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ghosts = slices.DeleteFunc(n.ghosts, func(g ghost) bool { return slices.Contains(ghosts, g) })
}

// waitForFence holds payments back as long as they should wait; false when the client or
// the node is closing. since is when the mender found the node haunted, the zero time if
// it did not. again is when to look anew, 0 if there is no need.
func (n *node) waitForFence(since *time.Time) (again time.Duration, ok bool) {
	for n.breaker.Writable() && !n.fence() {
		now := time.Now()
		if since.IsZero() {
			*since = now
		}
		age := now.Sub(*since)
		poll := max(fencePoll, age/4)
		switch {
		case age < fenceWait:
			if !n.pause(poll) {
				return 0, false
			}
			continue
		case age < fenceMost:
			n.debt.Haunted(now, n.c.replayPause())
			return poll, true
		}
		// What is owed stays to be paid twice.
		n.mu.Lock()
		ghosts := slices.Clone(n.ghosts)
		n.mu.Unlock()
		n.forget(ghosts)
	}
	*since = time.Time{}
	return 0, true
}

// exorcised asks the node for its connections. able is false if it can't tell.
func (n *node) exorcised(ghosts []ghost) (gone, able bool) {
	ctx, cancel := context.WithTimeout(n.c.ctx, n.c.cfg.Timeout)
	defer cancel()
	conn, err := n.conn(ctx, 0)
	if err != nil {
		return false, false
	}
	stats, err := n.askStats(ctx, conn, string(StatsConns))
	if err != nil {
		return false, false
	}
	_, own, err := net.SplitHostPort(conn.LocalAddr().String())
	if err != nil {
		return false, false
	}
	// Our own connection must be among them, or the addresses are not what we see; and
	// that shows how the node writes our host.
	us, there := "", map[string]bool{}
	for i := 0; i+1 < len(stats); i += 2 {
		if !strings.HasSuffix(stats[i], ":addr") {
			continue
		}
		addr := stats[i+1]
		there[addr] = true
		if host, ok := strings.CutSuffix(addr, ":"+own); ok {
			us = host
		}
	}
	if us == "" {
		return false, false
	}
	ownHost, _, _ := net.SplitHostPort(conn.LocalAddr().String())
	for _, g := range ghosts {
		if g.host != ownHost {
			return false, false
		}
		if there[us+":"+g.port] {
			return false, true
		}
	}
	return true, true
}

// askStats asks for a group of statistics: names and values by turns.
func (n *node) askStats(ctx context.Context, conn *pipe.Conn, group string) ([]string, error) {
	k := n.newCall()
	k.Apart = true // see exchange
	k.Req = memproto.Request{Cmd: memproto.CmdStats, Args: []byte(group)}
	if err := conn.Start(ctx, k); err != nil {
		k.Free()
		return nil, err
	}
	if !conn.Wait(ctx, k) {
		return nil, ctx.Err()
	}
	defer k.Free()
	if k.Err != nil {
		return nil, k.Err
	}
	f := flight{n: n, call: k, op: "stats"}
	return k.Stats, f.refusal()
}
