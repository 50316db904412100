package pipe

import (
	"context"
	"time"
)

// A reader whose replies are soon there asks the socket again and again before it sleeps. To
// fall asleep and be woken costs more than a server next door takes to answer, and a
// processor that has nothing else to do halts meanwhile: on a virtual machine it takes 30 to
// 50 µs to be up again, the server's just as ours.
const (
	// lingerFor is for how long it asks, and how long the replies of late may have taken to
	// come for it to ask at all: over a network they take longer, and nobody asks.
	lingerFor = 100 * time.Microsecond
	// crowdCalls is from how many calls under way replies come in a steady stream, so that
	// the next ones are due whatever the ones of late have taken; crowdTries is how often it
	// asks then. Other goroutines run in between, and they are many.
	crowdCalls = 16
	crowdTries = 48
	// crowdBursts is from how many calls under way they do where these are of many keys each, of callers who have company.
	crowdBursts = 2
	// yieldEvery is how many tries there are to one that gives the processor away to other
	// processes: the server may be waiting for the very one we ask on.
	yieldEvery = 4
	// aloneEvery is how many tries there are to one that lets other goroutines run, for a reader whose call is the only one: the
	// runtime wakes a thread at each, to no purpose if nobody wants to run, and it is not what is waited for.
	aloneEvery = 4
)

// patience is how long the reader has waited of late, a moving average over 8 times. The
// zero value has yet to wait.
type patience struct{ usual time.Duration }

// waited takes in how long the bytes took to come, whether the reader slept or not.
func (p *patience) waited(d time.Duration) {
	// At most four times as long as counts: a server that was slow for a while is soon
	// forgiven.
	p.usual += (min(d, 4*lingerFor) - p.usual) / 8
}

// worthIt reports whether bytes are likely to come within lingerFor.
func (p *patience) worthIt() bool { return p.usual <= lingerFor }

// A busy process: there is always a goroutine that is ready to run. The runtime asks the kernel for sockets that have something
// only when it has nothing else to run, or when its monitor sees that nobody has for 10 ms, so a reader that sleeps
// sleeps for that long, and everybody who waits for it, though the reply is there after 20 µs. So it
// stays among those that are ready to run, behind the others, and looks each time it is its turn.
const (
	// busyYield is how long a yield takes at least where others run in it; where none do it is over in a tenth of a microsecond.
	busyYield = 10 * time.Microsecond
	// longSleep is how long sleeping readers must have slept of late: where the runtime asks the kernel more often, to look
	// would be a waste.
	longSleep = 2 * time.Millisecond
	// busyTries is how often a reader looks before it sleeps nevertheless, because the node is slow or far away.
	busyTries = 32
	// busySkip is how many others do not even try then. Where it turns out that nobody else wants to run, and it is the node that
	// is far away, one more does not, then three, seven, and so on up to that.
	busySkip = 32
)

// sleeps is how long a reader has slept of late, a moving average over 4 times.
type sleeps struct {
	usual time.Duration
	idle  int // how many were to skip when a look last found nobody else running; 0 since a look has found bytes
	skip  int // how many more are to sleep without looking
}

// alone takes down that nobody else ran while a reader yielded.
func (s *sleeps) alone() {
	s.idle = min(2*s.idle+1, busySkip)
	s.skip = s.idle
}

func (s *sleeps) slept(d time.Duration) { s.usual += (min(d, 8*longSleep) - s.usual) / 4 }

// tooLong reports whether it is better not to, if the process is busy.
func (s *sleeps) tooLong() bool {
	if s.usual < longSleep {
		return false
	}
	if s.skip > 0 {
		s.skip--
		return false
	}
	return true
}

// tryFill reads what is there, or is there soon; false if that was nothing, and the reader has
// to sleep until something comes, or if ctx or the connection has ended.
func (c *Conn) tryFill(ctx context.Context) bool {
	if c.sock == nil {
		return false
	}
	c.since = c.Now()
	// awake: it looks because sleeping takes too long.
	calls := c.pending.Load()
	crowd := calls >= crowdCalls || calls >= crowdBursts && c.Company()
	near, awake := c.patience.worthIt(), false
	if !crowd {
		awake = c.sleeps.tooLong()
		if !near && !awake {
			return false
		}
	}
	buf, toBody := c.space()
	now := c.since
	for i := 1; ; i++ {
		if n := c.sock.poll(buf); n > 0 {
			c.got(n, toBody)
			c.patience.waited(c.sinceAsked())
			if awake {
				c.sleeps.idle = 0
			}
			c.hurried.Store(awake)
			return true
		}
		switch {
		case crowd:
			if i >= crowdTries {
				return false
			}
		case awake:
			if i >= busyTries {
				c.sleeps.skip = busySkip
				return false
			}
		case !near || now-c.since > int64(lingerFor):
			return false
		}
		if ctx.Err() != nil || c.dead.Load() {
			return false
		}
		if i == 1 && awake {
			// A server on this machine most likely waits for the processor that we are on, and needs it for a moment.
			yieldProcessor()
			continue
		}
		if i%yieldEvery == 0 {
			yieldProcessor()
		}
		if awake {
			now = c.Now() // the looks and the other processes are not counted
		}
		if !crowd && !awake && i%aloneEvery != 0 && c.pending.Load() == 1 {
			now = c.Now()
			continue
		}
		then := c.yield()
		if awake && then-now < int64(busyYield) {
			awake = false
			c.sleeps.alone()
		}
		now = then
	}
}

// yield lets other goroutines run, and returns the time.
func (c *Conn) yield() int64 {
	c.gosched()
	return c.Now()
}

// sinceAsked is how long the reader has waited so far.
func (c *Conn) sinceAsked() time.Duration { return time.Duration(c.Now() - c.since) }
