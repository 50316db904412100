package scenario

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/memherd/memherd/bench/internal/origin"
	"github.com/memherd/memherd/bench/internal/part"
	"github.com/memherd/memherd/loader"
)

const (
	fSchedules = "schedules"
	fPending   = "of these, killed before the origin had the write"
	fWentBack  = "newer foreign writes undone at the origin"
	fReadsOld  = "reads that did not see it"
)

// foreignDelay is the longest that the origin takes for a write, so that a kill often comes
// before it has it.
const foreignDelay = 20 * time.Millisecond

// foreign has two processes write one key: what the first has written back is replayed
// behind a newer write of the second. The origin compares versions.
func foreign() Scenario {
	return Scenario{
		Name: "foreign", Title: "a write that waits for the origin, evictions, kill -9, another process's later write, and the replay", Once: true,
		Figures: []Figure{{Name: fSchedules, Format: "%.0f"}, {Name: fPending, Format: "%.0f"}, {Name: fWentBack, Format: "%.0f", Bound: most(0), Safety: true},
			{Name: fUnlike, Format: "%.0f", Bound: most(0), Safety: true}, {Name: fReadsOld, Format: "%.0f", Bound: most(0), Safety: true}},
		play: func(r *run) error { return r.foreign(true) },
	}
}

// duel is what the schedules of foreign have in common.
type duel struct {
	r             *run
	rng           *rand.Rand
	s             *stage
	db            *origin.Versioned
	peeks         peeks
	cfg           writing
	first, second *part.Player
}

// foreign plays it with an origin that compares versions, or with one that does not.
func (r *run) foreign(guarded bool) (err error) {
	s, err := raise(herdNodes, r.seed)
	if err != nil {
		return err
	}
	defer closing(&err, s.close)
	dir, err := os.MkdirTemp("", "memherd-foreign-")
	if err != nil {
		return fmt.Errorf("cannot make a folder for the database and the journals: %w", err)
	}
	defer closing(&err, func() error { return os.RemoveAll(dir) })
	d := &duel{r: r, rng: rand.New(rand.NewPCG(r.seed, 0xd0e1)), s: s,
		cfg: writing{Nodes: s.straight(), Database: filepath.Join(dir, "rows.db"), Guarded: guarded, Timeout: HerdTimeout, Delay: foreignDelay}}
	if d.db, err = origin.OpenVersioned(d.cfg.Database, guarded); err != nil {
		return err
	}
	defer closing(&err, d.db.Close)
	if d.peeks, err = s.peek(); err != nil {
		return err
	}
	defer closing(&err, d.peeks.close)
	start := func(journal string) (*part.Player, error) {
		cfg := d.cfg
		cfg.Journal = filepath.Join(dir, journal)
		return part.Start(r.ctx, writerPart, cfg)
	}
	defer func() {
		for _, p := range []*part.Player{d.first, d.second} {
			if p != nil {
				closing(&err, p.Kill)
			}
		}
	}()
	if d.second, err = start("second"); err == nil {
		err = d.second.Hear(&written{})
	}
	if err != nil {
		return err
	}
	if d.first, err = start("first"); err == nil {
		err = d.first.Hear(&written{})
	}
	if err != nil {
		return err
	}
	r.put(fSchedules, float64(r.Herd.Schedules))
	for _, name := range []string{fPending, fWentBack, fUnlike, fReadsOld} {
		r.put(name, 0)
	}
	for n := range r.Herd.Schedules {
		if err := d.schedule(fmt.Sprint("k", n), func() (*part.Player, error) { return start("first") }); err != nil {
			return fmt.Errorf("schedule %d: %w", n, err)
		}
	}
	return nil
}

// upTo is a random time.
func (d *duel) upTo(most time.Duration) time.Duration {
	return time.Duration(d.rng.Int64N(int64(most)))
}

// ask gives an order that must be carried out.
func ask(p *part.Player, o writeOrder) (string, error) {
	var w written
	if err := p.Ask(o, &w); err != nil {
		return "", err
	}
	if w.Err != "" {
		return "", errors.New(w.Err)
	}
	return w.Body, nil
}

// schedule plays one: the first process writes back and is killed, the second writes
// later, before or after the kill or while the successor replays the journal.
func (d *duel) schedule(key string, again func() (*part.Player, error)) error {
	if _, err := ask(d.second, writeOrder{Put: key, Body: "old", Policy: loader.WriteAround}); err != nil {
		return err
	}
	if d.rng.IntN(2) == 0 { // the copies have it, or not
		if _, err := ask(d.second, writeOrder{Get: key}); err != nil {
			return err
		}
	}
	if _, err := ask(d.first, writeOrder{Put: key, Body: "first", Policy: loader.WriteBack}); err != nil {
		return err
	}
	if err := d.meddle(key); err != nil {
		return err
	}
	write := func() error {
		policy := []loader.WritePolicy{loader.WriteAround, loader.WriteThrough, loader.WriteBack}[d.rng.IntN(3)]
		_, err := ask(d.second, writeOrder{Put: key, Body: "second", Policy: policy})
		return err
	}
	when := d.rng.IntN(3)
	if when == 0 {
		if err := write(); err != nil {
			return err
		}
	}
	if err := d.r.pause(d.upTo(foreignDelay / 2)); err != nil {
		return err
	}
	if err := d.first.Kill(); err != nil {
		return err
	}
	if row, err := d.db.Load(d.r.ctx, key); err != nil {
		return err
	} else if row.Body == "old" {
		d.r.add(fPending, 1)
	}
	if when == 1 {
		if err := write(); err != nil {
			return err
		}
	}
	if err := d.meddle(key); err != nil {
		return err
	}
	var err error
	if d.first, err = again(); err != nil {
		return err
	}
	if when == 2 {
		if err := d.r.pause(d.upTo(startsWithin)); err != nil {
			return err
		}
		if err := write(); err != nil {
			return err
		}
	}
	if err := d.first.Hear(&written{}); err != nil {
		return err
	}
	return d.judge(key)
}

// meddle evicts the key from some of its copies, and has it read, or not, now or a little later.
func (d *duel) meddle(key string) error {
	if err := d.r.pause(d.upTo(foreignDelay / 4)); err != nil {
		return err
	}
	for _, p := range d.peeks {
		if d.rng.IntN(3) == 0 {
			if _, err := p.client.Delete(d.r.ctx, key); err != nil {
				return err
			}
		}
	}
	if d.rng.IntN(2) == 0 {
		_, err := ask(d.second, writeOrder{Get: key})
		return err
	}
	return nil
}

// judge waits until both have told the origin all they had, and looks who has what.
func (d *duel) judge(key string) error {
	for _, p := range []*part.Player{d.first, d.second} {
		if _, err := ask(p, writeOrder{Flush: true}); err != nil {
			return err
		}
	}
	row, err := d.db.Load(d.r.ctx, key)
	if err != nil {
		return err
	}
	if row.Body != "second" {
		d.r.bad.Add("the origin has the older write")
		d.r.add(fWentBack, 1)
	}
	unlike, err := d.peeks.others(context.Background(), key, row.Body)
	if err != nil {
		return err
	}
	d.r.add(fUnlike, float64(unlike))
	for _, p := range []*part.Player{d.first, d.second} {
		body, err := ask(p, writeOrder{Get: key})
		if err != nil {
			return err
		}
		if body != "second" {
			d.r.add(fReadsOld, 1)
		}
	}
	return nil
}
