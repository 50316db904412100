package pipe

import (
	"runtime"
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
	// yieldEvery is how many tries there are to one that gives the processor away to other
	// processes: the server may be waiting for the very one we ask on.
	yieldEvery = 4
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

// tryFill reads what is there, or is there soon; false if that was nothing, and the reader has
// to sleep until something comes.
func (c *Conn) tryFill() bool {
	if c.sock == nil {
		return false
	}
	crowd := c.pending.Load() >= crowdCalls
	c.since = c.Now()
	if !crowd && !c.patience.worthIt() {
		return false
	}
	buf, toBody := c.space()
	for i := 1; ; i++ {
		if n := c.sock.poll(buf); n > 0 {
			c.got(n, toBody)
			c.patience.waited(c.sinceAsked())
			return true
		}
		if crowd && i >= crowdTries {
			return false
		}
		if i%yieldEvery == 0 {
			if !crowd && c.sinceAsked() > lingerFor {
				return false
			}
			yieldProcessor()
		}
		runtime.Gosched()
	}
}

// sinceAsked is how long the reader has waited so far.
func (c *Conn) sinceAsked() time.Duration { return time.Duration(c.Now() - c.since) }
