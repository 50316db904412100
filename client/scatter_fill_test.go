package client_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/memproto"
	"github.com/memherd/memherd/hotkey"
	"github.com/memherd/memherd/nodeserver"
)

// suffixOfK is the only suffix copy of the key k where there is one.
const suffixOfK = "k~memherd~0"

// suffixed is a fleet with a client that reads the key k from its one suffix copy, and counts what that is asked.
type suffixed struct {
	*logged
	c             *client.Client
	looks, tokens atomic.Int64
	late          atomic.Int64 // nanoseconds for which answers about it are held up
}

// overSuffix runs a test of that in a bubble.
func overSuffix(t *testing.T, cfg *hotkey.Config, test func(t *testing.T, s *suffixed)) {
	synctest.Test(t, func(t *testing.T) {
		s := &suffixed{logged: newLogged(t, 3)}
		s.c = s.client(client.Config{HotKeys: cfg})
		set(t, s.c, "k", "v")
		scatter(t, s.c, "k")
		s.decide(func(_ string, r *memproto.Request) nodeserver.Verdict {
			if r.Cmd != memproto.CmdMetaGet || string(r.Key) != suffixOfK {
				return nodeserver.Verdict{}
			}
			if r.Flags.Has(memproto.FlagN) {
				s.tokens.Add(1)
			} else {
				s.looks.Add(1)
			}
			return nodeserver.Verdict{Delay: time.Duration(s.late.Load())}
		})
		test(t, s)
		s.closeAll(s.c)
	})
}

// holder is the node that has the suffix copy, or a stub in its place; "" if none has.
func (s *suffixed) holder() (at string) {
	for _, name := range s.names {
		if strings.HasPrefix(s.line(name, "mg "+suffixOfK+"\r\n"), "HD") {
			require.Empty(s.t, at)
			at = name
		}
	}
	return at
}

// evict takes the suffix copy away.
func (s *suffixed) evict() {
	for _, name := range s.names {
		s.line(name, "md "+suffixOfK+"\r\n")
	}
}

// read reads until n was counted up: some reads are for the key itself.
func (s *suffixed) read(n *atomic.Int64, read func()) {
	was := n.Load()
	for range 1000 {
		if read(); n.Load() > was {
			return
		}
	}
	s.t.Fatal("it was asked nothing")
}

func (s *suffixed) get() { _, _ = s.c.Get(context.Background(), "k") }

func (s *suffixed) getMany() { _, _ = s.c.GetMulti(context.Background(), []string{"k", "none"}) }

// Who finds nothing to fill a suffix copy with leaves no stub there: others would take it for a filler at work.
func TestScatterGivesUpWhatItCannotFill(t *testing.T) {
	for name, leave := range map[string]func(s *suffixed){
		"missing": func(s *suffixed) { s.line(s.placed(1, "k")[0], "md k\r\n") },
		"stale":   func(s *suffixed) { s.markStale(s.placed(1, "k")[0], "k") },
		"ending":  func(s *suffixed) { s.line(s.placed(1, "k")[0], "mg k T1\r\n") },
	} {
		t.Run(name, func(t *testing.T) {
			overSuffix(t, scattering(1), func(t *testing.T, s *suffixed) {
				for _, read := range []func(){s.get, s.getMany} {
					leave(s)
					s.evict()
					fills := s.c.Counters().ScatterFills
					s.read(&s.tokens, read)
					time.Sleep(10 * time.Millisecond) // a stub is given back without waiting
					require.Empty(t, s.holder())
					require.Equal(t, fills, s.c.Counters().ScatterFills)
					set(t, s.c, "k", "v")
					time.Sleep(scatterX)
					scatter(t, s.c, "k")
				}
			})
		})
	}
}

// A filler asks for a second, and what it stores ends a second before the bound: that is how long the token may have been held up.
func TestScatterStoresForLessThanItsBound(t *testing.T) {
	cfg := scattering(1)
	cfg.Scatter.Staleness = 7 * time.Second
	overSuffix(t, cfg, func(t *testing.T, s *suffixed) {
		s.evict()
		s.read(&s.tokens, s.get)
		require.Regexp(t, `^HD t[56]\r\n$`, s.line(s.holder(), "mg "+suffixOfK+" t\r\n"))
		s.evict()
		var asked atomic.Int64
		s.decide(func(_ string, r *memproto.Request) nodeserver.Verdict {
			if r.Flags.Has(memproto.FlagN) && string(r.Key) == suffixOfK {
				asked.Store(r.Vivify)
				s.tokens.Add(1)
			}
			return nodeserver.Verdict{}
		})
		s.read(&s.tokens, s.getMany)
		require.EqualValues(t, 1, asked.Load())
	})
}

// While somebody else fills a suffix copy nobody asks for the right to: the key's own copies are read.
func TestScatterWaitsForNoFiller(t *testing.T) {
	overSuffix(t, scattering(1), func(t *testing.T, s *suffixed) {
		at := s.holder()
		s.evict()
		s.line(at, "mg "+suffixOfK+" N30\r\n")
		s.tokens.Store(0)
		for range 20 {
			s.read(&s.looks, func() { require.Equal(t, "v", get(t, s.c, "k")) })
			s.read(&s.looks, func() { require.Equal(t, map[string]string{"k": "v"}, getMany(t, s.c, "k", "none")) })
		}
		require.Zero(t, s.tokens.Load())
	})
}

// Another program marks a key stale, or its suffix copy: the right to refresh it that a read draws by accident is given back, also when the
// reader has left before its answer was there.
func TestScatterKeepsNoWin(t *testing.T) {
	for name, read := range map[string]func(s *suffixed){
		"Get": (*suffixed).get, "GetMulti": (*suffixed).getMany,
		"Get, left": func(s *suffixed) {
			ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
			defer cancel()
			_, _ = s.c.Get(ctx, "k")
		},
		"GetMulti, left": func(s *suffixed) {
			ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
			defer cancel()
			_, _ = s.c.GetMulti(ctx, []string{"k"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			overSuffix(t, scattering(1), func(t *testing.T, s *suffixed) {
				at, home := s.holder(), s.placed(1, "k")[0]
				left := strings.HasSuffix(name, "left")
				if left {
					s.late.Store(int64(20 * time.Millisecond))
				}
				s.markStale(at, suffixOfK)
				s.read(&s.looks, func() { read(s) })
				time.Sleep(100 * time.Millisecond)
				s.late.Store(0)
				require.Contains(t, s.line(at, "mg "+suffixOfK+" t\r\n"), " W", "its suffix copy")
				if left {
					return
				}
				// A filler reads the key itself.
				s.evict()
				s.markStale(home, "k")
				s.read(&s.tokens, func() { read(s) })
				time.Sleep(100 * time.Millisecond)
				require.Contains(t, s.line(home, "mg k t\r\n"), " W", "the key")
			})
		})
	}
}
