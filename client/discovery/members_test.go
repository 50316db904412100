package discovery

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/memherd/memherd/ring"
)

// roundsOf makes a follower that asks when the test says, and not by itself.
func roundsOf(fleet Fleet, src Source, cfg Config) *Follower {
	cfg, err := cfg.withDefaults()
	if err != nil {
		panic(err)
	}
	return newFollower(fleet, src, cfg)
}

func TestMissingNodes(t *testing.T) {
	for name, c := range map[string]struct {
		removals Removals
		states   []string // of node c at each answer that lacks it
		stays    bool
	}{
		"works":                     {RemovalsBySource, []string{"up", "up", "up", "up"}, true},
		"down":                      {RemovalsBySource, []string{"down", "down", "down"}, false},
		"down, too few answers":     {RemovalsBySource, []string{"down", "down"}, true},
		"down once":                 {RemovalsBySource, []string{"up", "up", "down"}, true},
		"flaps":                     {RemovalsBySource, []string{"down", "down", "up", "down", "down"}, true},
		"is being mended":           {RemovalsBySource, []string{"down", "down", "mending", "mending"}, true},
		"trusted":                   {RemovalsTrusted, []string{"up"}, false},
		"confirmed, though trusted": {RemovalsConfirmed, []string{"up", "up", "up"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			fleet := newFleet("a", "b", "c")
			var src Source = &script{nodes: ring.Addrs("b", "a")}
			if c.removals == RemovalsConfirmed {
				src = Static(ring.Addrs("b", "a"))
			}
			f := roundsOf(fleet, src, Config{Removals: c.removals})
			for _, state := range c.states {
				fleet.set("c", state)
				require.True(t, f.round())
			}
			want := []string{"a", "b"}
			if c.stays {
				want = append(want, "c")
				require.Len(t, f.State().Missing, 1)
				require.ErrorIs(t, f.State().Err, ErrMissing)
			} else {
				require.Empty(t, f.State().Missing)
				require.NoError(t, f.State().Err)
			}
			require.Equal(t, want, fleet.names())
		})
	}
}

// A failed or empty answer is none: it neither counts against a missing node nor for it.
func TestAnswersThatSayNothing(t *testing.T) {
	fleet := newFleet("a", "b", "c")
	src := &script{}
	f := roundsOf(fleet, src, Config{})
	fleet.set("c", "down")
	for i := range 2 {
		src.say(nil, "a", "b")
		f.round()
		for _, err := range []error{errLookup, nil, ErrOldVersion} {
			src.say(err)
			f.round()
			require.Len(t, fleet.names(), 3, "round %d", i)
		}
	}
	require.Equal(t, 2, f.State().Missing[0].Answers)
	src.say(nil, "a", "b")
	f.round()
	require.Equal(t, []string{"a", "b"}, fleet.names())
	s := f.State()
	require.Equal(t, []uint64{3, 4, 2, 1}, []uint64{s.Answers, s.Kept, s.Failures, s.Changes})
}

// A node that nobody has talked to is asked for a sign of life before its word counts.
func TestSilentNodeIsPinged(t *testing.T) {
	fleet := newFleet("a", "b")
	fleet.conns["b"] = 0
	fleet.onPing = func(f *fakeFleet) { f.state["b"] = "down" }
	src := &script{nodes: ring.Addrs("a")}
	f := roundsOf(fleet, src, Config{RemoveAfter: 2})
	f.round()
	require.Equal(t, 1, fleet.pings)
	require.Equal(t, 1, f.State().Missing[0].Answers)
	f.round()
	require.Equal(t, 1, fleet.pings, "it is known to be down")
	require.Equal(t, []string{"a"}, fleet.names())
	f.round()
	require.Equal(t, 1, fleet.pings, "nothing is missing")
}

// An address under another name is the other node from then on.
func TestRenamedNode(t *testing.T) {
	fleet := newFleet("a", "b")
	src := &script{nodes: []ring.Node{{Addr: "a"}, {Name: "new", Addr: "b"}}}
	f := roundsOf(fleet, src, Config{})
	f.round()
	require.Equal(t, []string{"a", "new"}, fleet.names())
}

