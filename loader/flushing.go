package loader

import (
	"context"
	"fmt"
	"time"
)

// finish ends what a worker had in hand. The caller holds j.e.copies, or has found a
// newer write.
func (b *backlog) finish(j job) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := j.e
	e.hand = nil
	b.leave(j.p.round)
	if e.newest == j.p {
		e.newest = nil
		b.count.Add(-1)
		b.free(j.p.cost)
		if e.clear != nil {
			close(e.clear)
			e.clear = nil
		}
	}
	b.offer(e)
}

// giveUp puts back what could not be finished: it is tried again after a pause, unless a
// newer write has come, which stands for both then.
func (b *backlog) giveUp(j job, pause time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := j.e
	e.hand = nil
	if e.newest != j.p {
		if !j.p.stored {
			b.stats.Coalesced++
		}
		b.leave(j.p.round)
		if n := e.newest; n.round > j.p.round {
			b.open[j.p.round]++
			b.leave(n.round)
			n.round = j.p.round
		}
	}
	if b.stopped {
		return
	}
	e.pause = time.AfterFunc(pause, func() { b.resume(e) })
}

func (b *backlog) resume(e *entry) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e.pause != nil && !b.stopped {
		e.pause = nil
		b.offer(e)
	}
}

// hurry ends all pauses.
func (b *backlog) hurry() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.entries {
		if e.pause != nil && e.pause.Stop() {
			e.pause = nil
			b.offer(e)
		}
	}
}

// flush waits until all writes published before it are finished.
func (b *backlog) flush(ctx context.Context) error {
	defer b.hasten()()
	b.mu.Lock()
	mine := b.round
	b.round++
	for {
		left := 0
		for round, n := range b.open {
			if round <= mine {
				left += n
			}
		}
		stopped, ended := b.stopped, b.ended
		b.mu.Unlock()
		switch {
		case left == 0:
			return nil
		case stopped:
			return fmt.Errorf("%w: %d writes are left in the journal", ErrClosed, left)
		}
		select {
		case <-ended:
		case <-ctx.Done():
			return fmt.Errorf("%w: %d writes: %w", ErrPending, left, ctx.Err())
		}
		b.mu.Lock()
	}
}

// await waits until no write of key is pending.
func (b *backlog) await(ctx context.Context, key string) error {
	hasty := false
	for {
		b.mu.Lock()
		e := b.entries[key]
		if e == nil || e.newest == nil {
			b.mu.Unlock()
			return nil
		}
		if e.clear == nil {
			e.clear = make(chan struct{})
		}
		clear := e.clear
		b.mu.Unlock()
		if !hasty {
			hasty = true
			defer b.hasten()()
		}
		select {
		case <-clear:
		case <-ctx.Done():
			return fmt.Errorf("%w: an earlier write of the key: %w", ErrPending, ctx.Err())
		case <-b.closing.Done():
			return ErrClosed
		}
	}
}

// setAside has a write that this process gives up, and the next one is to have, be read no more.
func (b *backlog) setAside(j job) {
	b.mu.Lock()
	defer b.mu.Unlock()
	j.p.aside = true
}

// park keeps a write that was set aside, once the copies have been seen to, but for one that a newer one has taken the place of.
func (b *backlog) park(j job) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if j.e.newest != j.p {
		return
	}
	rec := j.p.rec
	if b.parked == nil {
		b.parked = make(map[string]Record)
	}
	b.parked[rec.Key] = Record{Key: rec.Key, Deleted: rec.Deleted, Version: rec.Version} // its value is the journal's
}

// unpark returns what is parked of key, once.
func (b *backlog) unpark(key string) (rec Record, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	rec, ok = b.parked[key]
	delete(b.parked, key)
	return rec, ok
}

// stop makes take return nothing from now on.
func (b *backlog) stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stopped = true
	for _, e := range b.entries {
		if e.pause != nil {
			e.pause.Stop()
			e.pause = nil
		}
	}
	close(b.ended)
	b.ended = make(chan struct{})
	b.wake.Broadcast()
	b.full.Broadcast()
}

// unfinished is how many keys have a write that this process has not brought to the origin, nor left to the next start.
func (b *backlog) unfinished() (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.entries {
		if e.newest != nil && !e.newest.aside {
			n++
		}
	}
	return n
}

// tally changes the counters.
func (b *backlog) tally(f func(*BackCounters)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f(&b.stats)
}

func (b *backlog) counters() BackCounters {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.stats
	s.Pending = int(b.count.Load())
	return s
}
