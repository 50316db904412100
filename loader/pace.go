package loader

import (
	"math/rand/v2"
	"sync/atomic"
	"time"
)

const (
	// Of a load of unknown length who waits asks again after a quarter of the wait so far, from the first pause to the
	// last: so a value is seen at most a quarter later than it was waited for, and no later than the last pause.
	firstPause = time.Millisecond
	lastPause  = 50 * time.Millisecond
	// Before loads are known to end there is little to see but a load that began before the wait did, or has failed, or
	// was one of many keys: a request every earlyPart of that time is enough. Where requests are slow, because the node is
	// far away or busy, they are earlyTrips of them apart, up to earlyPause, since more would make a busy node busier. The
	// last of these pauses may be half as long again.
	earlyPart  = 5
	earlyTrips = 40
	earlyPause = 10 * time.Millisecond
	// From then on until loads have usually ended they may end at any moment: the pauses are as for an unknown load, but
	// no shorter than a bluntPart of a load, or bluntPause if that is less. bluntPause is also when who waits looks first
	// where there are writers, since what it waits for may be one.
	bluntPart  = 5
	bluntPause = 2 * time.Millisecond
	// When they usually end the pauses are a duePart of a load, no less than finePause.
	duePart   = 20
	finePause = 500 * time.Microsecond
)

// pace is how long loads take of late, and from that how often who waits for another process's asks for its value. A
// request to a node is dear where every process of a fleet waits for the same key, and most of those sent before a load
// can have ended are in vain. The zero pace knows nothing. Any number of goroutines may use it: what two learn at one
// moment may count as one.
type pace struct {
	usual atomic.Int64 // nanoseconds, a moving mean; 0 before the first load
	quick atomic.Int64 // near the shortest that are not rare: it falls fast and rises slowly
	trip  atomic.Int64 // of a request to the cache, a moving mean; 0 before the first

	// writers says that others may take tokens to write the key, which looks as a load does. Set before use.
	writers bool
}

// learn takes down how long a load took.
func (p *pace) learn(took time.Duration) {
	t := max(int64(took), 1)
	usual, quick := p.usual.Load(), p.quick.Load()
	if usual == 0 {
		usual, quick = t, t
	}
	if t < quick {
		p.quick.Store(quick + (t-quick)/2)
	} else {
		p.quick.Store(quick + (t-quick)/128)
	}
	p.usual.Store(usual + (t-usual)/8) // last: who sees it finds quick, too
}

// answered takes down how long the cache took to answer a request.
func (p *pace) answered(took time.Duration) {
	trip := p.trip.Load()
	p.trip.Store(trip + (int64(took)-trip)/8)
}

// since is when what is waited for began: not after began, when the wait did, and earlier if it has been held for longer by
// then, but not by more than what a load takes at least, since held is a guess.
func (p *pace) since(began, now time.Time, held time.Duration) time.Time {
	held = min(held-2*time.Duration(p.trip.Load()), time.Duration(p.quick.Load()))
	if at := now.Add(-held); held > 0 && at.Before(began) {
		return at
	}
	return began
}

// pause is how long to pause after a wait of waited. Processes that wait for the same load must not ask in step, so a part
// of it is chance.
func (p *pace) pause(waited time.Duration) time.Duration {
	d, chance := p.plan(waited)
	return d - rand.N(chance)
}

// plan is the longest pause after a wait of waited, and how much of it may be left out.
func (p *pace) plan(waited time.Duration) (most, chance time.Duration) {
	usual, quick := time.Duration(p.usual.Load()), time.Duration(p.quick.Load())
	if usual-quick < usual/10 {
		quick = usual // they take all about as long
	}
	due := usual - usual/(2*duePart) // not a pause later
	switch left := quick - waited; {
	case p.writers && waited < bluntPause && left > 2*bluntPause:
		most = bluntPause
	case left >= finePause:
		trips := earlyTrips * time.Duration(p.trip.Load())
		early := max(quick/earlyPart, min(max(trips, bluntPause), earlyPause))
		if left > early+early/2 || left > lastPause {
			most = min(early, lastPause)
			break
		}
		// The next request is the one that finds the value of a load that began just before the wait.
		return left + finePause/2, finePause / 2
	case waited < due:
		first := max(min(usual/bluntPart, bluntPause), finePause)
		most = min(max(waited/4, first), max(due-waited, finePause), lastPause)
	case waited < usual+usual/4:
		most = min(max(usual/duePart, finePause), lastPause)
	default:
		most = min(max(waited/4, firstPause), lastPause)
	}
	return most, most / 4
}
