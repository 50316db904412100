package journal

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/memherd/memherd/loader"
)

const (
	// mostAtOnce is how many records one commit takes, about.
	mostAtOnce = 1024
	// mostBytes is how many bytes of values one commit takes, about.
	mostBytes = 8 << 20
	// forgetAfter is how long a forgotten record may stay in the file when no write comes
	// that takes it along, and mostForgotten how many of them.
	forgetAfter   = time.Second
	mostForgotten = 1024
)

// ErrClosed: the journal has been closed.
var ErrClosed = errors.New("journal: closed")

// disk is what a Journal writes to. commit makes all of its changes lasting, or none; synced says how often
// it has waited for the disk so far.
type disk interface {
	commit(c change) error
	synced() uint64
	load(fn func(loader.Record) error) error
	close() error
}

// change is one commit: put has the new records, strike the numbers of old ones, which
// may be among the new, and clock the journal's last version.
type change struct {
	put    []loader.Record
	strike []uint64
	clock  loader.Version
}

// Journal is a loader.Journal. Make it with Open. Its methods may be called concurrently.
// It starts no goroutine; the function of its timer is waited for by Close.
type Journal struct {
	path string
	disk disk

	mu     sync.Mutex // guards what follows; orders before log.mu (Replay)
	quiet  *sync.Cond // leading has become false, or ended true
	clock  loader.Version
	live   map[string]uint64 // the number of each key's record
	queue  []*group
	strike []uint64 // for the next commit
	// forgotten are the keys that strike is about, and going those of the commit under way, or of one that has failed.
	forgotten, going map[string]bool
	leading          bool // somebody commits
	crowd            crowd
	timer            *time.Timer
	failed           error // the disk's, for ever
	closed           bool
	ended            bool  // the first Close has returned endErr
	endErr           error // its error
	replayed         bool

	stats Stats
}

// Stats counts what a journal has done since Open.
type Stats struct {
	Records uint64 // records accepted
	Commits uint64 // commits, each of one fdatasync
	Syncs   uint64 // fdatasyncs: those of commits, of Open, and two for each change of generation, see the package
}

func newJournal(path string, d disk) *Journal {
	j := &Journal{path: path, disk: d, live: make(map[string]uint64), crowd: crowd{there: make(chan struct{}, 1)}}
	j.quiet = sync.NewCond(&j.mu)
	return j
}

// group is what one call of Append waits for.
type group struct {
	recs   []loader.Record
	strike []uint64
	turn   chan bool // true: commit for all; false: done
	err    error
}

// Append implements loader.Journal. Callers that come while another commits wait for the
// next commit and share it.
func (j *Journal) Append(recs []loader.Record) error {
	if len(recs) == 0 {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.refuses(); err != nil {
		return err
	}
	for _, r := range recs {
		if err := checkSizes(len(r.Key), len(r.Value)); err != nil {
			return err
		}
	}
	g := &group{recs: recs, turn: make(chan bool, 1)}
	for i := range recs {
		r := &recs[i]
		j.tick()
		r.Version = j.clock
		if old, ok := j.live[r.Key]; ok {
			g.strike = append(g.strike, old)
		}
		j.live[r.Key] = r.Version.Seq
	}
	return j.wait(g)
}

// wait has g committed, in whatever commit comes next. The caller holds j.mu, which is free meanwhile.
func (j *Journal) wait(g *group) error {
	j.queue = append(j.queue, g)
	j.crowd.came(len(j.queue))
	passed := j.leading
	if passed {
		j.mu.Unlock()
		lead := <-g.turn
		j.mu.Lock()
		if !lead {
			return g.err
		}
	}
	j.leading = true
	j.gather(passed)
	j.commit()
	j.pass()
	return g.err
}

// tick moves the clock on: Seq by one, Time to now, but never back and never twice the same.
func (j *Journal) tick() {
	j.clock.Seq++
	now := time.Unix(0, time.Now().UnixNano())
	if !now.After(j.clock.Time) {
		now = j.clock.Time.Add(1)
	}
	j.clock.Time = now
}

func (j *Journal) refuses() error {
	switch {
	case j.closed:
		return ErrClosed
	case j.failed != nil:
		return fmt.Errorf("%w (it takes no more writes until it is opened again)", j.failed)
	}
	return nil
}

// commit writes what has been queued and tells those who wait. The caller leads, and
// holds j.mu, which is free while the disk works.
func (j *Journal) commit() {
	c := change{strike: j.strike, clock: j.clock}
	j.strike, j.going, j.forgotten = nil, j.forgotten, nil
	n, records, bytes := 0, 0, 0
	for n < len(j.queue) && records < mostAtOnce && bytes < mostBytes {
		records += len(j.queue[n].recs)
		for _, r := range j.queue[n].recs {
			bytes += len(r.Value)
		}
		n++
	}
	c.put = make([]loader.Record, 0, records)
	for _, g := range j.queue[:n] {
		c.put = append(c.put, g.recs...)
		c.strike = append(c.strike, g.strike...)
	}
	groups := j.queue[:n:n]
	j.queue = j.queue[n:]
	err := j.failed
	if err == nil {
		j.mu.Unlock()
		begun := time.Now()
		err = j.disk.commit(c)
		took := time.Since(begun)
		j.mu.Lock()
		j.crowd.done(len(groups), took)
		if err != nil {
			err = fmt.Errorf("journal: writing %s: %w", j.path, err)
			j.failed = err
		} else {
			j.going = nil
			j.stats.Commits++
			j.stats.Records += uint64(len(c.put))
		}
	}
	for _, g := range groups {
		g.err = err
		g.turn <- false
	}
	clear(groups) // the queue's array keeps no values
}

// pass makes the first who waits the next leader.
func (j *Journal) pass() {
	if len(j.queue) > 0 {
		j.queue[0].turn <- true
		return
	}
	j.leading = false
	j.quiet.Broadcast()
}

// Forget implements loader.Journal. The record goes from the file with the next commit;
// if none comes, within a second.
func (j *Journal) Forget(rec loader.Record) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed || j.live[rec.Key] != rec.Version.Seq {
		return // a newer record has struck it out
	}
	delete(j.live, rec.Key)
	if j.forgotten == nil {
		j.forgotten = map[string]bool{}
	}
	j.forgotten[rec.Key] = true
	j.strike = append(j.strike, rec.Version.Seq)
	switch {
	case len(j.strike) >= mostForgotten && !j.leading:
		j.sweep()
	case j.timer == nil:
		j.timer = time.AfterFunc(forgetAfter, j.late)
	}
}

