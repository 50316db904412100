package pipe

import "time"

const (
	// gatherIdle is how many yields in a row may bring nothing before a flusher writes:
	// together about as long as the system call that they may save.
	gatherIdle = 16
	// gatherEach is how long it may take to gather one more: where other goroutines keep the processors busy, a yield takes
	// as long as all their turns, and those who queued a request wait for it.
	gatherEach = 50 * time.Microsecond
	// gatherLuck is how many times in a row a single yield may bring nothing before it is made once in gatherRare writes
	// only: where nobody wants to run it wakes a processor in vain. One that took gatherSlow then, for nothing, is
	// not made again for eight times as many.
	gatherLuck = 32
	gatherRare = 32
	gatherSlow = 100 * time.Microsecond
	// gatherLong is a yield that others have computed in, and everybody on the connection has waited for their turns: none is made for
	// gatherShy writes, whatever it brought. It is not shorter, since bursts of many callers take a millisecond and more now and then.
	gatherLong = 5 * time.Millisecond
	gatherShy  = 256
)

// luck is whether to yield once where the last batch of replies says nothing about who may be about to ask: those
// whose timers have ended together, say, or whom another connection has just answered. Only the flusher uses it.
type luck struct {
	left int // tries that may still bring nothing
	skip int // writes without a try when none is left
}

// worthIt reports whether to try now.
func (l *luck) worthIt() bool {
	if l.left == 0 && l.skip > 0 {
		l.skip--
		return false
	}
	return true
}

// had takes down whether a try brought more, and how long it took.
func (l *luck) had(more bool, took time.Duration) {
	switch {
	case took >= gatherLong:
		l.left, l.skip = 0, gatherShy
	case more:
		l.left = gatherLuck
	case l.left > 1:
		l.left--
	case l.left == 0 && took >= gatherSlow:
		l.skip = 8*gatherRare - 1
	default:
		l.left, l.skip = 0, gatherRare-1
	}
}

// gather lets callers queue more requests before they are written together. The last
// batch of replies woke expect callers, and those that ask again at once are about to
// queue their next requests, some of them on another processor: the more of them one
// system call carries, the better. It yields the processor rather than sleep. A lone
// caller waits for nobody, but for a look now and then whether it is one.
func (c *Conn) gather(expect int) {
	if expect < 2 {
		if !c.hurried.Load() && c.luck.worthIt() {
			ours, before := c.queued.Load(), c.Now()
			took := c.yield() - before
			c.luck.had(c.queued.Load() > ours, time.Duration(took))
		}
		return
	}
	last, idle, before := 1, 0, c.Now()
	for last < expect && idle < gatherIdle {
		now := c.yield()
		n := int(c.queued.Load())
		if now-before > int64(gatherEach)*int64(1+n-last) {
			return
		}
		idle++
		if n > last {
			idle = 0
		}
		last, before = n, now
	}
}
