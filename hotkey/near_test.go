package hotkey

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func newNear(t require.TestingT, cfg Config) *Near {
	n, err := NewNear(&cfg)
	require.NoError(t, err)
	return n
}

func (n *Near) get(key string) (Value, bool) { return n.Get(xxhash.Sum64String(key), key) }

func (n *Near) put(key, value string) bool {
	h := xxhash.Sum64String(key)
	return n.Put(h, key, Value{Bytes: []byte(value)}, n.Generation(h), time.Now())
}

// check proves what must hold whenever nobody is in the middle of something.
func (n *Near) check(t require.TestingT) {
	n.mu.Lock()
	defer n.mu.Unlock()
	sum, live := int64(0), 0
	tab := n.table.Load()
	used := 0
	for i := range tab.cells {
		e := tab.cells[i].Load()
		if e != nil {
			used++
		}
		if e == nil || e == tab.gone {
			continue
		}
		live++
		sum += e.size
		held, ok := n.recent.Peek(e.key)
		require.True(t, ok && held == e, "an entry in the table that recency does not know")
		require.Same(t, e, tab.find(e.hash, e.key))
		require.Equal(t, int64(len(e.key)+len(e.value.Bytes))+entryOverhead, e.size)
	}
	require.Equal(t, n.recent.Len(), live)
	require.Equal(t, used, tab.used)
	require.LessOrEqual(t, 2*used, len(tab.cells))
	require.Equal(t, sum, n.bytes)
	require.LessOrEqual(t, n.bytes, n.limit)
}

// modelEntry is the simplest thing that keeps the rule: a value, when it ends, and the key's own generation.
type modelEntry struct {
	value    string
	cas      uint64
	node     string
	sent     time.Time
	deadline time.Time
	hard     time.Time
}

type flight struct {
	key  string
	gen  uint64
	seq  int // the model's: how many drops of this key, and of everything, had been made
	sent time.Time
}

// The near-cache may hold less than the model (it evicts, and its generations are coarser); what it serves, the model
// serves too, byte for byte.
func TestNearAgainstModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rapid.Check(struct{ testing.TB }{t}, func(t *rapid.T) { // a bubble forbids T.Deadline, which rapid would call
			const x = 50 * time.Millisecond
			limit := int64(rapid.IntRange(2000, 20_000).Draw(t, "limit"))
			n := newNear(t, Config{Staleness: x, NearBytes: limit, MaxValueBytes: 500, Seed: rapid.Uint64Min(1).Draw(t, "seed")})
			keys := make([]string, rapid.IntRange(1, 60).Draw(t, "keys"))
			for i := range keys {
				keys[i] = fmt.Sprintf("key-%d", i)
			}
			model, drops := map[string]modelEntry{}, map[string]int{}
			var flights []flight
			cas := uint64(0)
			aKey := rapid.SampledFrom(keys)
			served := 0
			for range rapid.IntRange(50, 400).Draw(t, "steps") {
				switch rapid.IntRange(0, 11).Draw(t, "op") {
				case 0, 1, 2: // send a get
					k := aKey.Draw(t, "key")
					flights = append(flights, flight{k, n.Generation(xxhash.Sum64String(k)), drops[k], time.Now()})
				case 3, 4, 5: // an answer comes, in any order
					if len(flights) == 0 {
						continue
					}
					i := rapid.IntRange(0, len(flights)-1).Draw(t, "flight")
					f := flights[i]
					flights = append(flights[:i], flights[i+1:]...)
					cas++
					buf := []byte(fmt.Sprintf("%s=%d%s", f.key, cas, strings.Repeat(".", rapid.IntRange(0, 600).Draw(t, "pad"))))
					ttl := time.Duration(rapid.IntRange(0, 3).Draw(t, "ttl")) * 20 * time.Millisecond
					v := Value{Bytes: buf, CAS: cas, TTL: ttl, Node: fmt.Sprint("n", cas%2)}
					m := modelEntry{value: string(buf), cas: cas, node: v.Node, sent: f.sent, deadline: f.sent.Add(x)}
					if ttl > 0 {
						m.hard = f.sent.Add(ttl)
						if m.hard.Before(m.deadline) {
							m.deadline = m.hard
						}
					}
					took := n.Put(xxhash.Sum64String(f.key), f.key, v, f.gen, f.sent)
					if took {
						require.Equal(t, drops[f.key], f.seq, "an own write overtook this get")
						require.True(t, time.Now().Before(m.deadline))
						require.LessOrEqual(t, len(buf), 500)
						model[f.key] = m
					} else if len(buf) > 500 {
						delete(model, f.key)
					}
					for j := range buf { // the caller's memory is his own again
						buf[j] = '!'
					}
				case 6:
					k := aKey.Draw(t, "key")
					n.Drop(xxhash.Sum64String(k), k)
					drops[k]++
					delete(model, k)
				case 7:
					time.Sleep(time.Duration(rapid.IntRange(1, 40).Draw(t, "ms")) * time.Millisecond)
				case 8: // one sweep
					for _, e := range n.InUse(rapid.IntRange(0, 4).Draw(t, "min")) {
						m, ok := model[e.Key]
						sent, gen := time.Now(), n.Generation(e.Hash)
						time.Sleep(time.Millisecond)
						if n.Renew(e, gen, sent) {
							require.True(t, ok && m.cas == e.CAS)
							m.sent, m.deadline = sent, sent.Add(x)
							if !m.hard.IsZero() && m.hard.Before(m.deadline) {
								m.deadline = m.hard
							}
							model[e.Key] = m
						}
					}
				case 9:
					node := fmt.Sprint("n", rapid.IntRange(0, 1).Draw(t, "node"))
					if rapid.IntRange(0, 9).Draw(t, "seldom") == 0 {
						n.DropNode(node)
						for _, k := range keys {
							drops[k]++
							if model[k].node == node {
								delete(model, k)
							}
						}
					}
				default:
					k := aKey.Draw(t, "key")
					v, ok := n.get(k)
					if !ok {
						continue
					}
					served++
					m, has := model[k]
					require.True(t, has, "served what was never put or was dropped")
					require.Equal(t, m.value, string(v.Bytes))
					require.True(t, time.Now().Before(m.deadline), "served past its deadline")
				}
				n.check(t)
			}
			require.LessOrEqual(t, n.Stats().Bytes, limit)
			require.EqualValues(t, served, n.Stats().Hits, "exact while entries are read seldom")
		})
	})
}

