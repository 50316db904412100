package scenario

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/memherd/memherd/bench/internal/value"
	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/ring"
)

const (
	fRounds   = "times the node went on"
	fBuffered = "requests buffered on it, each time"
	fBack     = "old values back on it"
)

// zombie is writes that a stopped node finds in its buffers when it goes on, although
// everybody has given them up and the debt of them may be paid already. It is played on
// the nodes themselves, which can tell a client whether they have done with an old
// connection of its, and behind proxies, where they know the client by other addresses
// and can't.
func zombie() []Scenario {
	figures := []Figure{
		{Name: fRounds, Format: "%.0f"}, {Name: fBuffered, Format: "%.0f"}, {Name: fErrors, Format: "%.3f"},
		{Name: fBack, Format: "%.0f", Bound: most(0), Safety: true}, safety[0], safety[1],
	}
	return []Scenario{
		{Name: "zombie", Title: "a node stops with writes in its buffers, newer ones are owed to it, and it goes on",
			Figures: figures, play: func(r *run) error { return r.zombie(false) }},
		{Name: "zombie-behind", Title: "the same behind proxies, so that the node knows its clients by other addresses; half the crowd",
			Figures: figures, play: func(r *run) error { return r.zombie(true) }},
	}
}

// zombies are the rounds of one run.
type zombies struct {
	*run
	nodes        []ring.Node // as the client sees them
	crowd        int
	s            *stage
	c, direct    *client.Client
	keys         []string
	version      uint64
	buffered     float64
	ops, errors  int64
	wrong, stale int64 // seen by readers
	back         int64 // found on the node
	roundsPlayed int
}

func (r *run) zombie(behind bool) (err error) {
	s, err := raise(3, r.seed)
	if err != nil {
		return err
	}
	defer closing(&err, s.close)
	z := &zombies{run: r, s: s, nodes: s.straight(), crowd: r.Crowd}
	if behind {
		// Nothing but time tells when the old writes are over: they must be by then.
		z.nodes, z.crowd = through(s.ways), max(1, r.Crowd/2)
	}
	if z.keys, err = held(z.nodes, name(0), r.Keys); err != nil {
		return err
	}
	for range r.Rounds {
		if err := z.round(); err != nil {
			return err
		}
	}
	r.put(fRounds, float64(z.roundsPlayed))
	r.put(fBuffered, z.buffered/float64(z.roundsPlayed))
	r.put(fErrors, percent(z.errors, z.ops))
	r.put(fBack, float64(z.back))
	r.put(fWrong, float64(z.wrong))
	r.put(fStale, float64(z.stale))
	return nil
}

// held returns n keys that a node holds a copy of.
func held(nodes []ring.Node, node string, n int) (out []string, err error) {
	p, err := ring.New(ring.Config{Nodes: nodes, Copies: Copies})
	if err != nil {
		return nil, err
	}
	for i := 0; len(out) < n; i++ {
		key := fmt.Sprintf("key:%d", i)
		for _, at := range p.Lookup(key) {
			if p.Nodes()[at].Name == node {
				out = append(out, key)
			}
		}
	}
	return out, nil
}

// round stops the node and lets it go on once, with a client of its own: what one has
// learned of the node must not help the next.
func (z *zombies) round() (err error) {
	many := func(cfg *client.Config) { cfg.MaxInFlight = 2 * len(z.keys) }
	if z.c, err = z.client(z.nodes, nil, many); err != nil {
		return err
	}
	defer closing(&err, z.c.Close)
	one := func(cfg *client.Config) { cfg.ReplicationFactor, cfg.Timeout, cfg.DialTimeout = 1, patience, patience }
	if z.direct, err = z.client(z.s.straight()[:1], nil, one); err != nil {
		return err
	}
	defer closing(&err, z.direct.Close)
	z.atOnce()
	others, err := gather(z.s.servers[0].Addr())
	if err != nil {
		return err
	}
	defer closing(&err, others.close)
	if err := z.s.servers[0].Pause(); err != nil {
		return err
	}
	defer closing(&err, z.s.servers[0].Resume)
	if err := others.ask(z.crowd); err != nil {
		return err
	}
	sent := status(z.c, name(0)).Ops
	z.atOnce()
	z.buffered += float64(status(z.c, name(0)).Ops - sent)
	z.version++
	// Three thousand callers at once may have been too much for the other nodes, too, on a
	// busy machine: they are given time to be found well again.
	if err := z.until(z.keys, z.set); err != nil {
		return err
	}
	if err := z.s.servers[0].Resume(); err != nil {
		return err
	}
	z.readAll()
	if err := z.await("the debt is paid", func() bool {
		st := status(z.c, name(0))
		return st.State == "up" && st.Debt == 0
	}); err != nil {
		return err
	}
	z.readAll()
	z.roundsPlayed++
	return z.inspect()
}

// atOnce writes all keys, on as many connections as the client may have, and before the
// first of the writes can time out. What became of them is not asked: that is the point.
func (z *zombies) atOnce() {
	z.version++
	var wg sync.WaitGroup
	for _, key := range z.keys {
		wg.Go(func() { _ = z.set(key) })
	}
	wg.Wait()
}

// set gives a key the newest version.
func (z *zombies) set(key string) error {
	return memherd{z.c}.Set(context.Background(), key, value.Make(key, z.version, valueSize))
}

// readAll reads every key as callers do.
func (z *zombies) readAll() {
	for _, key := range z.keys {
		it, err := z.c.Get(context.Background(), key)
		z.ops++
		switch {
		case errors.Is(err, client.ErrCacheMiss):
		case err != nil:
			z.errors++
			z.failed("get", err)
		default:
			z.check(key, it.Value, &z.stale)
		}
	}
}

func (z *zombies) check(key string, b []byte, old *int64) {
	v, err := value.Check(key, b)
	switch {
	case err != nil:
		z.wrong++
		z.bad.Add(err.Error())
	case v < z.version:
		*old++
	}
}

// inspect looks at what the node itself holds.
func (z *zombies) inspect() error {
	items, err := z.direct.GetMulti(z.ctx, z.keys)
	for key, it := range items {
		z.check(key, it.Value, &z.back)
	}
	return err
}
