package journal

import (
	"runtime"
	"time"
)

// A commit costs the same for one record as for a hundred, so that it pays to wait for those who
// are about to write. Writers that go on as soon as they are told (to put the value into the
// cache, and to come back with the next one) else fall into two halves: one waits for the
// disk while the other is on its way, and each commit has half of them.
const (
	// patience is which part of a commit's time is waited at most, and mostPatience the most: a commit
	// may take a second when the disk is busy with something else.
	patience     = 2
	mostPatience = 10 * time.Millisecond
	leastPause   = 20 * time.Microsecond // less is not worth a timer
	// mostSkipped is how many commits go without waiting after it was in vain again and again.
	mostSkipped = 64
)

// crowd is what is known of those who write. Journal.mu guards it.
type crowd struct {
	last  int           // groups in the last commit: as many may be on their way back
	took  time.Duration // what a commit takes, smoothed
	skip  int           // commits to go without waiting
	vain  int           // how many the next vain wait adds
	want  int           // while the leader waits: the length of the queue that it waits for; else 0
	there chan struct{} // has one when the queue is that long
}

// came tells the leader, if it waits for that, that the queue is n long.
func (c *crowd) came(n int) {
	if c.want > 0 && n >= c.want {
		c.want = 0
		select {
		case c.there <- struct{}{}:
		default:
		}
	}
}

// done notes a commit of so many groups.
func (c *crowd) done(groups int, took time.Duration) {
	if groups == 0 {
		return // it struck out what was forgotten
	}
	c.last = groups
	if c.took == 0 {
		c.took = took
	}
	c.took += (took - c.took) / 8
}

// limit is how long to wait for want groups where there are have; 0 means not at all.
func (c *crowd) limit(have, want int) time.Duration {
	d := min(c.took/patience, mostPatience)
	switch {
	case want <= have || d < leastPause:
		return 0
	case c.skip > 0:
		c.skip--
		return 0
	}
	return d
}

// learn notes how many of those waited for have come. When less than half of them did, as many
// commits as the next one would have gained nothing from are left alone, twice as many each time.
func (c *crowd) learn(missing, came int) {
	if 2*came >= missing {
		c.vain = 0
		return
	}
	c.vain = min(max(1, 2*c.vain), mostSkipped)
	c.skip = c.vain
}

// gather waits for those that are about to join: those who run, until a round of the
// scheduler brings nobody; then, for part of the time that a commit takes, as many as
// the last commit had. The caller leads and holds j.mu; passed says that it waited for the
// last commit to end, so that those who were in it come in addition to the queue.
func (j *Journal) gather(passed bool) {
	waited := 0
	if passed {
		waited = len(j.queue)
	}
	for before := -1; before < len(j.queue) && len(j.queue) < mostAtOnce; {
		before = len(j.queue)
		j.mu.Unlock()
		runtime.Gosched()
		j.mu.Lock()
	}
	c := &j.crowd
	have, want := len(j.queue), min(waited+c.last, mostAtOnce)
	d := c.limit(have, want)
	if d == 0 {
		return
	}
	c.want = want
	j.mu.Unlock()
	t := time.NewTimer(d)
	select {
	case <-c.there:
	case <-t.C:
	}
	t.Stop()
	j.mu.Lock()
	c.want = 0
	select { // it may have come behind the timer
	case <-c.there:
	default:
	}
	c.learn(want-have, len(j.queue)-have)
}
