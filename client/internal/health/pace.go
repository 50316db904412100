package health

import "time"

// Pace bounds how often a node is dialled: a node that takes connections, serves them
// and loses them again looks well each time, and every caller would dial it anew. The
// zero value allows paceDials a second to callers, and paceAll with the probes. It is not
// safe for concurrent use.
type Pace struct {
	at   [paceAll]time.Time // the last dials; next is the oldest
	next int
}

const (
	paceDials = 5
	paceAll   = 10
)

// Take notes a dial and returns true, or returns false if there were as many as are
// allowed within the last second.
func (p *Pace) Take(now time.Time) bool {
	if oldest := p.at[(p.next+paceAll-paceDials)%paceAll]; !oldest.IsZero() && now.Sub(oldest) < time.Second {
		return false
	}
	p.Note(now)
	return true
}

// Note notes a dial that is made in any case, a probe.
func (p *Pace) Note(now time.Time) {
	p.at[p.next] = now
	p.next = (p.next + 1) % paceAll
}

// Room is how long to wait before another dial is not too many even for a probe.
func (p *Pace) Room(now time.Time) time.Duration {
	oldest := p.at[p.next]
	if oldest.IsZero() {
		return 0
	}
	return max(0, time.Second-now.Sub(oldest))
}
