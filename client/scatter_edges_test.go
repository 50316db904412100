package client_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/memproto"
	"github.com/memherd/memherd/nodeserver"
)

// The bound at its edge: a fill that has read the old value is held up for nearly all the time that its token has, while another client
// writes. What it stores is gone in time all the same.
func TestScatterAtTheEdgeOfItsBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogged(t, 2)
		a := l.client(client.Config{HotKeys: scattering(1), Timeout: 5 * time.Second})
		b := l.client(client.Config{})
		set(t, a, "k", "0")
		scatter(t, a, "k")
		var filling atomic.Bool
		l.decide(func(_ string, r *memproto.Request) nodeserver.Verdict {
			if r.Cmd == memproto.CmdMetaSet && hasSuffix(r, "k") && !filling.Swap(true) {
				return nodeserver.Verdict{Delay: 900 * time.Millisecond}
			}
			return nodeserver.Verdict{}
		})
		late := 0
		for round := range 30 { // at all phases of the nodes' clocks, which count seconds
			filling.Store(false)
			var wg sync.WaitGroup
			wg.Go(func() { // whoever fills waits
				for !filling.Load() {
					_, _ = a.Get(t.Context(), "k")
					time.Sleep(5 * time.Millisecond)
				}
			})
			for !filling.Load() {
				time.Sleep(time.Millisecond)
			}
			v := fmt.Sprint(round + 1)
			set(t, b, "k", v)
			confirmed := time.Now()
			for time.Since(confirmed) < 5*time.Second {
				began := time.Now()
				got := get(t, a, "k")
				if began.Sub(confirmed) >= scatterX {
					require.Equal(t, v, got, "%v after it was confirmed", began.Sub(confirmed))
				} else if got != v && began.Sub(confirmed) > 1500*time.Millisecond {
					late++
				}
				time.Sleep(7 * time.Millisecond)
			}
			wg.Wait()
			time.Sleep(70 * time.Millisecond)
		}
		require.Positive(t, late, "none was nearly too old: this test tells nothing")
		l.closeAll(a, b)
	})
}

// Who begins to scatter a key has written it before, without knowing of the suffix copies that another client has filled. It sees its
// writes all the same.
func TestScatterBeginsWithOwnWritesSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogged(t, 3)
		b := l.client(client.Config{HotKeys: scattering(4)})
		set(t, b, "k", "before")
		scatter(t, b, "k")
		a := l.client(client.Config{HotKeys: scattering(4)})
		for i := range 40 {
			v := fmt.Sprint("own", i)
			set(t, a, "k", v)
			for range 300 {
				require.Equal(t, v, get(t, a, "k"))
				_, _ = b.Get(t.Context(), "k") // keeps suffix copies of what was before
				time.Sleep(time.Millisecond)
			}
			if i > 20 {
				time.Sleep(scatterX)
			}
		}
		l.closeAll(a, b)
	})
}

// A suffix copy does not outlive its key by more than nodes' seconds.
func TestScatterKeepsToTheKeysLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogged(t, 3)
		cfg := scattering(4)
		cfg.Scatter.Staleness = 20 * time.Second
		a := l.client(client.Config{HotKeys: cfg})
		b := l.client(client.Config{})
		stored := time.Now()
		store := func() {
			_, err := b.Set(t.Context(), client.Item{Key: "k", Value: []byte("v"), TTL: 5 * time.Second})
			require.NoError(t, err)
			stored = time.Now()
		}
		store()
		for a.Counters().Scattered < 100 {
			_, _ = a.Get(t.Context(), "k")
			time.Sleep(10 * time.Millisecond)
			if time.Since(stored) > 3*time.Second {
				store()
			}
		}
		for time.Since(stored) < 30*time.Second {
			_, err := a.Get(t.Context(), "k")
			if time.Since(stored) > 8*time.Second {
				require.ErrorIs(t, err, client.ErrCacheMiss, "%v after it was stored", time.Since(stored))
			}
			time.Sleep(10 * time.Millisecond)
		}
		l.closeAll(a, b)
	})
}

