package demo

import (
	"sync"
	"time"

	"github.com/memherd/memherd/bench/internal/report"
	"github.com/memherd/memherd/bench/internal/subject"
	"github.com/memherd/memherd/hotkey"
)

// rising follows one key from the moment at which the storm breaks.
type rising struct {
	key string // without prefix

	mu           sync.Mutex // guards what follows; the client's callers tell of promotions
	broke        time.Time
	hot, hottest time.Time
	before       subject.Snapshot
}

// promoted hears of every key that rises.
func (r *rising) promoted(key string, level hotkey.Level) {
	if key != prefix+r.key {
		return
	}
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.broke.IsZero() {
		return // it was warm by chance, and sinks again or stays
	}
	if r.hot.IsZero() {
		r.hot = now // whoever skips a level has passed it
	}
	if level == hotkey.LevelHottest && r.hottest.IsZero() {
		r.hottest = now
	}
}

// breakOut has the storm break.
func (d *show) breakOut() error {
	s := d.s.Snapshot()
	d.rising.mu.Lock()
	d.rising.broke, d.rising.before = time.Now(), s
	d.rising.mu.Unlock()
	d.storm.Set(storm)
	return nil
}

// told is what became of the storm, in a phase that began at start and ends now; nil if it has not broken.
func (r *rising) told(first subject.Snapshot, start time.Time, last subject.Snapshot, now time.Time) *report.Storm {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.broke.IsZero() {
		return nil
	}
	since := func(t time.Time) float64 {
		if t.IsZero() {
			return -1
		}
		return float64(t.Sub(r.broke).Microseconds()) / 1e3
	}
	return &report.Storm{
		Key: r.key, Share: storm, DetectedMS: since(r.hot), PromotedMS: since(r.hottest),
		Before: r.before.Rates(first, r.broke.Sub(start)), After: last.Rates(r.before, now.Sub(r.broke)),
	}
}
