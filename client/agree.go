package client

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/memherd/memherd/client/internal/pipe"
	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/client/memproto"
)

// Two programs that share nodes and place keys differently read each other's deleted values, and
// nothing fails: it is the commonest fault in production. So each client keeps a fingerprint
// of its placement beside a node's sentinel and compares it once a second (consistency
// rule 17). Who came to its placement last writes its own over another's. So do, now and then,
// those that still find another's when every change must have reached everybody: in that way
// both sides see it, and say so.

// placementSuffix makes the key of the fingerprint of that of the sentinel.
const placementSuffix = ":placement"

const (
	// differFor is how long fingerprints must differ, at least, before it is said. A change
	// that clients learn of one after the other takes no longer than Config.Announce.
	differFor = 10 * time.Second
	// insistEvery is how often a client writes its fingerprint over a newer one.
	insistEvery = 5 * time.Second
	// agreedAfter is how long no other fingerprint must have been seen to agree again.
	agreedAfter = 6 * insistEvery
)

// agreement is what a node's client knows of other clients' placements. The node's mu
// guards it.
type agreement struct {
	first, last time.Time // when another was seen, as long as they differ
	insisted    time.Time
	told        bool
}

// claim is a fingerprint and since when its client has gone by it.
type claim struct {
	fingerprint string
	since       time.Time
}

func (cl claim) String() string { return fmt.Sprint(cl.fingerprint, " ", cl.since.UnixMilli()) }

// parseClaim is false for what no client has written.
func parseClaim(s string) (cl claim, ok bool) {
	fingerprint, ms, ok := strings.Cut(s, " ")
	n, err := strconv.ParseInt(ms, 10, 64)
	if !ok || err != nil || len(fingerprint) != 16 {
		return claim{}, false
	}
	return claim{fingerprint, time.UnixMilli(n)}, true
}

// ourClaim is this client's.
func (t *topology) ourClaim() claim {
	return claim{t.print, t.since}
}

// agree compares placements with whoever else uses the node.
func (n *node) agree(ctx context.Context, conn *pipe.Conn) {
	t := n.c.top.Load()
	ours := t.ourClaim()
	key := n.c.cfg.EpochKey + placementSuffix
	write := func(cas uint64) {
		r := memproto.Request{
			Cmd: memproto.CmdMetaSet, Key: memproto.StringBytes(key), Value: []byte(ours.String()),
			Flags: memproto.FlagF, ClientFlags: item.FlagZero,
		}
		if cas != 0 {
			r.Flags |= memproto.FlagC
			r.CAS = cas
		} else {
			r.Flags |= memproto.FlagM
			r.Mode = 'E'
		}
		_, _ = n.exchange(ctx, conn, r) // the next comparison shows what became of it
	}
	a, err := n.exchange(ctx, conn, memproto.Request{Cmd: memproto.CmdMetaGet, Key: memproto.StringBytes(key), Flags: memproto.FlagLv | memproto.FlagLc})
	switch {
	case err != nil || a.Resp.Status.IsError():
	case a.Resp.Status != memproto.StatusVA:
		write(0)
	default:
		theirs, ok := parseClaim(string(a.Value))
		differs := ok && theirs.fingerprint != ours.fingerprint
		insist, told := n.note(differs, time.Now())
		if differs || len(t.next) > 0 { // see returned: of what a node has missed that is in a list before any that is remembered, others tell
			n.consult(ctx, conn)
		}
		if told {
			n.c.cfg.Hooks.placementDiffers(n.Name, ours.fingerprint, theirs.fingerprint)
		}
		if !ok || differs && (insist || theirs.since.Before(ours.since)) {
			write(a.Resp.CAS)
		}
	}
}

// note takes note of a comparison. It returns whether to write our fingerprint over a newer one, and
// whether it is time to say that they differ.
func (n *node) note(differs bool, now time.Time) (insist, tell bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	a := &n.agreement
	if !a.first.IsZero() && now.Sub(a.last) > agreedAfter {
		*a = agreement{}
	}
	if !differs {
		return false, false
	}
	if a.first.IsZero() {
		a.first = now
	}
	a.last = now
	n.c.counters.differed.Add(1)
	if now.Sub(a.first) < max(differFor, n.c.cfg.announce()) {
		return false, false
	}
	if insist = now.Sub(a.insisted) >= insistEvery; insist {
		a.insisted = now
	}
	tell = !a.told
	a.told = true
	return insist, tell
}

// disagrees reports whether other clients place keys differently.
func (n *node) disagrees() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.agreement.told && time.Since(n.agreement.last) <= agreedAfter
}
