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
	if life != k.life {
		k.life, k.n, k.next = life, 0, 0
	}
	if k.n > 0 {
		last := k.back(1)
		if at-last.at < casApart || cas <= last.cas {
			return
		}
	}
	k.marks[k.next] = casMark{cas, at}
	k.next = (k.next + 1) % casMarks
	k.n = min(k.n+1, casMarks)
}

// back is the i-th newest mark, from 1 to n.
func (k *casClock) back(i int) *casMark { return &k.marks[(k.next-i+casMarks)%casMarks] }

// age is for how long cas has been given out at now, 0 if that can't be told: then it may be of any age. What is
// older than the oldest mark is at least as old as that.
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
		if now-to.at > casAhead*(to.at-from.at)/time.Duration(m-1) {
			return 0
		}
	} else {
		for i := 2; i < k.n && cas < from.cas; {
			i++
			from, to = k.back(i), from
		}
	}
	at := from.at + time.Duration(float64(cas-from.cas)/float64(to.cas-from.cas)*float64(to.at-from.at))
	if cas < from.cas {
		at = from.at // before the oldest
	}
	return max(now-at, 0)
}
