package contest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/memherd/memherd/bench/internal/versus"
)

// Options say how thoroughly to compare.
type Options struct {
	Rounds int           // of each case; the median counts
	Slot   time.Duration // of one player's turn
	Seed   uint64
	// MaxRate bounds operations a second, a GetMulti counting as its keys; 0 is as fast as it goes.
	MaxRate float64
	// Watch, if not nil, is told before each turn what it is.
	Watch func(word string)
	// Took, if not nil, is told of each turn what came of it.
	Took func(player string, c Case, t versus.Turn)
}

// Arena is the servers and those who play on them.
type Arena struct {
	// Players are all that can play on so many nodes: gomemcache first, which the
	// others are divided by, and gomemcache again among them.
	Players func(nodes int) []Player
	filled  map[string]bool // by player, nodes and stock
}

// Turns is how many turns a table has in a round.
func (a *Arena) Turns(t Table) int {
	n := len(a.Players(t.Nodes))
	if t.Deadline > 0 {
		n += 2
	}
	return n * len(t.Cases)
}

// Row is one player in one case.
type Row struct {
	versus.Score
	Size    int            `json:"size"`
	Bound   versus.Bound   `json:"bound"`
	Verdict versus.Verdict `json:"verdict"`
}

// Check is a promise beside the throughput, held against its noise.
type Check struct {
	What    string         `json:"what"`
	Ratio   versus.Spread  `json:"ratio"`
	Noise   versus.Spread  `json:"noise"`
	Bound   versus.Bound   `json:"bound"`
	Verdict versus.Verdict `json:"verdict"`
}

// Result is a table that was played.
type Result struct {
	Name   string   `json:"name"`
	Title  string   `json:"title"`
	Rows   []Row    `json:"rows"`
	Checks []Check  `json:"checks"`
	Notes  []string `json:"notes"`
}

// Play plays a table. If ctx ends meanwhile, what was played until then comes with the error.
func (a *Arena) Play(ctx context.Context, t Table, o Options) (Result, error) {
	res := Result{Name: t.Name, Title: t.Title}
	for _, c := range t.Cases {
		stock := NewStock(c.keys(), c.Size)
		players := a.Players(t.Nodes)
		if len(players) == 0 || players[0].Name != Base {
			return res, fmt.Errorf("%s must play, and be the first", Base)
		}
		if err := a.fill(ctx, stock, players, t.Nodes, o.MaxRate); err != nil {
			return res, err
		}
		cfg := versus.Config{
			Rounds: o.Rounds,
			Slot:   versus.Slot{Goroutines: c.Goroutines, Length: o.Slot, Picks: stock.picks(t.Work), Seed: o.Seed, Every: t.Gap(o.MaxRate)},
		}
		if o.Watch != nil {
			cfg.Watch = func(name string, round int) {
				o.Watch(fmt.Sprintf("%s: %s, %s, round %d of %d", t.Name, name, at(c.Goroutines), round+1, o.Rounds))
			}
		}
		if o.Took != nil {
			cfg.Took = func(name string, turn versus.Turn) { o.Took(name, c, turn) }
		}
		all := contenders(t, stock, players)
		cfg.Base, cfg.Others = all[0], all[1:]
		scores, err := versus.Run(ctx, cfg)
		if len(scores) > 0 {
			res.judge(t, c, scores)
		}
		if err != nil {
			if ctx.Err() != nil {
				res.Notes = append(res.Notes, fmt.Sprintf("stopped at %s, before its end: these are the figures until then", at(c.Goroutines)))
			}
			return res, fmt.Errorf("%s: %w", t.Title, err)
		}
	}
	return res, nil
}

// without is added to the name of a player that plays without the deadline.
const without = ", no deadline"

// enter makes a contender of p that does work on what s holds; see versus.Local for
// deadline.
func (p Player) enter(s *Stock, w Work, deadline time.Duration) versus.Local {
	return versus.Local{Deadline: deadline, ServerCPU: p.ServerCPU, Open: func(goroutines int) (versus.Op, func() error, error) {
		c, err := p.Open(goroutines)
		if err != nil {
			return nil, nil, err
		}
		return s.op(w, c), c.Close, nil
	}}
}

func contenders(t Table, s *Stock, players []Player) []versus.Contender {
	var all []versus.Contender
	for _, p := range players {
		all = append(all, p.enter(s, t.Work, t.Deadline).Contender(p.Name))
	}
	if t.Deadline > 0 {
		for _, p := range players {
			if p.Name == Ours || p.Name == Base {
				all = append(all, p.enter(s, t.Work, 0).Contender(p.Name+without))
			}
		}
	}
	return all
}

// fill lets every player store the values itself: each places keys in its own way.
func (a *Arena) fill(ctx context.Context, s *Stock, players []Player, nodes int, maxRate float64) (err error) {
	if a.filled == nil {
		a.filled = map[string]bool{}
	}
	for _, p := range players {
		id := fmt.Sprintf("%s %d %s", p.Name, nodes, s.id())
		if a.filled[id] || p.Name == Noise { // the latter places them as Base does
			continue
		}
		c, err := p.Open(8)
		if err != nil {
			return err
		}
		if err = errors.Join(s.Fill(ctx, c, maxRate), c.Close()); err != nil {
			return fmt.Errorf("%s: %w", p.Name, err)
		}
		a.filled[id] = true
	}
	return nil
}
