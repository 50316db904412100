package client_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/memproto"
	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/nodeserver/stock"
	"github.com/memherd/memherd/ring"
)

// oracle is a server that answers the probe with a fixed text, and anything behind it as
// a node would that knows all commands and holds nothing.
type oracle struct {
	probe string
	wg    sync.WaitGroup
	dials atomic.Int64
}

func (o *oracle) dial(context.Context, string, string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	o.dials.Add(1)
	o.wg.Go(func() {
		defer theirs.Close()
		r := bufio.NewReader(theirs)
		for i := 0; ; i++ {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			switch {
			case i == 0 && line != "version\r\n" || i == 1 && line != "mn\r\n":
				return // the probe comes first
			case i == 0:
			case i == 1 && o.probe == "":
				io.Copy(io.Discard, r)
				return
			case i == 1:
				io.WriteString(theirs, o.probe)
			case line == "mn\r\n":
				io.WriteString(theirs, "MN\r\n")
			case line == "version\r\n":
				io.WriteString(theirs, "VERSION again\r\n")
			}
		}
	})
	return ours, nil
}

// What a server says of itself decides its tier; what no memcached would say is a
// failed dial.
func TestProbe(t *testing.T) {
	for _, c := range []struct{ reply, tier, version, err string }{
		{"VERSION 1.4.39\r\nERROR\r\n", "T0", "1.4.39", ""},
		{"VERSION 1.5.16\r\nERROR\r\n", "T0", "1.5.16", ""},
		{"VERSION 1.5.22\r\nMN\r\n", "T0", "1.5.22", ""}, // its meta commands were an experiment
		{"VERSION 1.6.12\r\nMN\r\n", "T0", "1.6.12", ""},
		{"VERSION 1.6.17\r\nMN\r\n", "T0", "1.6.17", ""}, // its misses prove nothing
		{"VERSION 1.6.18\r\nMN\r\n", "T1", "1.6.18", ""},
		{"VERSION 1.6.18\nMN\n", "T1", "1.6.18", ""},
		{"VERSION 1.6.18\r\nERROR\r\n", "T0", "1.6.18", ""}, // a proxy that knows no meta commands
		{"VERSION 1.6.18\r\nCLIENT_ERROR unknown command\r\n", "T0", "1.6.18", ""},
		{"VERSION 1.6.19_ubuntu\r\nMN\r\n", "T1", "1.6.19_ubuntu", ""},
		{"VERSION 1.6.20\r\nMN\r\n", "T2", "1.6.20", ""},
		{"VERSION 1.6.27\r\nMN\r\n", "T3", "1.6.27", ""},
		{"VERSION 1.6.40-memherd\r\nMN\r\n", "T4", "1.6.40-memherd", ""},
		{"VERSION 1.7.0\r\nMN\r\n", "T4", "1.7.0", ""},
		{"VERSION 2.0\r\nMN\r\n", "T1", "2.0", ""}, // no version of memcached's
		{"VERSION unknown\r\nMN\r\n", "T1", "unknown", ""},
		{"VERSION \x01\x80\r\nMN\r\n", "T1", "??", ""},

		{"ERROR Too many open connections\r\n", "", "", "Too many open connections"},
		{"CLIENT_ERROR unauthenticated\r\n", "", "", "unauthenticated"},
		{"SERVER_ERROR out of memory\r\nMN\r\n", "", "", "out of memory"},
		{"MN\r\nVERSION 1.6.18\r\n", "", "", "no reply to version"},
		{"VERSION 1.6.18\r\nSTORED\r\n", "", "", "no reply to mn"},
		{"VERSION 1.6.18\r\nSERVER_ERROR out of memory\r\n", "", "", "no reply to mn"},
		{"VERSION 1.6.18\r\nMN\r\nMN\r\n", "", "", "no memcached"},
		{"VERSION 1.6.18\r\nMN\r\nx", "", "", "no memcached"},
		{"HTTP/1.1 400 Bad Request\r\n\r\n", "", "", "no memcached"},
		{"-ERR unknown command\r\n", "", "", "no memcached"},
		{"SSH-2.0-x\r\n", "", "", "no memcached"},
		{strings.Repeat("x", 5000), "", "", "no memcached"},
		{"VERSION " + strings.Repeat("1", 5000) + "\r\nMN\r\n", "", "", "no memcached"},
		{"VERSION 1.6.18\r\n" + strings.Repeat("x", 5000), "", "", "no memcached"},
		{"", "", "", "deadline"},
		{"VERSION 1.6.18\r\nM", "", "", "deadline"},
	} {
		synctest.Test(t, func(t *testing.T) {
			o := &oracle{probe: c.reply}
			var learned []string
			cl, err := client.New(client.Config{Nodes: ring.Addrs("a:1"), DialContext: o.dial, DialTimeout: time.Second, Hooks: client.Hooks{
				TierLearned: func(node string, tier client.Tier, version string) {
					learned = append(learned, node+" "+tier.String()+" "+version)
				},
			}})
			require.NoError(t, err)
			require.Equal(t, "unknown", cl.Nodes()[0].Tier.String())
			began := time.Now()
			err = cl.Ping(t.Context())
			s := cl.Nodes()[0]
			if c.err == "" {
				require.NoError(t, err, "%.60q", c.reply)
				require.Equal(t, []string{c.tier, c.version}, []string{s.Tier.String(), s.Version}, "%.60q", c.reply)
				require.Equal(t, []string{"a:1 " + c.tier + " " + c.version}, learned)
			} else {
				require.ErrorIs(t, err, client.ErrNodeDown, "%.60q", c.reply)
				require.ErrorContains(t, err, c.err, "%.60q", c.reply)
				require.True(t, client.SafeToRetry(err), "nothing was sent")
				require.Equal(t, client.TierUnknown, s.Tier)
				require.Empty(t, learned)
				require.Equal(t, "down", s.State)
			}
			if c.err == "deadline" {
				require.Equal(t, time.Second, time.Since(began), "a silent server costs DialTimeout")
			} else {
				require.Zero(t, time.Since(began))
			}
			require.NoError(t, cl.Close())
			o.wg.Wait()
		})
	}
}