// Settle implements loader.Settler: it returns when what was forgotten of key is struck out on the disk, at once if that has been done. It fails
// if the journal has failed before it was, or with a record of the key, or is closed.
func (j *Journal) Settle(key string) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	// After a failure a record that was refused may be there at the next start, and the one whose place it would have taken.
	mayBe := j.failed != nil && j.live[key] != 0
	if !j.forgotten[key] && !j.going[key] && !mayBe {
		return nil
	}
	if err := j.refuses(); err != nil {
		return err
	}
	// An empty group: its commit begins after the one under way, which may strike the record out, has ended.
	return j.wait(&group{turn: make(chan bool, 1)})
}

// late is the timer's function.
func (j *Journal) late() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.timer = nil
	switch {
	case j.closed:
	case j.leading: // the commit under way may have begun too early
		j.timer = time.AfterFunc(forgetAfter, j.late)
	default:
		j.sweep()
	}
}

// sweep commits what is forgotten. The caller holds j.mu and nobody leads.
func (j *Journal) sweep() {
	if len(j.strike) == 0 || j.failed != nil {
		return
	}
	j.leading = true
	j.commit()
	j.pass()
}

// Replay implements loader.Journal. It fails after a call that has not: the journal has a loader. fn may not call the journal.
func (j *Journal) Replay(fn func(loader.Record) error) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.refuses(); err != nil {
		return err
	}
	if j.replayed {
		return fmt.Errorf("journal: %s belongs to another loader of this process: each needs a file of its own", j.path)
	}
	if err := j.disk.load(fn); err != nil {
		return fmt.Errorf("journal: reading %s: %w", j.path, err)
	}
	j.replayed = true // a loader that could not be made has not got it
	return nil
}

// Stats returns a snapshot.
func (j *Journal) Stats() Stats {
	j.mu.Lock()
	defer j.mu.Unlock()
	s := j.stats
	s.Syncs = j.disk.synced()
	return s
}

// Close waits for commits under way, strikes out what is forgotten, and closes the file.
// Close the loader first. Its error says that the file could not be written; what
// was accepted is there all the same. Further calls wait for the first and return its error.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		for !j.ended {
			j.quiet.Wait()
		}
		return j.endErr
	}
	j.closed = true
	if j.timer != nil {
		j.timer.Stop() // one that runs already finds closed set
	}
	for j.leading {
		j.quiet.Wait()
	}
	j.sweep()
	err := j.failed
	if cerr := j.disk.close(); cerr != nil {
		err = errors.Join(err, fmt.Errorf("journal: closing %s: %w", j.path, cerr))
	}
	j.ended, j.endErr = true, err
	j.quiet.Broadcast()
	return err
}