// What its copies can bear is not scattered: by default less than R/(2·n) of the reads, or than Share.
func TestScatterTakesHotterKeysAlone(t *testing.T) {
	for share, want := range map[float64]bool{0: false, 0.2: false, 0.02: true} {
		t.Run(fmt.Sprint(share), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLogged(t, 5)
				cfg := scattering(4)
				cfg.Scatter.Share = share
				c := l.client(client.Config{HotKeys: cfg})
				var ks []string // each a twentieth of the reads, where a tenth is the default
				for i := range 20 {
					ks = append(ks, fmt.Sprint("k", i))
					set(t, c, ks[i], "v")
				}
				for i := range 10_000 {
					get(t, c, ks[i%len(ks)])
					time.Sleep(time.Millisecond)
				}
				require.Equal(t, want, c.Counters().Scattered > 0)
				l.closeAll(c)
			})
		})
	}
}

// While copies move, or come back, no suffix copy is read: the rules for those are enough. Once nobody goes by the old list they
// are again. (They were not for the LeftoverWindow, a day, after every change of the fleet.)
func TestScatterRestsWhileCopiesMove(t *testing.T) {
	const announce, window = 4 * time.Second, 5 * time.Second
	for name, change := range map[string]struct {
		of    func(l *logged, c *client.Client) error
		lasts time.Duration // at least
	}{
		"announced": {func(l *logged, c *client.Client) error { return c.SetNodes(l.nodes()) }, announce + window},
		"cold": {func(l *logged, c *client.Client) error {
			l.kill("node0")
			l.restart("node0")
			time.Sleep(3 * time.Second) // until it is found
			return nil
		}, 3 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLogged(t, 4)
				nodes := l.nodes()
				if name == "announced" {
					nodes = nodes[:3]
				}
				c := l.client(client.Config{
					Nodes: nodes, ReplicationFactor: 2, HotKeys: scattering(4), Timeout: 100 * time.Millisecond,
					Announce: announce, MigrationWindow: window, ColdWindow: 10 * time.Second,
				})
				set(t, c, "k", "v")
				scatter(t, c, "k")
				require.NoError(t, change.of(l, c))
				before := c.Counters()
				l.take()
				began, reads := time.Now(), 0
				for ; time.Since(began) < change.lasts-time.Millisecond; reads++ {
					require.Equal(t, "v", get(t, c, "k"))
					require.Equal(t, map[string]string{"k": "v"}, getMany(t, c, "k"))
					time.Sleep(5 * time.Millisecond)
				}
				require.Greater(t, reads, 100)
				for _, asked := range l.take() {
					require.NotContains(t, asked, " mg k~memherd~")
				}
				require.Equal(t, before.Scattered, c.Counters().Scattered)
				time.Sleep(3 * announce) // what has moved away is told for a day more, which does not matter here
				scatter(t, c, "k")
				l.closeAll(c)
			})
		})
	}
}

// Of many callers of one client that miss a suffix copy at once, one fills it. The others send nothing more there: they ask the key's own copies.
func TestScatterIsFilledByOneCaller(t *testing.T) {
	for name, read := range map[string]func(t *testing.T, c *client.Client) string{
		"Get":      func(t *testing.T, c *client.Client) string { return get(t, c, "k") },
		"GetMulti": func(t *testing.T, c *client.Client) string { return getMany(t, c, "k")["k"] },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLogged(t, 3)
				c := l.client(client.Config{HotKeys: scattering(1)})
				set(t, c, "k", "v")
				var looks, tokens atomic.Int64
				l.decide(func(_ string, r *memproto.Request) nodeserver.Verdict {
					if r.Cmd == memproto.CmdMetaGet && hasSuffix(r, "k") {
						if r.Flags.Has(memproto.FlagN) {
							tokens.Add(1)
						} else {
							looks.Add(1)
						}
					}
					return nodeserver.Verdict{Delay: time.Millisecond}
				})
				for range 10 {
					scatter(t, c, "k")
					for _, name := range l.names {
						l.line(name, "md k~memherd~0 q\r\nmn\r\n") // as if it had ended
					}
					looks.Store(0)
					tokens.Store(0)
					var wg sync.WaitGroup
					for range 40 {
						wg.Go(func() {
							if got := read(t, c); got != "v" {
								t.Errorf("read %q", got)
							}
						})
					}
					wg.Wait()
					require.Greater(t, looks.Load(), int64(5))
					require.EqualValues(t, 1, tokens.Load())
				}
				l.closeAll(c)
			})
		})
	}
}
