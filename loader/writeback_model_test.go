package loader_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/loader/internal/fakecache"
)

// ledger is an origin that can be down, keeps the version of each row, and refuses to
// overwrite a newer one if it is told to.
type ledger struct {
	strict bool

	mu   sync.Mutex // guards what follows
	down bool
	rows map[string]row
	log  map[string][]loader.Version // what was stored, in order
}

type row struct {
	value   string
	version loader.Version
}

func (o *ledger) write(ctx context.Context, key, value string) error {
	v, ok := loader.VersionOf(ctx)
	if !ok {
		return errors.New("no version")
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.down {
		return errOrigin
	}
	if o.strict && v.Compare(o.rows[key].version) < 0 {
		return loader.ErrSuperseded
	}
	o.rows[key] = row{value, v}
	o.log[key] = append(o.log[key], v)
	return nil
}

// writeMany leaves rows that are newer as they are, and says so.
func (o *ledger) writeMany(_ context.Context, ws []loader.Write[string]) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.down {
		return errOrigin
	}
	var left error
	for _, w := range ws {
		if o.strict && w.Version.Compare(o.rows[w.Key].version) < 0 {
			left = loader.ErrSuperseded
			continue
		}
		o.rows[w.Key] = row{w.Value, w.Version}
		o.log[w.Key] = append(o.log[w.Key], w.Version)
	}
	return left
}

func (o *ledger) load(_ context.Context, key string) (string, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if r := o.rows[key]; r.value != "" {
		return r.value, nil
	}
	return "", loader.ErrNotFound
}

// process is one of a fleet: its journal outlives it.
type process struct {
	t       *inBubble
	cache   loader.Cache
	many    bool // StoreMany is set
	origin  *ledger
	journal *memJournal
	l       *loader.Loader[string]
	pending map[string]row // what it has accepted, the newest of each key
}

func (p *process) start() {
	var many func(context.Context, []loader.Write[string]) error
	if p.many {
		many = p.origin.writeMany
	}
	l, err := loader.New(p.cache, loader.Config[string]{
		Load: p.origin.load, Store: p.origin.write, Codec: loader.String{}, Write: loader.WriteBack,
		Remove: func(ctx context.Context, key string) error { return p.origin.write(ctx, key, "") },
		Back:   loader.BackConfig[string]{Journal: p.journal, DrainTimeout: -1, MaxBackoff: 100 * time.Millisecond, Workers: 2, StoreMany: many, Linger: 10 * time.Millisecond},
	})
	require.NoError(p.t, err)
	p.l = l
}

func (p *process) kill() {
	if err := p.l.Close(); err != nil {
		require.ErrorIs(p.t, err, loader.ErrPending)
	}
}

// inBubble keeps what failed inside a synctest bubble, which rapid's own panic must not
// leave.
type inBubble struct{ said string }

func (t *inBubble) Errorf(format string, args ...any) { t.said += fmt.Sprintf(format, args...) }
func (t *inBubble) FailNow()                          { panic("failed: ") }

// expect is what a Get of this process returns while it has a write pending.
func expect(t *inBubble, want, got string, err error) {
	if want == "" {
		require.ErrorIs(t, err, loader.ErrNotFound)
		return
	}
	require.NoError(t, err)
	require.Equal(t, want, got)
}

// Two processes write, delete and read the same keys, copies are evicted and go down, the
// origin fails for a while, processes are killed with writes in their journals and come
// back. In the end
//
//   - an origin that compares versions has the newest write of each key, whoever made it
//     and however late it was replayed; one that does not has some process's newest;
//   - no process's writes of a key have come there in another order than it made them;
//   - both processes read what the origin has.
//
// And at any time a process reads its own newest write while that is pending.
func TestWriteBackAgainstAModel(t *testing.T) {
	for range scaled(20) { // of 100 schedules
		rapid.Check(t, func(rt *rapid.T) { playWriteBack(t, rt) })
	}
}

