package client_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/hotkey"
	"github.com/memherd/memherd/nodeserver"
)

// heat reads key until it is served from memory.
func heat(t *testing.T, c *client.Client, key string) {
	t.Helper()
	before := c.Counters().NearHits
	for range 200_000 {
		_, err := c.Get(t.Context(), key)
		require.NoError(t, err)
		if c.Counters().NearHits > before {
			return
		}
	}
	t.Fatal("the key never got hot")
}

func hot() *hotkey.Config { return &hotkey.Config{Budget: -1} }

// A hot key is served from memory; own writes are seen at once, another client's
// within X.
func TestNearCacheStaleness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newMemFleet(t, 2, nodeserver.Config{})
		a := f.client(client.Config{ReplicationFactor: 2, HotKeys: hot()})
		b := f.client(client.Config{ReplicationFactor: 2})
		set(t, a, "k", "1")
		require.False(t, a.HoldsNear("k"))
		heat(t, a, "k")
		require.True(t, a.HoldsNear("k"))
		require.False(t, a.HoldsNear("another"))
		require.NotEmpty(t, a.HotKeys(1))
		require.Equal(t, "k", a.HotKeys(1)[0].Key)

		set(t, a, "k", "2")
		require.Equal(t, "2", get(t, a, "k"), "own writes are seen at once")
		heat(t, a, "k")
		_, err := a.Delete(t.Context(), "k")
		require.NoError(t, err)
		_, err = a.Get(t.Context(), "k")
		require.ErrorIs(t, err, client.ErrCacheMiss)

		set(t, a, "k", "3")
		heat(t, a, "k")
		set(t, b, "k", "4")
		require.Equal(t, "3", get(t, a, "k"), "within the bound")
		time.Sleep(50 * time.Millisecond)
		require.Equal(t, "4", get(t, a, "k"), "at the bound")

		heat(t, a, "k")
		n, err := a.Lease(t.Context(), "k", client.LeaseOptions{})
		require.NoError(t, err)
		require.EqualValues(t, 1, n.Level, "a lease is served from memory, too")
		closeFleet(t, f, a, b)
	})
}

// When a connection to the node dies, what it vouched for is gone from memory.
// What is held of a node is void when the node turns out to have lost its memory, though
// nobody reads from it meanwhile.
func TestANewEpochDropsNearEntries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newMemFleet(t, 1, nodeserver.Config{})
		cfg := hot()
		cfg.Staleness = time.Hour
		c := f.client(client.Config{HotKeys: cfg})
		set(t, c, "k", "v")
		heat(t, c, "k")
		f.kill("node0")
		require.Equal(t, "v", get(t, c, "k"), "within the bound: the node may be well")
		f.restart("node0")
		require.NotZero(t, c.NearStats().Entries)
		for c.NearStats().Entries > 0 { // until the node is asked whether it is well
			time.Sleep(10 * time.Millisecond)
		}
		_, err := c.Get(t.Context(), "k")
		require.ErrorIs(t, err, client.ErrCacheMiss)
		closeFleet(t, f, c)
	})
}

// Without HotKeys every read goes to a node, and hot keys are still reported.
func TestDetectionAlone(t *testing.T) {
	f := newMemFleet(t, 1, nodeserver.Config{})
	c := f.client(client.Config{})
	set(t, c, "k", "v")
	for range 5000 {
		require.Equal(t, "v", get(t, c, "k"))
	}
	n := c.Counters()
	require.Zero(t, n.NearHits)
	require.EqualValues(t, 5000, n.NodeHits)
	require.False(t, c.HoldsNear("k"), "there is no near-cache")
	for _, hot := range []hotkey.Config{{NearAll: true, Staleness: -1}, {NearAll: true, Prefixes: []hotkey.Prefix{{Prefix: "k", Staleness: -1}}}} {
		off := f.client(client.Config{HotKeys: &hot})
		require.False(t, off.HoldsNear("k"), "it is never held")
	}
	require.Equal(t, "k", c.HotKeys(1)[0].Key)
}

// closeFleet ends everything before a synctest bubble does.
func closeFleet(t *testing.T, f *memFleet, cs ...*client.Client) {
	for _, c := range cs {
		require.NoError(t, c.Close())
	}
	for _, s := range f.servers {
		require.NoError(t, s.Close())
	}
}

