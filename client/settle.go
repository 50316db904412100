package client

import (
	"slices"
	"time"
)

// maxUnsettled bounds the past lists that are not settled. Beyond it the oldest counts as settled: it
// takes changes that come just over one Announce apart, for long.
const maxUnsettled = 32

// settle notes which past lists no client goes by any more.
//
// Clients hear of a change up to half of Announce after each other. So of k lists that followed each other
// here within some time, another client has seen the last superseded no sooner than half of Announce less
// after it learned of the first. If that is k times Announce, one of them was its newest for as long as
// Announce: it has switched to it, and left all lists before the first. It had done so before it
// learned of what superseded the last; or, if that is the newest still, when it had been that
// for long enough.
func (m *membership) settle(now time.Time, announce time.Duration) {
	lists := append(append(slices.Clone(m.past), m.now), m.next...)
	last := lists[len(lists)-1]
	for i, from := range lists[1:] {
		end := from.learned.Add(time.Duration(last.number-from.number+1) * announce)
		surely := now.Sub(end) >= announce
		for _, to := range lists[i+2:] {
			if surely {
				break
			}
			end = to.learned
			surely = end.Sub(from.learned) >= time.Duration(to.number-from.number)*announce+announce/2
		}
		if !surely {
			continue
		}
		for _, p := range m.past[:min(i+1, len(m.past))] {
			if p.settled.IsZero() {
				p.settled = end
			}
		}
	}
	unsettled := 0
	for _, p := range slices.Backward(m.past) {
		if unsettled++; p.settled.IsZero() && unsettled > maxUnsettled {
			p.settled = now
		}
	}
}

// maxLeftovers is how many lists are remembered for the sake of the nodes that stay.
const maxLeftovers = 32

// forgetPast drops the lists that are over: none is before until has passed since it was settled.
func (m *membership) forgetPast(now time.Time, until, leftovers time.Duration) {
	kept := 0
	for i, p := range slices.Backward(m.past) {
		if p.settled.IsZero() || now.Sub(p.settled) < until {
			continue
		}
		if kept++; kept > maxLeftovers || now.Sub(p.settled) >= leftovers {
			m.past = slices.Delete(m.past, i, i+1)
		}
	}
}

// untold is since when other clients may not tell what is at an address any more what changes, the zero time if
// all do, or it has never been in the fleet: it is in a list that is in force or announced, or every client's window is open. A client that
// learned of everything half of Announce sooner may have closed its own.
func (m *membership) untold(addr string, now time.Time, window time.Duration) (since time.Time) {
	there := func(n *node) bool { return n.Addr == addr }
	for _, p := range append([]*placement{m.now}, m.next...) {
		if slices.ContainsFunc(p.nodes, there) {
			return time.Time{}
		}
	}
	for _, p := range m.past {
		if !slices.ContainsFunc(p.nodes, there) {
			continue
		}
		end := p.settled.Add(window)
		if p.settled.IsZero() || now.Before(end) {
			return time.Time{}
		}
		if end.After(since) {
			since = end
		}
	}
	return since
}