func playWriteBack(t *testing.T, r *rapid.T) {
	failed := ""
	strict, many := rapid.Bool().Draw(r, "strict"), rapid.Bool().Draw(r, "many")
	kind, skewed := rapid.IntRange(0, 2).Draw(r, "cache"), rapid.Bool().Draw(r, "skewed")
	type step struct{ what, who, key, copy int }
	steps := rapid.SliceOfN(rapid.Custom(func(r *rapid.T) step {
		return step{
			rapid.IntRange(0, 9).Draw(r, "what"), rapid.IntRange(0, 1).Draw(r, "who"),
			rapid.IntRange(0, 2).Draw(r, "key"), rapid.IntRange(0, 1).Draw(r, "copy"),
		}
	}), 1, 60).Draw(r, "steps")
	synctest.Test(t, func(*testing.T) {
		rt := new(inBubble)
		defer func() {
			if p := recover(); p != nil {
				failed = fmt.Sprint(p, rt.said)
			}
		}()
		c := fakecache.New(2)
		cache := []loader.Cache{c, fakecache.Multi{Cache: c}, struct { // one that stores under tokens only
			loader.Cache
			loader.Keeper
		}{c, c}}[kind]
		o := &ledger{strict: strict, rows: map[string]row{}, log: map[string][]loader.Version{}}
		var ps []*process
		for i := range 2 {
			j := newMemJournal()
			j.clock.Writer = uint64(i + 1)
			if skewed && i == 1 { // what the other writes later is older by its version
				j.clock.Time = time.Now().Add(time.Hour)
			}
			p := &process{t: rt, cache: cache, many: many, origin: o, journal: j, pending: map[string]row{}}
			p.start()
			defer p.kill()
			ps = append(ps, p)
		}
		ctx := context.Background()
		last := map[string][2]row{} // the newest accepted write of each process
		accepted := func(who int, key, value string) {
			r := last[key]
			r[who] = row{value, ps[who].journal.clock}
			last[key] = r
		}
		isDown := [2]bool{}
		for n, s := range steps {
			p, key, value := ps[s.who], fmt.Sprint("k", s.key), fmt.Sprint("v", n)
			switch s.what {
			case 0, 1, 2:
				require.NoError(rt, p.l.Put(ctx, key, value))
				accepted(s.who, key, value)
			case 3:
				require.NoError(rt, p.l.Delete(ctx, key))
				accepted(s.who, key, "")
			case 4:
				got, err := p.l.Get(ctx, key)
				p.journal.mu.Lock()
				rec, pending := p.journal.recs[key]
				p.journal.mu.Unlock()
				if o.down && pending {
					expect(rt, string(rec.Value), got, err)
				}
			case 5:
				c.Evict(s.copy, key)
			case 6: // one copy at most is down, so that nothing is owed on both
				isDown[s.copy] = !isDown[s.copy] && !isDown[1-s.copy]
				c.SetDown(s.copy, isDown[s.copy])
			case 7:
				o.mu.Lock()
				o.down = !o.down
				o.mu.Unlock()
			case 8:
				p.kill()
				p.start()
			case 9:
				time.Sleep(30 * time.Millisecond)
			}
		}
		o.mu.Lock()
		o.down = false
		o.mu.Unlock()
		for i := range isDown {
			c.SetDown(i, false)
		}
		for _, p := range ps {
			require.NoError(rt, p.l.Flush(ctx))
			require.Zero(rt, p.journal.left())
		}
		for key, by := range last {
			newest := by[0]
			if by[1].version.Compare(newest.version) > 0 {
				newest = by[1]
			}
			got := o.rows[key]
			if strict {
				require.Equal(rt, newest, got, key)
			} else {
				require.Contains(rt, by, got, key)
			}
			for _, p := range ps {
				v, err := p.l.Get(ctx, key)
				expect(rt, got.value, v, err)
			}
			var at [3]uint64
			for _, v := range o.log[key] {
				require.GreaterOrEqual(rt, v.Seq, at[v.Writer], "%s went back", key)
				at[v.Writer] = v.Seq
			}
		}
	})
	if failed != "" {
		r.Fatal(failed)
	}
}