// A list that the client refuses is offered again, and no answer is lost by it.
func TestRefusedByTheClient(t *testing.T) {
	fleet := newFleet("a")
	fleet.refuse = errors.New("not now")
	var failed []error
	f := roundsOf(fleet, &script{nodes: ring.Addrs("a", "b")}, Config{Hooks: Hooks{Failed: func(err error) { failed = append(failed, err) }}})
	f.round()
	require.Len(t, failed, 1)
	require.ErrorIs(t, failed[0], fleet.refuse)
	require.Equal(t, []string{"a"}, namesOf(f.State().Nodes))
	fleet.refuse = nil
	f.round()
	require.Equal(t, []string{"a", "b"}, fleet.names())
	require.NoError(t, f.State().Err)
}

// What an answer says of nodes that stay is taken at once.
func TestAlteredNodes(t *testing.T) {
	fleet := newFleet("a", "b")
	var altered []string
	src := &script{nodes: []ring.Node{{Name: "a", Addr: "10.0.0.7"}, {Addr: "b", Weight: 2}}}
	f := roundsOf(fleet, src, Config{Hooks: Hooks{Applied: func(_, _, names []string) { altered = names }}})
	f.round()
	require.Equal(t, []string{"a", "b"}, altered)
	require.Equal(t, "10.0.0.7:11211", fleet.nodes[0].Addr)
	require.Equal(t, 2, fleet.nodes[1].Weight)
	altered = nil
	src.nodes[0], src.nodes[1] = src.nodes[1], src.nodes[0]
	f.round()
	require.Nil(t, altered, "the order says nothing")
	require.Equal(t, 1, fleet.sets)
}

// TestFollowerAgainstModel plays random answers and outages. The model keeps, for each
// node, nothing but the number of answers in a row that lacked it while it was down.
func TestFollowerAgainstModel(t *testing.T) {
	names := []string{"a", "b", "c", "d", "e", "f"}
	rapid.Check(t, func(t *rapid.T) {
		trusted := rapid.Bool().Draw(t, "trusted")
		after := rapid.IntRange(1, 4).Draw(t, "removeAfter")
		fleet, src := newFleet(names[:3]...), &script{}
		removals := RemovalsConfirmed
		if trusted {
			removals = RemovalsTrusted
		}
		f := roundsOf(fleet, src, Config{Removals: removals, RemoveAfter: after})
		model := map[string]int{"a": 0, "b": 0, "c": 0} // the fleet: the count
		for range rapid.IntRange(1, 40).Draw(t, "rounds") {
			for _, n := range names {
				if rapid.IntRange(0, 3).Draw(t, "change "+n) == 0 {
					fleet.set(n, rapid.SampledFrom([]string{"up", "down", "mending"}).Draw(t, "state "+n))
				}
			}
			before, sets := fleet.names(), fleet.changes()
			kind := rapid.SampledFrom([]string{"failed", "empty", "old", "good", "good", "good", "shuffled", "malformed"}).Draw(t, "answer")
			if kind == "good" {
				listed := map[string]bool{}
				for _, n := range names {
					listed[n] = rapid.Bool().Draw(t, "listed "+n)
				}
				maps.DeleteFunc(listed, func(_ string, in bool) bool { return !in })
				src.say(nil, rapid.Permutation(slices.Sorted(maps.Keys(listed))).Draw(t, "order")...)
				if len(listed) > 0 {
					for n := range model {
						if !listed[n] && fleet.state[n] == "down" {
							model[n]++
						} else {
							model[n] = 0
						}
						if !listed[n] && (trusted || model[n] >= after) {
							delete(model, n)
						}
					}
					for n := range listed {
						model[n] = 0
					}
				}
			} else {
				err, list := map[string]error{"failed": errLookup, "old": fmt.Errorf("x: %w", ErrOldVersion)}[kind], []string{}
				switch kind {
				case "malformed":
					list = []string{"a", "b", "a:11211"}
				case "shuffled":
					list = rapid.Permutation(fleet.names()).Draw(t, "order")
					for n := range model {
						model[n] = 0
					}
				}
				src.say(err, list...)
			}
			require.True(t, f.round())

			now := fleet.names()
			require.Equal(t, slices.Sorted(maps.Keys(model)), now)
			require.Equal(t, now, namesOf(f.State().Nodes))
			for _, n := range before {
				if !slices.Contains(now, n) {
					require.True(t, trusted || fleet.state[n] == "down", "%s works and was dropped", n)
				}
			}
			if slices.Equal(before, now) {
				require.Equal(t, sets, fleet.changes(), "nothing changed, and the client was told so")
			}
		}
	})
}
