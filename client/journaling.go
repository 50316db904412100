package client

import (
	"sync"
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
	found   map[string][]string // by node's name: what the journal had, until a node takes it
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
	w.found = map[string][]string{}
	for _, r := range owed {
		w.found[r.Node] = append(w.found[r.Node], r.Key)
	}
	return nil
}

// adopt books what the journal has for a new node, and has its changes written from now on.
func (w *journaling) adopt(n *node) {
	if w.j == nil {
		return
	}
	w.mu.Lock()
	keys := w.found[n.Name]
	delete(w.found, n.Name)
	w.mu.Unlock()
	now := time.Now()
	for _, key := range keys {
		// Twice: what the process before left in its connections' buffers may still run.
		if key == "" || !n.debt.Owe(key, now, w.c.replayPause()) {
			n.debt.Distrust(now)
			n.breaker.Hold()
		}
	}
	n.debt.Watch(func(key string, owed bool) { w.note(DebtRecord{Node: n.Name, Key: key, Paid: !owed}) })
	if len(keys) > 0 {
		n.mend()
	}
}

// note takes a change down. It is called with the ledger's lock held.
func (w *journaling) note(r DebtRecord) {
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
		if last[place{r.Node, r.Key}] == i {
			batch = append(batch, r)
		}
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
