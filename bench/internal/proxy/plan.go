package proxy

import "time"

// Way is what becomes of bytes in one direction.
type Way uint8

const (
	// Pass lets them through.
	Pass Way = iota
	// Swallow reads them and throws them away. A connection that lost bytes is of no use
	// any more and is reset once its ways pass again.
	Swallow
	// Hold keeps them, as a partition does, and lets them through when the way passes
	// again, even if whoever sent them has hung up meanwhile.
	Hold
)

// Plan is what a proxy does to its connections and to the node's replies. The zero
// value does nothing to them.
type Plan struct {
	// Refuse is a crash as seen from outside: connections are reset, dials refused.
	// Nothing else counts then.
	Refuse bool
	// Requests and Replies are the two directions. A node that hangs swallows both; new
	// connections are taken all the same.
	Requests, Replies Way
	// Latency is by how much each reply comes later than it would. Replies stay in
	// order and wait side by side, as on a long line.
	Latency time.Duration
	// One in LateEvery replies comes LateBy later than it would, and with it all behind
	// it that would have come sooner. 0 is none.
	LateEvery int
	LateBy    time.Duration
	// One in CutEvery replies is cut half way and its connection closed, every other
	// time by a reset. 0 is none.
	CutEvery int
	// One in StrayEvery replies is followed by another one that nobody asked for, a copy
	// of itself or of an earlier one. 0 is none.
	StrayEvery int
}

// The faults that need no more saying.
var (
	Healthy     = Plan{}
	Crashed     = Plan{Refuse: true}
	Hung        = Plan{Requests: Swallow, Replies: Swallow}
	Partitioned = Plan{Requests: Hold, Replies: Hold}
)

// fate is what happens to one reply.
type fate struct{ late, cut, reset, stray, earlier bool }

// fate draws nothing itself: dice is one random number a reply, whatever the plan is,
// so that a reply's fate depends on the seed, its connection's number and its own.
func (p *Plan) fate(dice uint64) fate {
	hit := func(every int, shift uint) bool {
		return every > 0 && (dice>>shift&0xffff)*uint64(every)>>16 == 0
	}
	return fate{late: hit(p.LateEvery, 0), cut: hit(p.CutEvery, 16), stray: hit(p.StrayEvery, 32),
		reset: dice>>62&1 == 0, earlier: dice>>63 == 0}
}
