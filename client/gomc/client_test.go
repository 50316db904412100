package gomc

import (
	"fmt"
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/hotkey"
	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/ring"
)

// TestDeleteAllReachesEveryNode, which gomemcache's does not.
func TestDeleteAllReachesEveryNode(t *testing.T) {
	onBoth(t, func(t *testing.T, addr func() string) {
		servers := []string{addr(), addr(), addr()}
		theirs := memcache.New(servers...)
		theirs.Timeout = 10 * time.Second
		defer theirs.Close()
		nodes, err := Servers(servers...)
		require.NoError(t, err)
		ours, err := New(Config{Client: patient(client.Config{Nodes: nodes})})
		require.NoError(t, err)
		defer ours.Close()
		left := func(c methods) (n int) {
			for i := range 60 {
				require.NoError(t, c.Set(&memcache.Item{Key: fmt.Sprint("k", i), Value: []byte("v")}))
			}
			require.NoError(t, c.DeleteAll())
			for i := range 60 {
				if _, err := c.Get(fmt.Sprint("k", i)); err == nil {
					n++
				}
			}
			return n
		}
		require.Zero(t, left(ours))
		require.Positive(t, left(theirs), "gomemcache empties one node; if that has changed, DIFFERENCES.md should say so")
	})
}

// TestServers: addresses are checked at once, and a repeated one has more shares.
func TestServers(t *testing.T) {
	nodes, err := Servers("a:11211", "b:11211", "A", "a:11212", "/tmp/s")
	require.NoError(t, err)
	require.Len(t, nodes, 4)
	require.Equal(t, []int{2, 1, 1, 1}, []int{nodes[0].Weight, nodes[1].Weight, nodes[2].Weight, nodes[3].Weight})

	_, err = NewServers()
	require.Equal(t, memcache.ErrNoServers, err)
	_, err = NewServers("a:11211", "b:port")
	require.ErrorContains(t, err, "server 2")
	_, err = memcache.New("b:port").Get("k")
	require.Equal(t, memcache.ErrNoServers, err, "gomemcache finds out now, and not what")
}

// TestGetReadsACopyWhenTheOwnerIsGone: without a token then, which CompareAndSwap takes for a conflict or for the
// owner's loss.
func TestGetReadsACopyWhenTheOwnerIsGone(t *testing.T) {
	mem := nodeserver.NewMemNetwork()
	for _, n := range []string{"a", "b"} {
		start(t, nodeserver.Config{Network: mem, Addr: n + ":11211"})
	}
	c, err := New(Config{Client: patient(client.Config{Nodes: ring.Addrs("a", "b"), ReplicationFactor: 2, DialContext: mem.DialContext})})
	require.NoError(t, err)
	defer c.Close()
	var keys []string
	for i := range 20 {
		keys = append(keys, fmt.Sprint("k", i))
		require.NoError(t, c.Set(&memcache.Item{Key: keys[i], Value: []byte("v"), Flags: 3}))
	}
	mem.Kill("a:11211")
	lost := 0
	for _, key := range keys {
		it, err := c.Get(key)
		require.NoError(t, err)
		require.Equal(t, "v", string(it.Value))
		require.EqualValues(t, 3, it.Flags)
		if it.CasID == 0 {
			lost++
			require.ErrorIs(t, c.CompareAndSwap(it), client.ErrOwnerDown)
		}
	}
	require.Positive(t, lost)
	require.Less(t, lost, len(keys))
	found, err := c.GetMulti(keys)
	require.NoError(t, err)
	require.Len(t, found, len(keys))

	// Nobody saw a read fail, so none counts as failed, or as two.
	before := c.Memherd().Counters()
	for _, key := range keys {
		_, err := c.Get(key)
		require.NoError(t, err)
	}
	after := c.Memherd().Counters()
	require.Equal(t, before.Errors, after.Errors)
	require.EqualValues(t, len(keys), after.Gets-before.Gets)
}

// TestNoTokens: reads may come from memory then, and have no token.
func TestNoTokens(t *testing.T) {
	mem := nodeserver.NewMemNetwork()
	start(t, nodeserver.Config{Network: mem, Addr: "a:11211"})
	for _, noTokens := range []bool{false, true} {
		c, err := New(Config{NoTokens: noTokens, Client: patient(client.Config{
			Nodes: ring.Addrs("a"), DialContext: mem.DialContext, HotKeys: &hotkey.Config{Staleness: time.Hour}})})
		require.NoError(t, err)
		require.NoError(t, c.Set(&memcache.Item{Key: "hot", Value: []byte("v")}))
		for range 20_000 {
			it, err := c.Get("hot")
			require.NoError(t, err)
			require.Equal(t, !noTokens, it.CasID != 0)
		}
		found, err := c.GetMulti([]string{"hot"})
		require.NoError(t, err)
		require.Equal(t, !noTokens, found["hot"].CasID != 0)
		require.Equal(t, noTokens, c.Memherd().Counters().NearHits > 0)
		require.Equal(t, memcache.ErrCASConflict, c.CompareAndSwap(&memcache.Item{Key: "hot"}), "an item without a token")
		require.NoError(t, c.Close())
	}
}

