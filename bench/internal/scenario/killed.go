package scenario

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/memherd/memherd/bench/internal/origin"
	"github.com/memherd/memherd/bench/internal/part"
)

const (
	fKills     = "processes killed"
	fAccepted  = "writes accepted"
	fAtOrigin  = "of these at the origin, others were replaced before"
	fTwice     = "of these twice"
	fLost      = "writes lost"
	fDisorder  = "keys that went back at the origin"
	fUnlike    = "copies that do not hold what the origin has"
	killedKeys = 16 // of each writer
	writers    = 64
)

// early is the share of kills that come at a moment of the start, when the journal is
// replayed, and not after a number of writes.
const early = 0.1

// startsWithin is how long after the start of a process those kills come at most.
const startsWithin = 60 * time.Millisecond

// killed has a process that writes back killed again and again, and its successor goes on
// with its journal.
func killed() Scenario {
	return Scenario{
		Name: "killed", Title: "a process that writes back to SQLite is killed, again and again, each time at another moment", Once: true,
		Figures: []Figure{{Name: fKills, Format: "%.0f"}, {Name: fAccepted, Format: "%.0f"}, {Name: fAtOrigin, Format: "%.0f"}, {Name: fTwice, Format: "%.0f"},
			{Name: fLost, Format: "%.0f", Bound: most(0), Safety: true}, {Name: fDisorder, Format: "%.0f", Bound: most(0), Safety: true},
			{Name: fUnlike, Format: "%.0f", Bound: most(0), Safety: true}},
		play: (*run).killed,
	}
}

func (r *run) killed() (err error) {
	s, err := raise(herdNodes, r.seed)
	if err != nil {
		return err
	}
	defer closing(&err, s.close)
	dir, err := os.MkdirTemp("", "memherd-killed-")
	if err != nil {
		return fmt.Errorf("cannot make a folder for the database and the journal: %w", err)
	}
	defer closing(&err, func() error { return os.RemoveAll(dir) })
	cfg := writing{Nodes: s.straight(), Database: filepath.Join(dir, "rows.db"), Journal: filepath.Join(dir, "journal"), Timeout: HerdTimeout,
		Fails: 0.05, Writers: writers, Keys: killedKeys}
	rng := rand.New(rand.NewPCG(r.seed, 0xdead))
	accepted, total := map[string]int{}, 0
	for n := range r.Herd.Kills {
		cfg.Base = n * 1_000_000
		acks, err := r.life(cfg, rng)
		if err != nil {
			return err
		}
		for _, a := range acks {
			accepted[a.K] = max(accepted[a.K], a.N)
		}
		total += len(acks)
	}
	r.put(fKills, float64(r.Herd.Kills))
	r.put(fAccepted, float64(total))
	cfg.Fails, cfg.Writers = 0, 0
	if err := r.drain(cfg); err != nil {
		return err
	}
	return r.compare(s, cfg, accepted)
}

// life starts a writer and kills it; the writes it said were accepted are returned.
func (r *run) life(cfg writing, rng *rand.Rand) (acks []ack, err error) {
	p, err := part.Start(r.ctx, writerPart, cfg)
	if err != nil {
		return nil, err
	}
	defer closing(&err, p.Kill)
	at := rng.IntN(2 * r.Herd.Writes)
	if rng.Float64() < early {
		at = -1
		t := time.AfterFunc(time.Duration(rng.Int64N(int64(startsWithin))), p.Signal)
		defer t.Stop()
	}
	ready := false
	for {
		if len(acks) == at && ready {
			p.Signal() // what it has said until then is still heard
		}
		var a ack
		err := p.Hear(&a)
		switch {
		case r.ctx.Err() != nil:
			return nil, r.ctx.Err()
		case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
			if !p.Killed() {
				return nil, err
			}
			return acks, nil
		case err != nil:
			return nil, err
		case !ready:
			ready = true
		default:
			acks = append(acks, a)
		}
	}
}

// drain has a last process bring what is left to the origin.
func (r *run) drain(cfg writing) (err error) {
	p, err := part.Start(r.ctx, writerPart, cfg)
	if err != nil {
		return err
	}
	defer closing(&err, p.Close)
	var w written
	if err := p.Hear(&w); err != nil {
		return err
	}
	if err := p.Ask(writeOrder{Flush: true}, &w); err != nil {
		return err
	}
	if w.Err != "" {
		return errors.New(w.Err)
	}
	return nil
}

// compare holds the origin against what was accepted, and the copies against the origin.
func (r *run) compare(s *stage, cfg writing, accepted map[string]int) (err error) {
	db, err := origin.OpenVersioned(cfg.Database, false)
	if err != nil {
		return err
	}
	defer closing(&err, db.Close)
	var writes, twice, disorder, lost, unlike int
	has := map[string]int{}
	err = db.Writes(r.ctx, func(key, body string) error {
		n, err := strconv.Atoi(body)
		if err != nil {
			return fmt.Errorf("the origin has what nobody wrote: %w", err)
		}
		switch {
		case n < has[key]:
			disorder++
			r.bad.Add("a key went back at the origin")
		case n == has[key]:
			twice++
		}
		has[key] = n
		writes++
		return nil
	})
	if err != nil {
		return err
	}
	for key, n := range accepted {
		if has[key] < n {
			lost++
			r.bad.Add("an accepted write was lost")
		}
	}
	peeks, err := s.peek()
	if err != nil {
		return err
	}
	defer closing(&err, peeks.close)
	for key, n := range has {
		other, err := peeks.others(r.ctx, key, strconv.Itoa(n))
		if err != nil {
			return err
		}
		unlike += other
	}
	for name, v := range map[string]int{fAtOrigin: writes, fTwice: twice, fLost: lost, fDisorder: disorder, fUnlike: unlike} {
		r.put(name, float64(v))
	}
	return nil
}
