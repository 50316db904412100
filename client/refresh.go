package client

import (
	"math"
	"time"

	"github.com/memherd/memherd/client/internal/pipe"
	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/client/memproto"
)

// A value that is to be replaced before it ends is refreshed by one caller in the fleet:
// memcached's recache mark (mg R<n>) gives W to the first who finds that fewer than n
// seconds remain, and shows Z to all others from then on. It changes neither the value
// nor its CAS, so the token of that reply, with one taken on every other copy, makes the
// fill as safe as any: what is deleted or written in between voids it.
//
// n is one more than the life the caller saw. A value that was stored anew meanwhile
// lives longer than that, and is not marked. More than 30 days are asked for as a point in time, by this process's clock, of which
// the node's may differ: there it is clocksApart more, so that the right is granted where clocks are that far apart, and may be
// granted for what was stored anew so lately.
//
// The mark has no end of its own: neither touch nor a refused store clears it. Whoever
// won it and does not fill clears it by storing the same value again under its token
// (postUnmark). "md I" would clear it, too, but leave a value that is marked stale, which
// no reader may take for one: callers would wait for a load although there is a value.

const (
	// clocksApart is by how many seconds a node's clock may be ahead of ours.
	clocksApart = 5
	// clockBehind is by how much a node's clock may be behind ours besides what the rounding of spent covers: it ticks once a second, and counts from
	// the second in which the node was started.
	clockBehind = 2 * time.Second
)

// forRefresh makes the read of a lease one that may win the mark. Only the home copy may
// give it.
func (o *readOptions) forRefresh(l *item.LeaseOptions) {
	o.flags |= memproto.FlagR
	o.recache = int64((l.Refresh+time.Second-1)/time.Second) + 1
	if o.recache > memproto.MaxRelative { // a node takes more for a point in time, as it does with exptimes
		o.recache = min(o.recache+time.Now().Unix()+clocksApart, math.MaxInt32)
	}
	o.hedge = false
}

// postUnmark clears the mark of a refresh that was won and is given up: it stores the value that was
// read with the mark again, under its token, for what is left of its life at most. A value
// whose life is all but over is deleted under the token instead. If the value has been changed,
// or the connection is dead, nothing happens.
func postUnmark(conn *pipe.Conn, it item.Item, cas uint64, asked time.Time) {
	// Rounded so that the life never becomes longer: the node's clock has ticked at
	// most once more than whole seconds have passed.
	spent := (time.Since(asked) + time.Second - 1).Truncate(time.Second)
	left := it.TTL - spent
	if left > memproto.MaxRelative*time.Second {
		left -= clockBehind // it is a point in time that is sent, reckoned by our clock
	}
	if left < 2*time.Second {
		postHandBack(conn, it.Key, cas, true)
		return
	}
	exp, err := memproto.Exptime(left, time.Now())
	if err != nil {
		return
	}
	k := conn.NewCall()
	k.Req = memproto.Request{
		Cmd: memproto.CmdMetaSet, Value: it.Value, CAS: cas, ClientFlags: flagsOut(it.Flags), Exptime: exp,
		Flags: memproto.FlagF | memproto.FlagT | memproto.FlagC,
	}
	setKey(&k.Req, it.Key)
	conn.Post(k)
}