// TestValuesAreTheCallers: what is written to the value of a read, which gomemcache allows, nobody else reads.
func TestValuesAreTheCallers(t *testing.T) {
	mem := nodeserver.NewMemNetwork()
	for _, n := range []string{"a", "old"} {
		start(t, nodeserver.Config{Network: mem, Addr: n + ":11211"})
	}
	c, err := New(Config{NoTokens: true, Client: patient(client.Config{
		Nodes: ring.Addrs("a"), DialContext: mem.DialContext, HotKeys: &hotkey.Config{Staleness: time.Hour, NearAll: true}})})
	require.NoError(t, err)
	old := memcache.New("old:11211")
	old.DialContext = mem.DialContext
	d, err := NewDual(DualConfig{Old: old, New: c})
	require.NoError(t, err)
	defer d.Close()
	require.NoError(t, c.Set(&memcache.Item{Key: "k", Value: []byte("v")}))
	many := func(get func([]string) (map[string]*memcache.Item, error)) func(string) (*memcache.Item, error) {
		return func(key string) (*memcache.Item, error) {
			found, err := get([]string{key})
			return found[key], err
		}
	}
	for s := NewFirst; s <= NewOnly; s++ {
		require.NoError(t, d.SetStage(s))
		for i, get := range []func(string) (*memcache.Item, error){c.Get, many(c.GetMulti), d.Get, many(d.GetMulti)} {
			for range 3 {
				it, err := get("k")
				require.NoError(t, err)
				require.Equal(t, "v", string(it.Value), "way %d", i)
				it.Value[0] = 'x'
			}
		}
	}
	require.Positive(t, c.Memherd().Counters().NearHits)
}

// TestTokensEndWithTheirNode: what was read before a restart changes nothing after it, though the node counts its
// tokens from the start again. gomemcache's client would.
func TestTokensEndWithTheirNode(t *testing.T) {
	mem := nodeserver.NewMemNetwork()
	srv := start(t, nodeserver.Config{Network: mem, Addr: "a:11211"})
	cfg := patient(client.Config{Nodes: ring.Addrs("a"), DialContext: mem.DialContext})
	c, err := New(Config{Client: cfg})
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.Set(&memcache.Item{Key: "k", Value: []byte("before")}))
	it, err := c.Get("k")
	require.NoError(t, err)

	mem.Kill("a:11211")
	srv.Close()
	mem.Revive("a:11211")
	start(t, nodeserver.Config{Network: mem, Addr: "a:11211"})
	// What failed meanwhile is owed a delete, which may come after a Set.
	after := func() bool {
		now, err := c.Get("k")
		return err == nil && string(now.Value) == "after"
	}
	for c.Set(&memcache.Item{Key: "k", Value: []byte("after")}) != nil || !after() {
	}
	it.Value = []byte("lost update")
	require.Equal(t, memcache.ErrCASConflict, c.CompareAndSwap(it))
	require.True(t, after())
}

// TestLives: numbers are given once, a token comes back as it was, and when all numbers are taken the oldest
// is void, not mistaken.
func TestLives(t *testing.T) {
	var l lives
	v := func(i int) item.Version { return item.Version{Node: "n", Life: uint64(i)} }
	require.Zero(t, l.join(0, v(1)))
	require.Zero(t, l.join(1<<countBits, v(1)), "does not fit")
	require.Zero(t, l.join(1, item.Version{}))
	first := l.join(77, v(1))
	require.Equal(t, first, l.join(77, v(1)))
	cas, of := l.split(first)
	require.EqualValues(t, 77, cas)
	require.Equal(t, v(1), of)
	for _, strange := range []uint64{0, 77, 9<<countBits | 77} {
		_, of = l.split(strange)
		require.Equal(t, item.Version{}, of)
	}

	// As if all other numbers had been given.
	full := &table{number: map[item.Version]uint16{v(1): 1}, of: make([]item.Version, maxLives)}
	full.of[0] = v(1)
	l.known.Store(full)
	second := l.join(77, v(2))
	require.Equal(t, first, second, "the number is used again")
	_, of = l.split(first)
	require.Equal(t, v(2), of, "whoever has the first finds another life, which is over or not the node's")
	require.Equal(t, uint64(2)<<countBits|5, l.join(5, v(3)))
}