func TestNearServesUntilSendTimePlusX(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNear(t, Config{Staleness: 50 * time.Millisecond})
		h := xxhash.Sum64String("k")
		sent, gen := time.Now(), n.Generation(h)
		time.Sleep(20 * time.Millisecond) // the round trip eats of X
		require.True(t, n.Put(h, "k", Value{Bytes: []byte("v"), Flags: 7, CAS: 9, Node: "a", Epoch: 3}, gen, sent))
		time.Sleep(30*time.Millisecond - 1)
		v, ok := n.Get(h, "k")
		require.True(t, ok)
		require.Equal(t, Value{Bytes: []byte("v"), Flags: 7, CAS: 9, Node: "a", Epoch: 3}, v)
		time.Sleep(time.Nanosecond)
		_, ok = n.Get(h, "k")
		require.False(t, ok, "a read that starts at the deadline is not served")
		require.EqualValues(t, 1, n.Stats().Expired)

		// An answer that took longer than X is of no use.
		require.False(t, n.Put(h, "k", Value{Bytes: []byte("v")}, gen, sent))

		// The node's own TTL counts where it ends sooner.
		sent = time.Now()
		require.True(t, n.Put(h, "k", Value{Bytes: []byte("w"), TTL: 10 * time.Millisecond}, n.Generation(h), sent))
		time.Sleep(10 * time.Millisecond)
		_, ok = n.Get(h, "k")
		require.False(t, ok)
	})
}

// The steps of Drop's comment, one after the other.
func TestDropScheduleStepByStep(t *testing.T) {
	n := newNear(t, Config{Staleness: time.Hour})
	h := xxhash.Sum64String("k")
	old, fresh := Value{Bytes: []byte("old")}, Value{Bytes: []byte("new")}
	require.True(t, n.put("k", "old"))

	readerR, sentR := n.Generation(h), time.Now() // 1
	n.Drop(h, "k")                                // 2
	_, ok := n.Get(h, "k")
	require.False(t, ok)
	require.False(t, n.Put(h, "k", old, readerR, sentR)) // 3
	readerS, sentS := n.Generation(h), time.Now()        // 4
	late := n.Generation(h)
	require.True(t, n.Put(h, "k", old, readerS, sentS))
	n.Drop(h, "k") // 5
	_, ok = n.Get(h, "k")
	require.False(t, ok)
	require.False(t, n.Put(h, "k", old, late, sentS))
	require.True(t, n.Put(h, "k", fresh, n.Generation(h), time.Now())) // 6
	v, ok := n.Get(h, "k")
	require.True(t, ok)
	require.Equal(t, "new", string(v.Bytes))
	require.EqualValues(t, 2, n.Stats().Refused)
}

