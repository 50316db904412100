package gomc

import (
	"fmt"
	"os"
	"reflect"
	"strconv"
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/nodeserver/stock"
)

// methods is the method set of gomemcache's client.
type methods interface {
	Placement
	GetAndTouch(key string, expiration int32) (*memcache.Item, error)
	Touch(key string, seconds int32) error
	Replace(item *memcache.Item) error
	Append(item *memcache.Item) error
	Prepend(item *memcache.Item) error
	CompareAndSwap(item *memcache.Item) error
	DeleteAll() error
	FlushAll() error
	Increment(key string, delta uint64) (uint64, error)
	Decrement(key string, delta uint64) (uint64, error)
}

var _, _ methods = (*memcache.Client)(nil), (*Client)(nil)

// TestMethodSet: whatever gomemcache's client can, with the same types.
func TestMethodSet(t *testing.T) {
	ours, n := reflect.TypeFor[*Client](), 0
	for m := range reflect.TypeFor[*memcache.Client]().Methods() {
		have, ok := ours.MethodByName(m.Name)
		require.True(t, ok, m.Name)
		for i := 1; i < m.Type.NumIn(); i++ {
			require.Equal(t, m.Type.In(i), have.Type.In(i), m.Name)
		}
		require.Equal(t, m.Type.NumIn(), have.Type.NumIn(), m.Name)
		require.Equal(t, m.Type.NumOut(), have.Type.NumOut(), m.Name)
		for i := range m.Type.NumOut() {
			require.Equal(t, m.Type.Out(i), have.Type.Out(i), m.Name)
		}
		n++
	}
	require.GreaterOrEqual(t, n, 17)
}

// pair is gomemcache and the drop-in, each on a server of its own of the same kind.
type pair struct {
	clients [2]methods
	casID   [2]map[string]uint64 // what the last reads of each key brought
}

func newPair(t testing.TB, addr func() string, cfg Config) *pair {
	theirs := memcache.New(addr())
	theirs.Timeout = 10 * time.Second
	nodes, err := Servers(addr())
	require.NoError(t, err)
	cfg.Client = patient(cfg.Client)
	cfg.Client.Nodes = nodes
	ours, err := New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() {
		theirs.Close()
		ours.Close()
	})
	p := &pair{clients: [2]methods{theirs, ours}}
	for i := range p.casID {
		p.casID[i] = map[string]uint64{}
	}
	return p
}

// onBoth runs a test against memcached and against embedded nodes. memcached is without its background
// threads: they hold items for moments, and a decr of a held item makes a new item without
// the spaces that otherwise fill up a shorter number, so two servers given the same calls
// would differ now and then, whatever the clients are.
func onBoth(t *testing.T, run func(t *testing.T, addr func() string)) {
	t.Run("memcached", func(t *testing.T) {
		run(t, func() string { return stock.ForTest(t, "-o", "no_lru_maintainer,no_lru_crawler").Addr() })
	})
	t.Run("memnode", func(t *testing.T) {
		run(t, func() string { return start(t, nodeserver.Config{}).Addr().String() })
	})
}

// patient is cfg for a busy machine, which is no failure.
func patient(cfg client.Config) client.Config {
	cfg.Timeout, cfg.DialTimeout = 10*time.Second, 10*time.Second
	return cfg
}

// op is one call.
type op struct {
	do    string
	key   string
	value string
	flags uint32
	exp   int32
	delta uint64
}

// answer is what a call returned, so that two can be compared.
type answer struct {
	err    string // the error's text if it is one of gomemcache's, "failed" for any other
	item   string
	number uint64
}

var sentinels = []error{memcache.ErrCacheMiss, memcache.ErrNotStored, memcache.ErrCASConflict, memcache.ErrMalformedKey}

