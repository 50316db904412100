package client

import (
	"sync"
	"time"
)

const (
	// casMarks is how many (CAS, moment) pairs a node's clock remembers, casApart how far they are apart at least: so it
	// reaches 64 ms back, and further where there is less to see.
	casMarks = 64
	casApart = time.Millisecond
	// casAhead is how many of the newest marks tell how fast CAS values pass, and how many times as long as from one
	// of these to the next it may be since the newest for that to be believed.
	casAhead = 8
	// casWide is how far apart two marks may be for what lies between to be placed between them, and how old the newest
	// for what came after it to be placed at all: over longer times the counter goes at any rate.
	casWide = 20 * time.Millisecond
	// casOver is after how long without a larger value the marks are of another counter: the node is a proxy of several, say.
	casOver = time.Second
)

// casClock tells when a node gave out a CAS value. A server numbers all that is stored on it, whoever
// stores it, with one counter (protocol.txt, "cas unique"; memcached has one for the process), so what this client's own
// stores were numbered, and when, says about when another client's was: about, since the counter does not go at a steady
// rate. That is how old another's lease is, which the server itself tells to the second only.
//
// Nothing is right or wrong by it: it is for who has to choose when to ask again.
type casClock struct {
	mu    sync.Mutex // guards what follows; held for a few comparisons
	life  uint64     // of the node; a new one counts anew
	n     int        // marks there are
	next  int        // where the next goes
	marks [casMarks]casMark
}

type casMark struct {
	cas uint64
	at  time.Duration // since Client.born
}

// mark takes down that cas was given out just before at.
func (k *casClock) mark(life, cas uint64, at time.Duration) {
	if cas == 0 {
		return // the node has no CAS
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case life < k.life:
		return // a late answer of before
	case life > k.life:
		k.life, k.n = life, 0
	}
	if k.n > 0 {
		switch last := k.back(1); {
		case at-last.at < casApart:
			return
		case cas <= last.cas && at-last.at < casOver:
			return
		case cas <= last.cas:
			k.n = 0
		}
	}
	k.marks[k.next] = casMark{cas, at}
	k.next = (k.next + 1) % casMarks
	k.n = min(k.n+1, casMarks)
}

// back is the i-th newest mark, from 1 to n.
func (k *casClock) back(i int) *casMark { return &k.marks[(k.next-i+casMarks)%casMarks] }

// age is for how long cas has been given out at now, 0 if that can't be told: then it may be of any age. What is
// older than the oldest mark is at least as old as that, and what lies between two that are far apart as the younger.
func (k *casClock) age(life, cas uint64, now time.Duration) time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	if life != k.life || k.n < 2 || cas == 0 {
		return 0
	}
	from, to := k.back(2), k.back(1)
	if cas > to.cas {
		// Later than all we have seen: as many stores later as before, if it goes on like that.
		m := min(casAhead, k.n)
		from = k.back(m)
		if now-to.at > min(casAhead*(to.at-from.at)/time.Duration(m-1), casWide) {
			return 0
		}
	} else {
		for i := 2; i < k.n && cas < from.cas; {
			i++
			from, to = k.back(i), from
		}
	}
	if cas < to.cas && to.at-from.at > casWide {
		return max(now-to.at, 0) // it may have been given out at the end of that time
	}
	at := from.at + time.Duration(float64(cas-from.cas)/float64(to.cas-from.cas)*float64(to.at-from.at))
	if cas < from.cas {
		at = from.at // before the oldest
	}
	return max(now-at, 0)
}
