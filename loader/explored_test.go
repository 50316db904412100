package loader_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/loader"
)

// scene is who acts on one key in a schedule.
type scene struct {
	name string
	acts func(x *explorer, key string) []func()
	// share is how many of 1,000 schedules are the scene's. Those with all set are so few
	// that all orders are played; of the others, random ones.
	share    int
	all      bool
	restarts bool // a node dies and comes back
	voided   bool // the process knows by itself that it must not fill
}

func (x *explorer) get(i int, key string) func() {
	return func() { _, _ = x.processes[i].Get(x.ctx, key) }
}

// invalidate is a program that writes the origin by itself and tells the cache.
func (x *explorer) invalidate(i int, key, v string) func() {
	return func() {
		x.write("program", key, v)
		_ = x.processes[i].Invalidate(x.ctx, key)
	}
}

func (x *explorer) put(i int, key, v string, p loader.WritePolicy) func() {
	return func() { _ = x.processes[i].PutWith(x.ctx, key, v, loader.WriteOptions{Policy: p}) }
}

// scenes are what can meet: a read that misses, with its late fill, a write of the origin,
// an invalidation, over two processes, and a node that restarts.
var scenes = []scene{
	{name: "load and invalidation", all: true, acts: func(x *explorer, k string) []func() {
		return []func(){x.get(0, k), x.invalidate(1, k, "1")}
	}},
	{name: "load and invalidation in one process", all: true, voided: true, acts: func(x *explorer, k string) []func() {
		return []func(){x.get(0, k), x.invalidate(0, k, "1")}
	}},
	{name: "load and write-around", all: true, acts: func(x *explorer, k string) []func() {
		return []func(){x.get(0, k), x.put(1, k, "1", loader.WriteAround)}
	}},
	{name: "load and write-through", all: true, acts: func(x *explorer, k string) []func() {
		return []func(){x.get(0, k), x.put(1, k, "1", loader.WriteThrough)}
	}},
	{name: "two loads and an invalidation", share: 245, acts: func(x *explorer, k string) []func() {
		return []func(){x.get(0, k), x.get(1, k), x.invalidate(1, k, "1")}
	}},
	{name: "load and two invalidations", share: 245, acts: func(x *explorer, k string) []func() {
		return []func(){x.get(0, k), x.invalidate(0, k, "1"), x.invalidate(1, k, "2")}
	}},
	{name: "load, write-through and invalidation", share: 245, acts: func(x *explorer, k string) []func() {
		return []func(){x.get(0, k), x.put(1, k, "1", loader.WriteThrough), x.invalidate(0, k, "2")}
	}},
	{name: "two loads, write-around and write-through", share: 225, acts: func(x *explorer, k string) []func() {
		return []func(){x.get(0, k), x.get(1, k), x.put(0, k, "1", loader.WriteAround), x.put(1, k, "2", loader.WriteThrough)}
	}},
	{name: "load, invalidation and a restart", share: 20, restarts: true, acts: func(x *explorer, k string) []func() {
		return []func(){x.get(0, k), x.invalidate(1, k, "1"), x.restart(0)}
	}},
	{name: "two loads, invalidation and a restart", share: 20, restarts: true, acts: func(x *explorer, k string) []func() {
		return []func(){x.get(0, k), x.get(1, k), x.invalidate(0, k, "1"), x.restart(1)}
	}},
}

// explored is what came of many schedules.
type explored struct {
	played int
	stale  string // the first schedule after which a copy held an older value; "" if there was none
}

// bubble is how many schedules with restarts one fleet plays: what dead nodes leave behind
// makes it slower and slower.
const bubble = 300