func (p *pair) do(i int, o op) answer {
	c := p.clients[i]
	it := &memcache.Item{Key: o.key, Value: []byte(o.value), Flags: o.flags, Expiration: o.exp}
	var a answer
	var err error
	read := func(it *memcache.Item, e error, tokens bool) {
		if err = e; it == nil {
			return
		}
		a.item = fmt.Sprintf("%q %q flags %d exp %d token %v", it.Key, it.Value, it.Flags, it.Expiration, it.CasID != 0)
		if tokens {
			p.casID[i][it.Key] = it.CasID
		}
	}
	switch o.do {
	case "get":
		it, e := c.Get(o.key)
		read(it, e, true)
	case "getmulti":
		found, e := c.GetMulti([]string{o.key, "never", o.key})
		read(found[o.key], e, true)
		a.number = uint64(len(found))
	case "gat":
		it, e := c.GetAndTouch(o.key, o.exp)
		read(it, e, false)
	case "touch":
		err = c.Touch(o.key, o.exp)
	case "set":
		err = c.Set(it)
	case "add":
		err = c.Add(it)
	case "replace":
		err = c.Replace(it)
	case "append":
		err = c.Append(it)
	case "prepend":
		err = c.Prepend(it)
	case "cas":
		it.CasID = p.casID[i][o.key]
		err = c.CompareAndSwap(it)
	case "delete":
		err = c.Delete(o.key)
	case "deleteall":
		err = c.DeleteAll()
	case "flushall":
		err = c.FlushAll()
	case "incr":
		a.number, err = c.Increment(o.key, o.delta)
	case "decr":
		a.number, err = c.Decrement(o.key, o.delta)
	case "ping":
		err = c.Ping()
	default:
		panic(o.do)
	}
	if err != nil {
		a.err = "failed"
		for _, s := range sentinels {
			if err == s { // as programs compare them
				a.err = s.Error()
			}
		}
		if s := errNotNumber.Error(); err.Error() == s {
			a.err = s
		}
	}
	return a
}

var dialogues = map[string][]op{
	"misses": {{do: "get", key: "k"}, {do: "getmulti", key: "k"}, {do: "gat", key: "k", exp: 9}, {do: "touch", key: "k", exp: 9}, {do: "delete", key: "k"},
		{do: "incr", key: "k", delta: 1}, {do: "decr", key: "k", delta: 1}, {do: "replace", key: "k"}, {do: "append", key: "k"}, {do: "prepend", key: "k"}, {do: "cas", key: "k"}},
	"set and read": {{do: "set", key: "k", value: "v", flags: 7}, {do: "get", key: "k"}, {do: "getmulti", key: "k"}, {do: "gat", key: "k", exp: 100}, {do: "get", key: "k"}},
	"an empty value": {{do: "set", key: "k"}, {do: "get", key: "k"}, {do: "append", key: "k", value: "x"}, {do: "get", key: "k"},
		{do: "set", key: "k", flags: 3}, {do: "getmulti", key: "k"}},
	"flags": {{do: "set", key: "k", value: "v", flags: 1<<32 - 1}, {do: "get", key: "k"}, {do: "set", key: "k", value: "v", flags: 1 << 16}, {do: "getmulti", key: "k"}},
	"conditions": {{do: "add", key: "k", value: "1"}, {do: "add", key: "k", value: "2"}, {do: "replace", key: "k", value: "3"}, {do: "get", key: "k"},
		{do: "append", key: "k", value: "4", flags: 9}, {do: "prepend", key: "k", value: "5"}, {do: "get", key: "k"}},
	"tokens": {{do: "set", key: "k", value: "1"}, {do: "cas", key: "k", value: "no token"}, {do: "get", key: "k"}, {do: "cas", key: "k", value: "2"}, {do: "get", key: "k"},
		{do: "set", key: "k", value: "3"}, {do: "cas", key: "k", value: "late"}, {do: "get", key: "k"}, {do: "delete", key: "k"}, {do: "cas", key: "k", value: "gone"}, {do: "get", key: "k"}},
	"tokens of many": {{do: "set", key: "k", value: "1"}, {do: "getmulti", key: "k"}, {do: "cas", key: "k", value: "2"}, {do: "cas", key: "k", value: "3"}, {do: "get", key: "k"}},
	"counters": {{do: "set", key: "k", value: "10"}, {do: "incr", key: "k", delta: 5}, {do: "decr", key: "k", delta: 6}, {do: "get", key: "k"}, {do: "decr", key: "k", delta: 100},
		{do: "get", key: "k"}, {do: "set", key: "k", value: "18446744073709551615"}, {do: "incr", key: "k", delta: 2}, {do: "get", key: "k"}},
	"no number": {{do: "set", key: "k", value: "ten"}, {do: "incr", key: "k", delta: 1}, {do: "decr", key: "k", delta: 1}, {do: "get", key: "k"}},
	"already over": {{do: "set", key: "k", value: "v", exp: -1}, {do: "get", key: "k"}, {do: "set", key: "k", value: "v"}, {do: "touch", key: "k", exp: -1}, {do: "get", key: "k"},
		{do: "set", key: "k", value: "v", exp: 1_000_000_000}, {do: "get", key: "k"}},
	"ends far away": {{do: "set", key: "k", value: "v", exp: maxRelative}, {do: "get", key: "k"}, {do: "set", key: "k", value: "v", exp: 2_000_000_000}, {do: "get", key: "k"},
		{do: "touch", key: "k", exp: 2_000_000_000}, {do: "get", key: "k"}},
	"delete all": {{do: "set", key: "k", value: "v"}, {do: "deleteall"}, {do: "get", key: "k"}, {do: "set", key: "k", value: "v"}, {do: "flushall"}, {do: "get", key: "k"}, {do: "ping"}},
	"bad keys":   {{do: "get", key: "a b"}, {do: "set", key: "a\nb"}, {do: "getmulti", key: "\x7f"}, {do: "delete", key: " "}, {do: "incr", key: "a\tb"}, {do: "touch", key: "a\x00b"}, {do: "cas", key: "a b"}},
	"too large":  {{do: "set", key: "k", value: "old"}, {do: "set", key: "k", value: string(make([]byte, 2<<20))}},
}

