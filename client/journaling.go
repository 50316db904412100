package client

import (
	"sync"
	"sync/atomic"
	"time"
)

// DebtJournal keeps what nodes are owed beyond the end of the process. Package client/journal
// has one that is a file. Its methods are called by one goroutine at a time.
type DebtJournal interface {
	// Load returns what was owed when the journal was last written to. New calls it.
	Load() ([]DebtRecord, error)
	// Write makes changes lasting, in their order, all or none. After an error the
	// same changes are written again, with those that came since.
	Write(changes []DebtRecord) error
}

// DebtRecord is a change of what a node is owed.
type DebtRecord struct {
	// Node is the node's name, Key what it is owed a delete of. An empty Key stands for more
	// than could be remembered: the node's debt has overflowed.
	Node, Key string
	// Paid says that it is owed no longer.
	Paid bool
	// At is when it was owed last, to a second: a process that was started later owes nothing of it. What is owed
	// anew is written again, with a later one. The zero time if that is unknown. Not set in what is paid.
	At time.Time
}

const (
	// journalPause is how long changes are collected before they are written.
	journalPause = 10 * time.Millisecond
	// journalRetry is how long after a failure they are written again.
	journalRetry = time.Second
)

// journaling brings the ledgers' changes to the journal.
type journaling struct {
	c *Client
	j DebtJournal // nil for none

	writing sync.Mutex // held across Write; before mu
	mu      sync.Mutex // guards what follows; under a ledger's lock, a leaf
	changes []DebtRecord
	running bool
	found   map[string][]DebtRecord // by node's name: what the journal had, until a node takes it
}

// open reads the journal, before there are nodes.
func (w *journaling) open(c *Client) error {
	w.c, w.j = c, c.cfg.DebtJournal
	if w.j == nil {
		return nil
	}
	owed, err := w.j.Load()
	if err != nil {
		return configError("DebtJournal: %w", err)
	}
	w.found = map[string][]DebtRecord{}
	for _, r := range owed {
		w.found[r.Node] = append(w.found[r.Node], r)
	}
	return nil
}

// adopt books what the journal has for a new node, and has its changes written from now on. late says that
// the node was not in the fleet from the beginning: it has missed more than the journal knows of, then.
func (w *journaling) adopt(n *node, late bool) {
	if w.j == nil {
		return
	}
	w.mu.Lock()
	owed := w.found[n.Name]
	delete(w.found, n.Name)
	w.mu.Unlock()
	var last time.Time
	marked := false // the journal knows of more than could be remembered
	for _, r := range owed {
		if r.At.IsZero() {
			r.At = time.Now()
		}
		if r.At.After(last) {
			last = r.At
		}
		marked = marked || r.Key == ""
	}
	// What is there already the journal has to hear of; what it has itself it has not.
	var known atomic.Bool
	n.debt.Watch(func(key string, owed bool) {
		if !owed || !known.Load() {
			w.note(DebtRecord{Node: n.Name, Key: key, Paid: !owed})
		}
	})
	if len(owed) == 0 {
		return
	}
	known.Store(true)
	lost := marked || late
	until := last.Add(time.Second) // which At may be too early by
	for _, r := range owed {
		// Twice: what the process before left in its connections' buffers may still run.
		if r.Key != "" && !n.debt.Owe(r.Key, last, w.c.replayPause()) {
			lost = true
		}
	}
	if lost {
		n.debt.Distrust(until)
	}
	known.Store(false)
	switch {
	case lost && !marked:
		w.note(DebtRecord{Node: n.Name, At: last})
		fallthrough
	case lost:
		// Who ran there then nobody knows; but one that was started after that came up empty.
		n.distrust(nil, until)
	default:
		n.mend()
	}
}

// left replaces what is owed to a node that leaves by a mark: what is changed from now on it
// misses, too, and nobody takes that down.
func (w *journaling) left(n *node) {
	if w.j == nil {
		return
	}
	n.debt.Watch(nil)
	for _, key := range n.debt.Owed() {
		w.note(DebtRecord{Node: n.Name, Key: key, Paid: true})
	}
	if n.kept && byName(w.c.top.Load().all, n.Name) == nil {
		w.note(DebtRecord{Node: n.Name})
	}
}

// note takes a change down. It is called with the ledger's lock held.
func (w *journaling) note(r DebtRecord) {
	if !r.Paid && r.At.IsZero() {
		r.At = time.Now()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.changes = append(w.changes, r)
	if !w.running {
		w.running = w.c.group.Go(w.run)
	}
}

// run writes until there is nothing left to write.
func (w *journaling) run() {
	pause := journalPause
	for {
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-w.c.ctx.Done():
			t.Stop()
			w.stop()
			return // Close writes the rest
		}
		pause = journalPause
		if err := w.flush(); err != nil {
			w.c.cfg.Hooks.journalFailed(err)
			pause = journalRetry
		}
		w.mu.Lock()
		if len(w.changes) == 0 {
			w.running = false
			w.mu.Unlock()
			return
		}
		w.mu.Unlock()
	}
}

func (w *journaling) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running = false
}

// late writes what is noted once the client is closed: by a call that was under way then, which hears of it in its own time, and
// whoever fails others' calls.
func (w *journaling) late() {
	if w.j == nil || w.c.ctx.Err() == nil {
		return
	}
	if err := w.flush(); err != nil {
		w.c.cfg.Hooks.journalFailed(err)
	}
}

// stillOwed reports whether another address of the name is owed it, too: it is noted as paid when that one
// has heard of it.
func (w *journaling) stillOwed(r DebtRecord) bool {
	for _, n := range w.c.everyone() {
		if n.Name == r.Node && n.debt.Owes(r.Key) {
			return true
		}
	}
	return false
}

// flush writes what has been noted. Of several changes of one key the last counts.
func (w *journaling) flush() error {
	if w.j == nil {
		return nil
	}
	w.writing.Lock()
	defer w.writing.Unlock()
	w.mu.Lock()
	changes := w.changes
	w.changes = nil
	w.mu.Unlock()
	type place struct{ node, key string }
	last := make(map[place]int, len(changes))
	for i, r := range changes {
		last[place{r.Node, r.Key}] = i
	}
	batch := make([]DebtRecord, 0, len(last))
	for i, r := range changes {
		if last[place{r.Node, r.Key}] != i {
			continue
		}
		if r.Paid && w.stillOwed(r) {
			r.Paid, r.At = false, time.Now()
		}
		batch = append(batch, r)
	}
	if len(batch) == 0 {
		return nil
	}
	err := w.j.Write(batch)
	if err != nil {
		w.mu.Lock()
		w.changes = append(batch, w.changes...)
		w.mu.Unlock()
	}
	return err
}