// With NearAll the second read of any key is served from memory, by every kind of read, within the same
// bound, and what was validated longest ago makes room.
func TestNearAllHoldsEveryKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newMemFleet(t, 2, nodeserver.Config{})
		a := f.client(client.Config{ReplicationFactor: 2, HotKeys: &hotkey.Config{NearAll: true, Staleness: time.Second, NearBytes: 16 << 10}})
		b := f.client(client.Config{ReplicationFactor: 2, HotKeys: &hotkey.Config{}})
		keys := []string{"k1", "k2", "k3", "k4"}
		for _, k := range keys {
			set(t, b, k, "old")
			require.True(t, a.HoldsNear(k))
			require.False(t, b.HoldsNear(k), "it is not hot")
		}
		require.NoError(t, a.Ping(t.Context())) // what comes before the nodes' epochs are known is not held
		require.Equal(t, "old", get(t, a, "k1"))
		_, err := a.Lease(t.Context(), "k2", client.LeaseOptions{})
		require.NoError(t, err)
		_, err = a.GetMulti(t.Context(), keys)
		require.NoError(t, err)
		require.EqualValues(t, 2, a.Counters().NearHits, "k1 and k2")
		for _, k := range keys {
			set(t, b, k, "new")
			require.Equal(t, "old", get(t, a, k), "within the bound")
			require.Equal(t, "new", get(t, b, k), "these are not hot")
		}
		require.EqualValues(t, 6, a.Counters().NearHits)
		require.Zero(t, b.Counters().NearHits)
		time.Sleep(time.Second)
		for _, k := range keys {
			require.Equal(t, "new", get(t, a, k), "at the bound")
		}
		set(t, a, "k1", "own")
		require.Equal(t, "own", get(t, a, "k1"), "own writes are seen at once")
		for i := range 100 {
			k := fmt.Sprint("more", i)
			set(t, b, k, "v")
			require.Equal(t, "v", get(t, a, k))
		}
		require.LessOrEqual(t, a.NearStats().Bytes, int64(16<<10))
		require.Positive(t, a.NearStats().Evictions)
		closeFleet(t, f, a, b)
	})
}

// What a lease's winner has stored is held in memory with no further request, and is as old as that request: another client's write is
// seen X later, an own one at once, and one that came while the value was loaded keeps it out.
func TestNearHoldsWhatWasFilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const x = time.Second
		f := newMemFleet(t, 2, nodeserver.Config{})
		a := f.client(client.Config{ReplicationFactor: 2, HotKeys: &hotkey.Config{Staleness: x, NearAll: true}})
		b := f.client(client.Config{ReplicationFactor: 2})
		fill := func(key, v string, ttl time.Duration) {
			l := won(t, a, key)
			_, err := a.Fill(t.Context(), l, client.Item{Value: []byte(v), TTL: ttl, Flags: 7})
			require.NoError(t, err)
		}
		hits := func() uint64 { return a.Counters().NearHits }
		set(t, a, "other", "v") // to meet both nodes: what is on its way while a node's epoch is learned is not held
		fill("k", "1", 0)
		before := hits()
		it, err := a.Get(t.Context(), "k")
		require.NoError(t, err)
		require.Equal(t, "1", string(it.Value))
		require.EqualValues(t, 7, it.Flags)
		require.Equal(t, before+1, hits())
		set(t, b, "k", "2")
		require.Equal(t, "1", get(t, a, "k"), "within the bound")
		time.Sleep(x)
		require.Equal(t, "2", get(t, a, "k"), "at the bound")

		fill("own", "1", 0)
		set(t, a, "own", "2")
		require.Equal(t, "2", get(t, a, "own"))

		l := won(t, a, "late")
		set(t, a, "late", "new")
		_, err = a.Fill(t.Context(), l, client.Item{Value: []byte("old")})
		require.ErrorIs(t, err, client.ErrLeaseLost)
		require.Equal(t, "new", get(t, a, "late"))

		fill("short", "1", 2*time.Second)
		time.Sleep(time.Second)
		before = hits()
		_, _ = a.Get(t.Context(), "short")
		require.Equal(t, before, hits(), "it may be gone from the node")
		closeFleet(t, f, a, b)
	})
}

// Where memory may hold nothing the hottest keys are read as all others: a GetMulti asks for them in its classic get.
func TestNoMemoryNoMarks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogged(t, 1)
		c := l.client(client.Config{HotKeys: &hotkey.Config{Staleness: -1, Budget: -1}})
		var keys []string
		for i := range 30 {
			keys = append(keys, fmt.Sprint("k", i))
			set(t, c, keys[i], "v")
		}
		for range 3000 { // two: the meta get that proves the answers would hide one
			get(t, c, keys[3])
			get(t, c, keys[7])
		}
		require.GreaterOrEqual(t, c.HotKeyStats().Hottest, 2)
		l.mu.Lock()
		l.seen = nil
		l.mu.Unlock()
		found, err := c.GetMulti(t.Context(), keys)
		require.NoError(t, err)
		require.Len(t, found, len(keys))
		metas := 0
		for _, asked := range l.seen {
			if strings.Contains(asked, " mg ") {
				metas++
			}
		}
		require.Equal(t, 1, metas, "%q", l.seen)
	})
}
