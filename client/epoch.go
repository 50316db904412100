package client

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/memherd/memherd/client/internal/pipe"
	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/client/memproto"
)

// An epoch is one life of a node's memory. Each node holds an item of random content,
// the sentinel, which the first client that misses it makes: as long as it stays the same
// the node counts its CAS values on, and what was taken or read before means what it
// meant. A new one voids leases, CAS tokens and near-cache entries, and nothing else: it
// doesn't prove that the node is empty, since the sentinel may have been evicted
// (consistency rule 16). Within the client an epoch is a number, a node's life.
//
// Every connection reads the sentinel before it is used, and is stamped with its
// life; requests that carry a token name the life it is from, and are not sent on a
// connection with another. So a token can't reach a process that was started later: such
// a process is on other connections. What is behind one connection may change all the same
// (somebody flushed the node), and so each reads the sentinel again every second, which
// also keeps it from being evicted.
//
// A node that does not keep the sentinel has no near-cache, and its life ends with any of
// its connections.

// DefaultEpochKey is where the sentinel is kept unless Config.EpochKey says otherwise.
const DefaultEpochKey = "memherd:epoch"

// NoEpoch as Config.EpochKey keeps no sentinel.
const NoEpoch = "-"

// sentinelBytes is the length of a sentinel this client makes; it takes any other's.
const sentinelBytes = 16

// maxEpochReply bounds the answer to the questions for the sentinel, in bytes, without the lists. Statistics
// take most of it.
const maxEpochReply = 32 << 10

// epochQuestions is what a server is asked before anything else.
type epochQuestions struct {
	sentinel   string        // it is to keep if it has none
	who, lists bool          // ask for the general statistics, and for the fleet's lists
	keep       []byte        // lists it is to keep if it has none; nil for none
	ttl        time.Duration // of those
}

// requests make the sentinel if it is missing, and read it, and ask the rest;
// the last proves that no more replies are to come. Lists that are to be kept come before the sentinel: who
// finds it made by somebody else finds them, too.
func (q *epochQuestions) requests(key string, tier Tier) []byte {
	value := []byte(q.sentinel)
	add := memproto.Request{
		Cmd: memproto.CmdMetaSet, Key: memproto.StringBytes(key), Value: value,
		Flags: memproto.FlagM | memproto.FlagF, Mode: 'E', ClientFlags: item.FlagZero,
	}
	get := memproto.Request{Cmd: memproto.CmdMetaGet, Key: add.Key, Flags: memproto.FlagLv}
	end := memproto.Request{Cmd: memproto.CmdMetaNoop}
	if tier == Tier0 {
		add = memproto.Request{Cmd: memproto.CmdAdd, Key: add.Key, Value: value, ClientFlags: item.FlagZero}
		get.Cmd, get.Flags, end.Cmd = memproto.CmdGet, 0, memproto.CmdVersion
	}
	var out []byte
	if exp, err := exptime(q.ttl); q.keep != nil && err == nil && tier != Tier0 {
		store := memproto.Request{
			Cmd: memproto.CmdMetaSet, Key: memproto.StringBytes(key + listsSuffix), Value: q.keep, Exptime: exp,
			Flags: memproto.FlagM | memproto.FlagF | memproto.FlagT, Mode: 'E', ClientFlags: item.FlagZero,
		}
		out = store.Append(out)
	}
	out = get.Append(add.Append(out))
	if q.lists && tier != Tier0 {
		ask := memproto.Request{Cmd: memproto.CmdMetaGet, Key: memproto.StringBytes(key + listsSuffix), Flags: memproto.FlagLv | memproto.FlagLt | memproto.FlagLk}
		out = ask.Append(out)
	}
	if q.who {
		out = (&memproto.Request{Cmd: memproto.CmdStats}).Append(out)
	}
	return end.Append(out)
}

// introduction is what a server says of itself before anything else is asked of it.
type introduction struct {
	sentinel string // empty if it keeps none
	stats    []string
	lists    []byte
	left     time.Duration // what remains of the lists' life
}

// readEpoch reads what came back; whole says that it is all there.
func readEpoch(b []byte) (in introduction, whole bool, err error) {
	lim := memproto.Limits{MaxLine: maxEpochReply, MaxValue: maxListsBytes}
	more := func(b []byte) (introduction, bool, error) {
		if len(b) >= maxEpochReply+maxListsBytes {
			return introduction{}, false, fmt.Errorf("%w: too much was said of the epoch", item.ErrDesync)
		}
		return introduction{}, false, nil
	}
	for all := b; ; {
		var r memproto.Response
		n, err := memproto.DecodeResponse(b, &lim, &r)
		switch {
		case err == memproto.ErrIncomplete:
			return more(all)
		case err != nil:
			return introduction{}, false, fmt.Errorf("%w: %w", item.ErrDesync, err)
		}
		b = b[n:]
		switch r.Status {
		case memproto.StatusMN, memproto.StatusVersion:
			if len(b) > 0 {
				return introduction{}, false, fmt.Errorf("%w: more was said than was asked for", item.ErrDesync)
			}
			return in, true, nil
		case memproto.StatusStat:
			in.stats = append(in.stats, string(r.Key), string(r.Message))
		case memproto.StatusVA, memproto.StatusValue:
			if len(b) < r.BodyLen+2 {
				return more(all)
			}
			if strings.HasSuffix(string(r.Key), listsSuffix) {
				in.lists, in.left = slices.Clone(b[:r.BodyLen]), time.Duration(r.TTL)*time.Second
			} else {
				in.sentinel = string(b[:r.BodyLen])
			}
			b = b[r.BodyLen+2:]
		}
		// Any other line says that the sentinel is there already, or can't be made. A
		// server that refuses even to store it may answer the value as if it were a
		// command: those lines, too, come before the last.
	}
}