// explore plays a scene, from each state of the copies, until an older value stays.
func explore(t *testing.T, sc scene, total int, seed uint64, plant careless) (got explored) {
	quota := max(1, (total*sc.share+2999)/3000)
	for state := range 3 {
		switch {
		case sc.all:
			sc.onStage(t, state, plant, &got, func(run func(choosing)) { every(total, run) })
		case sc.restarts:
			for left := quota; left > 0 && got.stale == ""; left -= bubble {
				seed++
				sc.onStage(t, state, plant, &got, func(run func(choosing)) { some(min(bubble, left), seed, run) })
			}
		default:
			seed++
			sc.onStage(t, state, plant, &got, func(run func(choosing)) { some(quota, seed, run) })
		}
	}
	return got
}

// onStage has play make choices for schedules that begin with that state of the copies.
func (sc scene) onStage(t *testing.T, state int, plant careless, got *explored, play func(run func(choosing))) {
	synctest.Test(t, func(t *testing.T) {
		x := newExplorer(t, plant)
		defer x.close()
		play(func(choose choosing) {
			if got.stale != "" {
				return
			}
			got.played++
			key := x.nextKey()
			x.prepare(key, state)
			order := x.play(choose, sc.acts(x, key))
			if sc.restarts {
				x.settle()
			}
			if stale := x.stale(key); stale != "" {
				got.stale = fmt.Sprintf("%s, after\n%s", stale, strings.Join(order, "\n"))
			}
			delete(x.origin, key)
		})
	})
}

// prepare puts the origin's first value on no copy, on both, or on the second alone.
func (x *explorer) prepare(key string, state int) {
	x.mu.Lock()
	x.origin[key] = "0"
	x.mu.Unlock()
	if state == 0 {
		return
	}
	_, err := x.processes[0].Get(x.ctx, key)
	require.NoError(x.t, err)
	if state == 2 {
		x.at(0, "md "+key)
	}
}

// stale says what older value a copy has, if any has one.
func (x *explorer) stale(key string) string {
	want := x.row(key)
	for i := range x.servers {
		v := x.at(i, "mg "+key+" v")
		if v != "" && !strings.HasSuffix(v, want) { // it ends an envelope, and a stub is empty
			return fmt.Sprintf("%s holds %q, the origin has %q", nodeName(i), v, want)
		}
	}
	return ""
}

// An older value stays on no copy, in whatever order a load, its fill, writes of the origin,
// invalidations and a restart of a node come.
func TestEverySchedule(t *testing.T) {
	total := scaled(100_000)
	var played atomic.Int64
	t.Cleanup(func() {
		t.Logf("%d schedules", played.Load())
		require.GreaterOrEqual(t, played.Load(), int64(total))
	})
	for _, sc := range scenes {
		t.Run(sc.name, func(t *testing.T) {
			t.Parallel()
			got := explore(t, sc, total, rand.Uint64(), nil)
			require.Empty(t, got.stale)
			played.Add(int64(got.played))
		})
	}
}

// untokened stores what was loaded or written, whatever has happened to the key meanwhile.
type untokened struct{ *client.Client }

func (u untokened) Fill(ctx context.Context, _ item.Lease, it item.Item) (item.Outcome, error) {
	return u.Set(ctx, it)
}

// tardy takes its tokens when the origin has been read or written, and not before.
type tardy struct{ *client.Client }

func (c tardy) Fill(ctx context.Context, _ item.Lease, it item.Item) (item.Outcome, error) {
	l, err := c.LeaseWrite(ctx, it.Key)
	if err != nil {
		return item.Outcome{}, err
	}
	return c.Client.Fill(ctx, l, it)
}

// Planted bugs are found, in every scene where they can do harm.
func TestTheExplorerFinds(t *testing.T) {
	for name, plant := range map[string]careless{
		"fills without tokens": func(c *client.Client) loader.Cache { return untokened{c} },
		"tokens taken late":    func(c *client.Client) loader.Cache { return tardy{c} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, sc := range scenes {
				if sc.voided {
					continue
				}
				got := explore(t, sc, 2_000_000, 1, plant) // a few hundred do, mostly; it ends when it has found one
				require.Contains(t, got.stale, "the origin has", sc.name)
				t.Logf("%s: after %d schedules", sc.name, got.played)
			}
		})
	}
}