// A Put that is between its check and its publication when a Drop comes. Whatever the order, afterwards nothing is held:
// the Put is refused, or the Drop sees what it published. The test holds mu so that the Put is caught in the middle.
func TestDropDuringPut(t *testing.T) {
	n := newNear(t, Config{Staleness: time.Hour})
	const key = "k"
	h := xxhash.Sum64String(key)
	for range 300 {
		gen, sent := n.Generation(h), time.Now()
		var wg sync.WaitGroup
		n.mu.Lock()
		wg.Go(func() { n.Put(h, key, Value{Bytes: []byte("old")}, gen, sent) })
		for range 10 {
			runtime.Gosched() // lets the Put come as far as it can
		}
		wg.Go(func() { n.Drop(h, key) })
		for range 10 {
			runtime.Gosched()
		}
		n.mu.Unlock()
		wg.Wait()
		_, ok := n.Get(h, key)
		require.False(t, ok, "published after the drop that should have stopped it")
	}
}

// One process writes and reads one key through a store that keeps versions; every schedule the scheduler finds must
// keep: a read that starts after a write returned sees that write or a later one. Run with -race.
func TestOwnWritesAreSeenAtOnce(t *testing.T) {
	n := newNear(t, Config{Staleness: time.Hour})
	s := newVersions(n)
	s.race(t, func() (uint64, error) {
		if v, ok := n.Get(s.hash, s.key); ok {
			return v.CAS, nil
		}
		gen, sent := n.Generation(s.hash), time.Now()
		got := s.store.Load()
		n.Put(s.hash, s.key, Value{CAS: got, Bytes: []byte("x")}, gen, sent)
		return got, nil
	})
}

// versions is one key in a store that counts its versions, and a near-cache in front of it.
type versions struct {
	n                *Near
	key              string
	hash             uint64
	store, confirmed atomic.Uint64
}

func newVersions(n *Near) *versions { return &versions{n: n, key: "k", hash: xxhash.Sum64String("k")} }

// race has one goroutine write and three read, as long as that writes. read returns the version it saw, or an error;
// one that was overwritten before the read began is one, too.
func (s *versions) race(t *testing.T, read func() (uint64, error)) {
	var wg sync.WaitGroup
	stop := make(chan struct{})
	wg.Go(func() {
		defer close(stop)
		for range scale(20_000) {
			s.n.Drop(s.hash, s.key)
			v := s.store.Add(1)
			s.n.Drop(s.hash, s.key)
			s.confirmed.Store(v)
		}
	})
	for range 3 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				least := s.confirmed.Load()
				got, err := read()
				if err == nil && got < least {
					err = fmt.Errorf("read version %d after version %d was confirmed", got, least)
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	s.n.check(t)
}

// A cache too small for its keys, written, read, dropped, renewed and voided at once. Run with -race.
func TestNearFromManyGoroutines(t *testing.T) {
	n := newNear(t, Config{Staleness: time.Hour, NearBytes: 40_000, MaxValueBytes: 2000})
	keys, hashes := keyNames(300)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			z := newZipf(len(keys), 0.9, uint64(g))
			for i := range scale(20_000) {
				k := z.next()
				switch {
				case i%1000 == 999:
					n.DropNode("a")
				case i%100 == 99:
					for _, e := range n.InUse(1) {
						n.Renew(e, n.Generation(e.Hash), time.Now())
					}
					if b := n.Stats().Bytes; b > 40_000 {
						t.Errorf("%d bytes", b)
					}
				case i%10 == 0:
					n.Drop(hashes[k], keys[k])
				default:
					v, ok := n.Get(hashes[k], keys[k])
					if ok && !strings.HasPrefix(string(v.Bytes), keys[k]+"|") {
						t.Errorf("%s served %q", keys[k], v.Bytes)
					}
					if !ok {
						gen := n.Generation(hashes[k])
						n.Put(hashes[k], keys[k], Value{Bytes: []byte(keys[k] + "|" + strings.Repeat("v", k)), Node: "ab"[k%2 : k%2+1]}, gen, time.Now())
					}
				}
			}
		})
	}
	wg.Wait()
	n.check(t)
	require.Positive(t, n.Stats().Evictions)
}

// A remembered miss that is read all the time is counted among the misses alone.
func TestRememberedMissesAreNoHits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, err := NewNear(&Config{Staleness: time.Hour})
		require.NoError(t, err)
		require.True(t, n.Put(7, "k", Value{Missing: true}, n.Generation(7), time.Now()))
		for range 10_000 {
			time.Sleep(time.Nanosecond) // the clock decides which hits are counted
			v, ok := n.Get(7, "k")
			require.True(t, ok && v.Missing)
		}
		require.Zero(t, n.Stats().Hits)
		require.EqualValues(t, 10_000, n.Stats().Misses)
	})
}