// askEpoch learns the sentinel behind a connection that nothing else uses.
// It also learns who runs there, unless that is known, and the first time the fleet's lists.
func (n *node) askEpoch(ctx context.Context, nc net.Conn, tier Tier) (string, error) {
	if n.c.cfg.EpochKey == NoEpoch {
		return "", nil
	}
	var in introduction
	q := epochQuestions{sentinel: rand.Text()[:sentinelBytes], who: !n.introduced(), lists: !n.spare && !n.consulted.Load()}
	if t := n.c.top.Load(); t.moving() && !n.spare {
		if value, ttl, err := n.c.written(t.stand(), nil); err == nil && len(value) <= n.c.cfg.MaxValueBytes {
			q.keep, q.ttl = value, ttl
		}
	}
	err := inquire(ctx, nc, q.requests(n.c.cfg.EpochKey, tier), func(answer []byte) (whole bool, err error) {
		in, whole, err = readEpoch(answer)
		return whole, err
	})
	if err != nil {
		return "", err
	}
	if p, ok := processOf(in.stats); ok {
		n.know(p)
	}
	if q.lists {
		n.c.told(in.lists, in.left)
		n.consulted.Store(true) // before others are asked, see askOthers
		if in.sentinel == q.sentinel && len(in.lists) == 0 {
			n.c.askOthers(ctx, n)
		}
		if n.barred() {
			// Who waits for this connection, to read, does not know it yet. The mender makes another.
			return "", errMissing
		}
	}
	return in.sentinel, nil
}

// meet takes note of the sentinel behind a connection and returns the life to stamp it
// with. A life that is over is so before meet returns: nothing of it is served, or sent
// on a connection stamped later.
//
// Two connections may meet a new process at one moment: the second to come waits until all is so.
func (n *node) meet(sentinel string) (life uint64) {
	life, over := n.take(sentinel)
	if over {
		n.c.cfg.Hooks.epochChanged(n.Name)
	}
	return life
}

// take is meet without its hook; over says that a life is over that was known.
func (n *node) take(sentinel string) (life uint64, over bool) {
	n.meeting.Lock()
	defer n.meeting.Unlock()
	n.mu.Lock()
	known := n.sentinel
	changed := known != sentinel
	if changed {
		n.sentinel = sentinel
		n.life.Add(1)
	}
	life = n.life.Load()
	n.keepsEpoch.Store(sentinel != "")
	n.mu.Unlock()
	if changed {
		n.c.near.DropNode(n.Name)
		if known != "" {
			n.chill()
		}
	}
	return life, changed && known != ""
}

// met reports whether the node's epoch is known.
func (n *node) met() bool { return n.keepsEpoch.Load() }

// endLife ends the life of a node without a sentinel when one of its connections has died:
// the process may have, too.
func (n *node) endLife() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.sentinel != "" {
		return
	}
	life := n.life.Add(1)
	for i := range n.conns {
		if k := n.conns[i].Load(); k != nil {
			k.SetStamp(life)
		}
	}
}

// checkEpoch reads the sentinel behind a connection in use, and makes it again if it is
// gone. It is what an idle connection is tried with.
func (n *node) checkEpoch(ctx context.Context, conn *pipe.Conn) {
	sentinel, err := n.readSentinel(ctx, conn)
	if errors.Is(err, item.ErrCacheMiss) {
		if _, failed := n.exchange(ctx, conn, memproto.Request{
			Cmd: memproto.CmdMetaSet, Key: memproto.StringBytes(n.c.cfg.EpochKey), Value: []byte(rand.Text()[:sentinelBytes]),
			Flags: memproto.FlagM | memproto.FlagF, Mode: 'E', ClientFlags: item.FlagZero,
		}); failed == nil {
			sentinel, err = n.readSentinel(ctx, conn)
		}
		if errors.Is(err, item.ErrCacheMiss) {
			sentinel, err = "", nil
		}
	}
	if err == nil {
		conn.SetStamp(n.meet(sentinel))
	}
}

// readSentinel reads the sentinel without u, which would let it age and be evicted.
func (n *node) readSentinel(ctx context.Context, conn *pipe.Conn) (string, error) {
	a, err := n.exchange(ctx, conn, memproto.Request{Cmd: memproto.CmdMetaGet, Key: memproto.StringBytes(n.c.cfg.EpochKey), Flags: memproto.FlagLv})
	switch {
	case err != nil:
		return "", err
	case a.Resp.Status != memproto.StatusVA || len(a.Value) == 0:
		return "", item.ErrCacheMiss
	}
	return string(a.Value), nil
}

// exchange sends a request of the client's own on conn, whichever of the node's that is, and returns the reply. It
// counts towards nobody's MaxInFlight: it refuses no caller, and a node at its limit is still asked whether it is the old one.
func (n *node) exchange(ctx context.Context, conn *pipe.Conn, req memproto.Request) (pipe.Answer, error) {
	k := n.newCall()
	k.Req, k.Apart = req, true
	if err := conn.Start(ctx, k); err != nil {
		k.Free()
		return pipe.Answer{}, err
	}
	if !conn.Wait(ctx, k) {
		return pipe.Answer{}, ctx.Err()
	}
	defer k.Free()
	return k.Answer, k.Err
}
