package client_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/memproto"
	"github.com/memherd/memherd/hotkey"
	"github.com/memherd/memherd/nodeserver"
)

// A node that is slow is asked for no suffix copy: the key has others.
func TestScatterGoesAroundASlowNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogged(t, 4)
		c := l.client(client.Config{HotKeys: scattering(8), Timeout: time.Second})
		set(t, c, "k", "v")
		scatter(t, c, "k")
		slow := "node0"
		if l.placed(1, "k")[0] == slow {
			slow = "node1"
		}
		l.decide(func(node string, _ *memproto.Request) nodeserver.Verdict {
			if node == slow {
				return nodeserver.Verdict{Delay: 20 * time.Millisecond}
			}
			return nodeserver.Verdict{Delay: 500 * time.Microsecond}
		})
		read := func(d time.Duration) (waited, reads int) {
			for began := time.Now(); time.Since(began) < d; reads++ {
				at := time.Now()
				require.Equal(t, "v", get(t, c, "k"))
				if time.Since(at) > 10*time.Millisecond {
					waited++
				}
			}
			return waited, reads
		}
		waited, _ := read(3 * time.Second)
		require.NotZero(t, waited, "it has suffix copies there")
		before := c.Counters().Scattered
		waited, reads := read(2 * time.Second)
		require.Zero(t, waited)
		require.Greater(t, c.Counters().Scattered-before, uint64(reads*2/3), "by another suffix copy, not by the key's own")
		l.closeAll(c)
	})
}

// Of two suffix copies that is read whose node was asked for less of late: they make up for what others have to bear.
func TestScatterReadsWhereLessIsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogged(t, 4)
		c := l.client(client.Config{HotKeys: scattering(16)})
		set(t, c, "k", "v")
		scatter(t, c, "k")
		for i, asked := 0, 0; asked < 3000; i++ { // each once: they are not to be hot
			if k := fmt.Sprint("cold", i); l.placed(1, k)[0] == "node0" {
				_, err := c.Get(t.Context(), k)
				require.ErrorIs(t, err, client.ErrCacheMiss)
				asked++
			}
		}
		before := c.Counters().Scattered
		l.take()
		for range 1000 {
			require.Equal(t, "v", get(t, c, "k"))
		}
		there := 0
		for _, asked := range l.take() {
			if strings.HasPrefix(asked, "node0 mg k~memherd~") {
				there++
			}
		}
		require.Greater(t, c.Counters().Scattered-before, uint64(900))
		require.Less(t, there, 150, "a quarter of the suffix copies is there")
		l.closeAll(c)
	})
}

// A key is scattered for what it is of the reads, once it has been read often: not the only one that a client ever reads, now and then.
func TestScatterLeavesSeldomReadKeysAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogged(t, 4)
		c := l.client(client.Config{HotKeys: scattering(4)})
		set(t, c, "k", "v")
		for range 12 {
			require.Equal(t, "v", get(t, c, "k"))
			time.Sleep(10 * time.Second)
		}
		require.Equal(t, hotkey.LevelCold, c.HotKeys(1)[0].Level)
		require.Zero(t, c.Counters().Scattered+c.Counters().ScatterFills)
		l.closeAll(c)
	})
}

// A key that is scattered stays so down to half of the share from which keys are, so that it is not begun anew whenever it is a little less.
func TestScatterStaysDownToHalfOfItsShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogged(t, 4)
		cfg := scattering(4)
		cfg.Scatter.Share = 0.2
		c := l.client(client.Config{HotKeys: cfg})
		for _, key := range []string{"k", "later"} {
			set(t, c, key, "v")
		}
		scatter(t, c, "k")
		next := 0
		// read reads both keys once in n reads each, and nothing else twice.
		read := func(n int) {
			l.take()
			for i := range 20_000 {
				switch i % n {
				case 0:
					get(t, c, "k")
				case 1:
					get(t, c, "later")
				default:
					next++
					_, err := c.Get(t.Context(), fmt.Sprint("cold", next))
					require.ErrorIs(t, err, client.ErrCacheMiss)
				}
				time.Sleep(time.Millisecond)
			}
			for _, asked := range l.take() {
				require.NotContains(t, asked, "later~memherd~", "it was never read as often")
			}
		}
		read(7)
		before := c.Counters().Scattered
		read(7)
		require.Greater(t, c.Counters().Scattered-before, uint64(20_000/7/2))
		read(50)
		read(50)
		before = c.Counters().Scattered
		read(50)
		require.Equal(t, before, c.Counters().Scattered)
		l.closeAll(c)
	})
}

// Clients that have learned of the same change, one by having gone through it, look for suffix copies at the same places: what the one writes the other
// sees at once.
func TestScatterAgreesAfterAChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogged(t, 5)
		cfg := client.Config{
			Nodes: l.nodes()[:4], HotKeys: scattering(8), Announce: 2 * time.Second, MigrationWindow: 4 * time.Second, LeftoverWindow: client.NoLeftoverWindow,
		}
		old := l.client(cfg)
		set(t, old, "k", "v")
		scatter(t, old, "k")
		require.NoError(t, old.SetNodes(l.nodes()))
		for range 30 {
			time.Sleep(time.Second)
			for range 100 {
				require.Equal(t, "v", get(t, old, "k"))
			}
		}
		cfg.Nodes = l.nodes()
		young := l.client(cfg)
		scatter(t, young, "k")
		scatter(t, old, "k")
		for i := range 30 {
			v := fmt.Sprint("v", i)
			writer, reader := old, young
			if i%2 == 0 {
				writer, reader = young, old
			}
			set(t, writer, "k", v)
			for range 100 {
				require.Equal(t, v, get(t, reader, "k"))
			}
			time.Sleep(scatterX) // for which a writer reads none
			for range 100 {
				get(t, old, "k")
				get(t, young, "k")
			}
		}
		require.Greater(t, old.Counters().Scattered, uint64(1000))
		require.Greater(t, young.Counters().Scattered, uint64(1000))
		l.closeAll(old, young)
	})
}

// A key of other bytes than a node takes is not scattered: what stands for it on the wire says nothing of a suffix.
func TestScatterLeavesEncodedKeysAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogged(t, 3)
		c := l.client(client.Config{HotKeys: scattering(4), Keys: client.AnyKeys})
		for _, key := range []string{"a b", "plain"} {
			set(t, c, key, "v")
			l.take()
			for range 3000 {
				require.Equal(t, "v", get(t, c, key))
				time.Sleep(2 * time.Millisecond)
			}
			require.Equal(t, key == "plain", c.Counters().Scattered > 0, key)
		}
		l.closeAll(c)
	})
}

// Where memory serves a key its own copies renew what is there, also if it answers so few reads between that it is renewed by reads alone.
func TestScatterLeavesToMemoryWhatItServes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogged(t, 4)
		cfg := scattering(8)
		cfg.Staleness = 0 // the default: memory is on, for 50 ms
		c := l.client(client.Config{HotKeys: cfg})
		set(t, c, "k", "v")
		read := func(n int) (near uint64) {
			before := c.NearStats().Hits
			for range n {
				require.Equal(t, "v", get(t, c, "k"))
				time.Sleep(8 * time.Millisecond)
			}
			return c.NearStats().Hits - before
		}
		read(2000)
		before := c.Counters().Scattered
		require.Greater(t, read(2000), uint64(1500))
		require.Equal(t, before, c.Counters().Scattered)
		l.closeAll(c)
	})
}