// A node comes back older, and then newer, than it was: each connection asks anew.
func TestANodeChangesItsTier(t *testing.T) {
	f := newProfiledFleet(t, nodeserver.Profile1618)
	up := make(chan struct{}, 8)
	var mu sync.Mutex
	var tiers []client.Tier
	c := f.client(client.Config{Hooks: client.Hooks{
		NodeUp: func(string, int) { up <- struct{}{} },
		TierLearned: func(_ string, tier client.Tier, _ string) {
			mu.Lock()
			defer mu.Unlock()
			tiers = append(tiers, tier)
		},
	}})
	ctx := context.Background()
	use := func() {
		set(t, c, "k", "v")
		require.Equal(t, "v", get(t, c, "k"))
		l := won(t, c, "leased")
		_, err := c.Fill(ctx, l, client.Item{Value: []byte("x")})
		require.NoError(t, err)
		require.Equal(t, "x", get(t, c, "leased"))
	}
	use()
	for _, p := range []nodeserver.Profile{nodeserver.Profile15, nodeserver.ProfileNewest, nodeserver.ProfileNewest} {
		f.kill("node0")
		_, err := c.Get(ctx, "k")
		require.Error(t, err)
		f.config.Profile = p
		f.restart("node0")
		<-up
		use()
	}
	mu.Lock()
	defer mu.Unlock()
	require.Equal(t, []client.Tier{client.Tier1, client.Tier0, client.Tier4}, tiers, "news only")
	require.Equal(t, client.Tier4, c.Nodes()[0].Tier)
}

// A memcached before 1.6.18 tells no opaque token with a miss (ReleaseNotes1618: "reflect O/k on EN"). Misses are no reason to give its
// connections up.
func TestMissesOfAnOlderMemcached(t *testing.T) {
	f := newProfiledFleet(t, nodeserver.Profile1618)
	c, err := client.New(client.Config{Nodes: f.nodes(),
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			nc, err := f.dial(ctx, network, addr)
			return older{nc}, err
		},
		Hooks: client.Hooks{ConnLost: func(_ string, cause error) { t.Error(cause) }},
	})
	require.NoError(t, err)
	defer c.Close()
	_, err = c.Get(t.Context(), "k")
	require.ErrorIs(t, err, client.ErrCacheMiss)
	_, err = c.GetMulti(t.Context(), []string{"k", "l"})
	require.NoError(t, err)
	_, err = c.Gets(t.Context(), "k")
	require.ErrorIs(t, err, client.ErrCacheMiss)
	set(t, c, "k", "v")
	require.Equal(t, "v", get(t, c, "k"))
	require.Equal(t, client.Tier0, c.Nodes()[0].Tier)
}

// older makes 1.6.17 of 1.6.18.
type older struct{ net.Conn }

var missed = regexp.MustCompile(`(?m)^EN .*\r$`)

func (c older) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	q := bytes.Replace(p[:n], []byte("VERSION 1.6.18"), []byte("VERSION 1.6.17"), 1)
	return copy(p, missed.ReplaceAll(q, []byte("EN\r"))), err
}