func TestDialogues(t *testing.T) {
	onBoth(t, func(t *testing.T, addr func() string) {
		p := newPair(t, addr, Config{})
		for name, ops := range dialogues {
			for i := range p.casID {
				clear(p.casID[i])
			}
			for _, c := range p.clients {
				require.NoError(t, c.Set(&memcache.Item{Key: "k"}))
				require.NoError(t, c.Delete("k"))
			}
			for n, o := range ops {
				theirs, ours := p.do(0, o), p.do(1, o)
				require.Equal(t, theirs, ours, "%s, step %d: %s %q", name, n, o.do, o.key)
			}
		}
	})
}

// TestAnyDialogue: gomemcache is the model.
func TestAnyDialogue(t *testing.T) {
	onBoth(t, func(t *testing.T, addr func() string) {
		p := newPair(t, addr, Config{})
		run := 0
		rapid.Check(t, func(t *rapid.T) {
			run++
			for range rapid.IntRange(1, 30).Draw(t, "ops") {
				o := op{
					do:    rapid.SampledFrom([]string{"get", "get", "getmulti", "gat", "touch", "set", "set", "add", "replace", "append", "prepend", "cas", "cas", "delete", "incr", "decr"}).Draw(t, "do"),
					key:   fmt.Sprint(run, ":", rapid.IntRange(0, 2).Draw(t, "key")),
					value: rapid.SampledFrom([]string{"", "0", "7", "99", "text", "1 2", "\r\nEND\r\n"}).Draw(t, "value"),
					flags: rapid.SampledFrom([]uint32{0, 1, 1 << 29, 1<<32 - 1}).Draw(t, "flags"),
					exp:   rapid.SampledFrom([]int32{0, 0, 3600, -1, 2_000_000_000}).Draw(t, "exp"),
					delta: rapid.SampledFrom([]uint64{0, 1, 95, 1<<64 - 1}).Draw(t, "delta"),
				}
				if theirs, ours := p.do(0, o), p.do(1, o); theirs != ours {
					t.Fatalf("%+v: gomemcache %+v, here %+v", o, theirs, ours)
				}
			}
		})
	})
}

// TestDifferences has a line for each of DIFFERENCES.md that a single client shows.
func TestDifferences(t *testing.T) {
	onBoth(t, func(t *testing.T, addr func() string) {
		p := newPair(t, addr, Config{})
		ours := p.clients[1].(*Client)
		_, err := ours.Get("")
		require.Equal(t, memcache.ErrMalformedKey, err, "an empty key does not reach the node")
		require.ErrorIs(t, ours.Set(&memcache.Item{Key: "k", Flags: 1 << 30}), client.ErrBadFlags)
		require.NoError(t, ours.Set(&memcache.Item{Key: "k", Value: []byte("v")}))
		it, err := ours.Get("k")
		require.NoError(t, err)
		it.CasID &= 1<<countBits - 1 // a token of another client
		require.Equal(t, memcache.ErrCASConflict, ours.CompareAndSwap(it))
		require.NoError(t, ours.Close())
		_, err = ours.Get("k")
		require.ErrorIs(t, err, client.ErrClosed)
		require.NotErrorIs(t, err, memcache.ErrCacheMiss)
	})
}

func scaled(n int) int {
	if f, err := strconv.ParseFloat(os.Getenv("MEMHERD_SCALE"), 64); err == nil {
		n = max(1, int(f*float64(n)))
	}
	return n
}
