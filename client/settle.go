package client

import (
	"slices"
	"time"
)

// maxUnsettled bounds the past lists that are not settled. Beyond it the oldest counts as settled: it
// takes changes that come just over one Announce apart, for long.
const maxUnsettled = 32

// settle notes which past lists no client goes by any more, and which some client may take for such.
//
// Clients hear of each change up to half of Announce after each other. So of k lists that followed each other
// here within some time another client has seen the last superseded up to Announce sooner or later, counted from when
// it learned of the first. If that is surely k times Announce, one of them was its newest for as long as
// Announce: it has switched to it, and left all lists before the first. It had done so before it
// learned of what superseded the last; or, if that is the newest still, when it had been that
// for long enough. And if it may be Announce more than that elsewhere, another client may be sure already.
func (m *membership) settle(now time.Time, announce time.Duration) {
	lists := append(append(slices.Clone(m.past), m.now), m.next...)
	last := lists[len(lists)-1]
	for i, from := range lists[1:] {
		// when is the first time at which the lists from this one on were there for long enough, and for slack more.
		when := func(slack time.Duration) (at time.Time) {
			for _, to := range lists[i+2:] {
				if to.learned.Sub(from.learned) >= time.Duration(to.number-from.number)*announce+slack {
					return to.learned
				}
			}
			if end := from.learned.Add(time.Duration(last.number-from.number+1) * announce); now.Sub(end) >= slack {
				return end
			}
			return time.Time{}
		}
		surely, maybe := when(announce), when(0)
		for _, p := range m.past[:min(i+1, len(m.past))] {
			if p.settled.IsZero() {
				p.settled = surely
			}
			if p.doubtful.IsZero() {
				p.doubtful = maybe
			}
		}
	}
	unsettled := 0
	for _, p := range slices.Backward(m.past) {
		if unsettled++; p.settled.IsZero() && unsettled > maxUnsettled {
			p.settled = now
			if p.doubtful.IsZero() {
				p.doubtful = now
			}
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
			m.forgotten.add(p)
			m.past = slices.Delete(m.past, i, i+1)
		}
	}
}

// forgotten are lists that are over. Other clients may remember them for longer, and say so, and then they must not
// be taken for lists that this one has never heard of. topMu guards it.
type forgotten []*placement

// maxForgotten bounds it: others have no more lists than that.
const maxForgotten = maxLists

func (f *forgotten) add(p *placement) {
	if len(*f) == maxForgotten {
		*f = slices.Delete(*f, 0, 1)
	}
	// Not p itself, which holds on to its nodes and its ring.
	*f = append(*f, &placement{print: p.print, learned: p.learned})
}

// has reports whether a list that another client learned of then is one of them, and has not come back since: no
// client learns of a list more than half of Announce before or after another.
func (f forgotten) has(print string, learned time.Time, announce time.Duration) bool {
	return slices.ContainsFunc(f, func(p *placement) bool {
		return p.print == print && !learned.After(p.learned.Add(announce))
	})
}

// untold is since when other clients may not tell what is at an address any more what changes, the zero time if
// all do, or it has never been in the fleet: it is in a list that is in force or announced, or every client's window is open. A client that
// learned of everything half of Announce sooner may have closed its own. Of what is announced the first lists count.
func (m *membership) untold(addr string, announced int, now time.Time, window time.Duration) (since time.Time) {
	there := func(n *node) bool { return n.Addr == addr }
	for _, p := range append([]*placement{m.now}, m.next[:announced]...) {
		if slices.ContainsFunc(p.nodes, there) {
			return time.Time{}
		}
	}
	for _, p := range m.past {
		if !slices.ContainsFunc(p.nodes, there) {
			continue
		}
		end := p.doubtful.Add(window)
		if p.doubtful.IsZero() || now.Before(end) {
			return time.Time{}
		}
		if end.After(since) {
			since = end
		}
	}
	return since
}