// The probe is one round trip: both questions in one write.
func TestTheProbeIsOneWrite(t *testing.T) {
	f := newMemFleet(t, 1, nodeserver.Config{})
	var writes atomic.Int64
	c, err := client.New(client.Config{Nodes: f.nodes(), DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := f.dial(ctx, network, addr)
		return countWrites{nc, &writes}, err
	}})
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.Ping(context.Background()))
	require.EqualValues(t, 3, writes.Load(), "the probe, the question for the epoch, and the ping")
}

type countWrites struct {
	net.Conn
	n *atomic.Int64
}

func (c countWrites) Write(p []byte) (int, error) {
	c.n.Add(1)
	return c.Conn.Write(p)
}

// A memcached without CAS (-C) gives 0 for a token, which compares with everything: no
// lease is given there, in whatever words it is asked for, and no old value is filled in.
func TestNoLeaseWithoutCAS(t *testing.T) {
	s := stock.ForTest(t, "-C")
	for name, dial := range map[string]func(ctx context.Context, network, addr string) (net.Conn, error){
		"meta": (&net.Dialer{}).DialContext, "classic": dialClassic,
	} {
		t.Run(name, func(t *testing.T) {
			c := newClient(t, client.Config{Nodes: ring.Addrs(s.Addr()), DialContext: dial, DialTimeout: 5 * time.Second})
			ctx := context.Background()
			key := "k-" + name
			for range 2 {
				l, err := c.Lease(ctx, key, client.LeaseOptions{})
				require.NoError(t, err)
				require.Equal(t, "none", l.State.String())
			}
			l, err := c.LeaseWrite(ctx, key)
			require.NoError(t, err)
			require.Empty(t, l.Tokens)
			set(t, c, key, "new")
			_, err = c.Fill(ctx, l, client.Item{Value: []byte("old")})
			require.ErrorIs(t, err, client.ErrLeaseLost)
			_, err = c.Get(ctx, key)
			require.ErrorIs(t, err, client.ErrCacheMiss, "without a token a fill deletes")
		})
	}
}

// Between the add and the gets of a classic lease anything may happen: at worst two
// callers load, and no fill undoes what came in between.
func TestClassicLeaseRaces(t *testing.T) {
	for name, between := range map[string]func(t *testing.T, other *client.Client) *client.Lease{
		"nothing": func(*testing.T, *client.Client) *client.Lease { return nil },
		"a delete": func(t *testing.T, c *client.Client) *client.Lease {
			_, err := c.Delete(context.Background(), "k")
			require.NoError(t, err)
			return nil
		},
		"a set": func(t *testing.T, c *client.Client) *client.Lease {
			set(t, c, "k", "between")
			return nil
		},
		"a delete and a win": func(t *testing.T, c *client.Client) *client.Lease {
			_, err := c.Delete(context.Background(), "k")
			require.NoError(t, err)
			l := won(t, c, "k")
			return &l
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newMemFleet(t, 0, nodeserver.Config{Profile: nodeserver.Profile15})
			var armed atomic.Bool
			var other *client.Client
			var theirs *client.Lease
			f.config.Intercept = func(_ net.Addr, r *memproto.Request) nodeserver.Verdict {
				if r.Cmd == memproto.CmdGets && armed.CompareAndSwap(true, false) {
					theirs = between(t, other)
				}
				return nodeserver.Verdict{}
			}
			f.names = []string{"node0"}
			f.start("node0")
			c := f.client(client.Config{Timeout: 10 * time.Second})
			other = f.client(client.Config{Timeout: 10 * time.Second})
			require.NoError(t, c.Ping(context.Background()))
			armed.Store(true)
			l, err := c.Lease(context.Background(), "k", client.LeaseOptions{})
			require.NoError(t, err)
			require.False(t, armed.Load())
			fill := func(c *client.Client, l client.Lease, v string) error {
				_, err := c.Fill(context.Background(), l, client.Item{Value: []byte(v)})
				return err
			}
			switch name {
			case "nothing":
				require.Equal(t, "won", l.State.String())
				require.NoError(t, fill(c, l, "mine"))
				require.Equal(t, "mine", get(t, c, "k"))
			case "a delete":
				require.Equal(t, "none", l.State.String())
			case "a set":
				require.Equal(t, "hit", l.State.String())
				require.Equal(t, "between", string(l.Item.Value))
			case "a delete and a win":
				require.Equal(t, "won", l.State.String())
				require.NotNil(t, theirs)
				require.NoError(t, fill(other, *theirs, "theirs"))
				require.ErrorIs(t, fill(c, l, "mine"), client.ErrLeaseLost, "one fill under one token")
				require.Equal(t, "theirs", get(t, c, "k"))
			}
		})
	}
}
