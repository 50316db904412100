package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/client/memproto"
)

// Tier is what a node's server can do. Every connection asks when it is opened, and
// keeps to the answer: a fleet may be mixed, and a node's server may be replaced by an
// older or a newer one. The client needs Tier1; on Tier0 it makes do with the classic
// commands, and promises less (see DESIGN.md).
type Tier uint8

// The tiers, by memcached's versions.
const (
	// TierUnknown: the node has not been connected to yet.
	TierUnknown Tier = iota
	// Tier0: no meta commands, or those of the years in which they still changed: all
	// before 1.6.18. The classic commands of 1.5.3 are needed.
	Tier0
	// Tier1: 1.6.18 and 1.6.19, and any server that has meta commands and a version we
	// can't read.
	Tier1
	// Tier2: 1.6.20 to 1.6.26: N and s in ms, watch deletions.
	Tier2
	// Tier3: 1.6.27 to 1.6.39: E, md x.
	Tier3
	// Tier4: from 1.6.40 on: mg C.
	Tier4
)

// String is "T0" to "T4", "unknown" for TierUnknown.
func (t Tier) String() string {
	if t == TierUnknown || t > Tier4 {
		return "unknown"
	}
	return "T" + strconv.Itoa(int(t-Tier0))
}

// capability is what a connection's server said of itself.
type capability struct {
	tier    Tier
	version string
}

// probe is what every connection sends first: its server's name, and the meta command
// that does nothing. Both answers come with one round trip.
const probe = "version\r\nmn\r\n"

// errNotMemcached is why a connection is refused whose server answered the probe with
// something else than memcached would.
var errNotMemcached = errors.New("memherd: what answers there is no memcached")

// errAnyKeys is why a node is not used whose server has no flag b: what stands for a
// binary key would be a plain key there, perhaps another's.
var errAnyKeys = errors.New("memherd: the node's server is older than memcached 1.6.18 and can't keep Config.Keys = AnyKeys; upgrade it or use PlainKeys")

// maxProbeReply bounds the answer to the probe, in bytes.
const maxProbeReply = 1 << 10

// learn sends the probe on a connection that nothing else uses, and reads the answer.
func learn(ctx context.Context, nc net.Conn) (c capability, err error) {
	err = inquire(ctx, nc, []byte(probe), func(answer []byte) (whole bool, err error) {
		c, whole, err = readProbe(answer)
		return whole, err
	})
	if err != nil {
		return capability{}, err
	}
	return c, nil
}

// readProbe reads the answer to the probe; whole says that it is all there.
func readProbe(b []byte) (c capability, whole bool, err error) {
	var r memproto.Response
	lim := memproto.Limits{MaxLine: maxProbeReply}
	n, err := memproto.DecodeResponse(b, &lim, &r)
	switch {
	case err == memproto.ErrIncomplete && len(b) < maxProbeReply:
		return c, false, nil
	case err != nil:
		return c, false, fmt.Errorf("%w: %w", errNotMemcached, item.ErrDesync)
	case r.Status.IsError():
		// Too many connections, or a log-in is asked for.
		return c, false, fmt.Errorf("%w: %s", item.ErrServer, strconv.Quote(r.Status.String()+" "+string(r.Message)))
	case r.Status != memproto.StatusVersion:
		return c, false, fmt.Errorf("%w: %w: %s is no reply to version", errNotMemcached, item.ErrDesync, r.Status)
	}
	c.version = printable(r.Message)
	b = b[n:]
	n, err = memproto.DecodeResponse(b, &lim, &r)
	switch {
	case err == memproto.ErrIncomplete && len(b) < maxProbeReply:
		return c, false, nil
	case err != nil || n < len(b):
		return c, false, fmt.Errorf("%w: %w", errNotMemcached, item.ErrDesync)
	case r.Status == memproto.StatusError || r.Status == memproto.StatusClientError:
		c.tier = Tier0
	case r.Status == memproto.StatusMN:
		c.tier = tierOf(c.version)
	default:
		return c, false, fmt.Errorf("%w: %w: %s is no reply to mn", errNotMemcached, item.ErrDesync, r.Status)
	}
	return c, true, nil
}

// printable keeps of a server's version what is fit for logs.
func printable(b []byte) string {
	const most = 64
	b = b[:min(len(b), most)]
	return string(bytes.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, b))
}

// tierOf is the tier of a server that has meta commands. Their first years don't count
// (memcached's release notes): 1.5.19 brought them as an experiment, 1.6.10 changed
// the syntax of ms and OK to HD, 1.6.13 mended md and the CAS that replies show, and only since
// 1.6.18 a miss has the opaque token that proves whose it is.
func tierOf(version string) Tier {
	var n [3]int
	rest := version
	for i := range n {
		end := 0
		for end < len(rest) && rest[end] >= '0' && rest[end] <= '9' {
			end++
		}
		var err error
		if n[i], err = strconv.Atoi(rest[:end]); err != nil {
			return Tier1
		}
		rest = strings.TrimPrefix(rest[end:], ".")
	}
	switch {
	case n[0] > 1 || n[0] == 1 && n[1] > 6:
		return Tier4
	case n[0] < 1 || n[1] < 6 || n[2] < 18:
		return Tier0
	case n[2] < 20:
		return Tier1
	case n[2] < 27:
		return Tier2
	case n[2] < 40:
		return Tier3
	}
	return Tier4
}

// learned notes what a new connection's server can do.
func (n *node) learned(c capability) {
	if old := n.can.Swap(&c); old == nil || *old != c {
		n.c.cfg.Hooks.tierLearned(n.Name, c.tier, c.version)
	}
}

// capability is what the newest connection's server said, zero before the first.
func (n *node) capability() capability {
	if c := n.can.Load(); c != nil {
		return *c
	}
	return capability{}
}
