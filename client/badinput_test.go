package client_test

import (
	"context"
	"crypto/tls"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/hotkey"
	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/ring"
)

// calls are all operations that take a key.
func calls(c *client.Client, ctx context.Context, key string) map[string]func() error {
	it := client.Item{Key: key, Value: []byte("v"), CAS: 1}
	outcome := func(_ client.Outcome, err error) error { return err }
	got := func(_ client.Item, err error) error { return err }
	return map[string]func() error{
		"Get":            func() error { return got(c.Get(ctx, key)) },
		"GetTTL":         func() error { return got(c.GetTTL(ctx, key)) },
		"GetInto":        func() error { return got(c.GetInto(ctx, key, nil)) },
		"Gets":           func() error { return got(c.Gets(ctx, key)) },
		"GetsOrGet":      func() error { return got(c.GetsOrGet(ctx, key)) },
		"GetMulti":       func() error { _, err := c.GetMulti(ctx, []string{"good", key}); return err },
		"GetsMulti":      func() error { _, err := c.GetsMulti(ctx, []string{"good", key}); return err },
		"GetMultiFunc":   func() error { return c.GetMultiFunc(ctx, []string{"good", key}, func(client.Item) {}) },
		"GetsMultiFunc":  func() error { return c.GetsMultiFunc(ctx, []string{"good", key}, func(client.Item) {}) },
		"GetAndTouch":    func() error { return got(c.GetAndTouch(ctx, key, time.Minute)) },
		"GetWith":        func() error { _, _, err := c.GetWith(ctx, key, client.GetOptions{}); return err },
		"Inspect":        func() error { _, err := c.Inspect(ctx, key); return err },
		"Set":            func() error { return outcome(c.Set(ctx, it)) },
		"SetMulti":       func() error { _, err := c.SetMulti(ctx, []client.Item{{Key: "good"}, it}); return err },
		"Add":            func() error { return outcome(c.Add(ctx, it)) },
		"Replace":        func() error { return outcome(c.Replace(ctx, it)) },
		"Append":         func() error { return outcome(c.Append(ctx, it)) },
		"Prepend":        func() error { return outcome(c.Prepend(ctx, it)) },
		"CompareAndSwap": func() error { return outcome(c.CompareAndSwap(ctx, it)) },
		"Touch":          func() error { return c.Touch(ctx, key, time.Minute) },
		"Increment":      func() error { _, err := c.Increment(ctx, key, 1); return err },
		"Decrement":      func() error { _, err := c.Decrement(ctx, key, 1); return err },
		"Count":          func() error { _, err := c.Count(ctx, client.Counter{Key: key}); return err },
		"Delete":         func() error { return outcome(c.Delete(ctx, key)) },
		"DeleteMulti":    func() error { _, err := c.DeleteMulti(ctx, []string{"good", key}); return err },
		"Lease":          func() error { _, err := c.Lease(ctx, key, client.LeaseOptions{}); return err },
		"LeaseMulti": func() error {
			_, errs := c.LeaseMulti(ctx, []string{key}, client.LeaseOptions{})
			return errs[0]
		},
		"SetKeep":    func() error { _, _, err := c.SetKeep(ctx, it); return err },
		"LeaseWrite": func() error { _, err := c.LeaseWrite(ctx, key); return err },
		"Fill": func() error {
			return outcome(c.Fill(ctx, client.Lease{Key: key, State: item.LeaseWon, Copies: 1}, client.Item{}))
		},
	}
}

// noDial fails the test if anything is dialled: the call has to be refused before.
func noDial(t *testing.T) *client.Client {
	return newClient(t, client.Config{Nodes: ring.Addrs("127.0.0.1:1"), DialContext: func(context.Context, string, string) (net.Conn, error) {
		t.Error("a byte was about to leave")
		return nil, net.ErrClosed
	}})
}

func TestMalformedKeysAreRefusedBeforeAByteIsWritten(t *testing.T) {
	c := noDial(t)
	for what, key := range map[string]string{
		"empty": "", "long": strings.Repeat("k", 251), "space": "a b", "injection": "a\r\nflush_all\r\n", "LF": "a\nb",
		"NUL": "a\x00", "tab": "\t", "DEL": "\x7f", "control": "a\x1f",
	} {
		for name, call := range calls(c, context.Background(), key) {
			err := call()
			require.ErrorIs(t, err, client.ErrMalformedKey, "%s with %s", name, what)
			require.True(t, client.SafeToRetry(err))
			if len(key) > 2 {
				require.NotContains(t, err.Error(), key)
			}
			if key != "" {
				require.ErrorContains(t, err, "AnyKeys", "%s with %s", name, what)
			}
		}
	}
	require.ErrorIs(t, c.Release(context.Background(), client.Lease{Key: "a b"}), client.ErrMalformedKey)
	_, _, err := c.FillKeep(context.Background(), client.Lease{Key: "a b", State: item.LeaseWrite}, client.Item{})
	require.ErrorIs(t, err, client.ErrMalformedKey)
	_, _, errs := c.FillKeepMulti(context.Background(), []client.Lease{{Key: "a b", State: item.LeaseWrite}}, make([]client.Item, 1))
	require.ErrorIs(t, errs[0], client.ErrMalformedKey)
	_, _, errs = c.FillKeepMulti(context.Background(), make([]client.Lease, 2), make([]client.Item, 1))
	require.ErrorContains(t, errs[1], "2 leases with 1 items")
}

func TestAContextThatHasEndedSendsNothing(t *testing.T) {
	c := noDial(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for name, call := range calls(c, ctx, "key") {
		err := call()
		require.ErrorIs(t, err, context.Canceled, name)
		require.True(t, client.SafeToRetry(err), name)
	}
}

func TestAClosedClientRefuses(t *testing.T) {
	c, err := client.New(client.Config{Nodes: ring.Addrs("127.0.0.1:1")})
	require.NoError(t, err)
	require.NoError(t, c.Close())
	require.NoError(t, c.Close(), "closing twice is harmless")
	for name, call := range calls(c, context.Background(), "key") {
		require.ErrorIs(t, call(), client.ErrClosed, name)
	}
	require.ErrorIs(t, c.Ping(context.Background()), client.ErrClosed)
	require.ErrorIs(t, c.SetNodes(ring.Addrs("127.0.0.1:1")), client.ErrClosed)
	require.ErrorIs(t, c.Release(context.Background(), client.Lease{Key: "k"}), client.ErrClosed)
}

func TestBadItemsAreRefused(t *testing.T) {
	c := noDial(t)
	for what, c2 := range map[string]struct {
		it   client.Item
		want error
	}{
		"too large": {client.Item{Key: "k", Value: make([]byte, 1<<20)}, client.ErrTooLarge},
		"TTL":       {client.Item{Key: "k", TTL: -time.Second}, client.ErrBadTTL},
		"flags":     {client.Item{Key: "k", Flags: item.FlagZero}, client.ErrBadFlags},
	} {
		_, err := c.Set(context.Background(), c2.it)
		require.ErrorIs(t, err, c2.want, what)
		_, err = c.Add(context.Background(), c2.it)
		require.ErrorIs(t, err, c2.want, what)
		_, err = c.SetMulti(context.Background(), []client.Item{{Key: "good"}, c2.it})
		require.ErrorIs(t, err, c2.want, what)
	}
	// Every call that sends a value has the limit, a piece of one included.
	big := client.Item{Key: "k", Value: make([]byte, client.DefaultMaxValueBytes+1), CAS: 1}
	for name, call := range map[string]func(context.Context, client.Item) (client.Outcome, error){
		"Set": c.Set, "Add": c.Add, "Replace": c.Replace, "Append": c.Append, "Prepend": c.Prepend, "CompareAndSwap": c.CompareAndSwap,
		"Fill": func(ctx context.Context, it client.Item) (client.Outcome, error) {
			return c.Fill(ctx, client.Lease{Key: "k", State: item.LeaseWon, Copies: 1}, it)
		},
	} {
		_, err := call(context.Background(), big)
		require.ErrorIs(t, err, client.ErrTooLarge, name)
		require.True(t, client.SafeToRetry(err), name)
	}
	require.ErrorIs(t, c.Touch(context.Background(), "k", -time.Second), client.ErrBadTTL)
	_, err := c.CompareAndSwap(context.Background(), client.Item{Key: "k"})
	require.ErrorIs(t, err, client.ErrCASConflict, "no token")
	require.ErrorContains(t, err, "Gets", "what would have one")
}

func TestBadConfigsAreRefused(t *testing.T) {
	one := ring.Addrs("127.0.0.1:1")
	for what, c := range map[string]struct {
		cfg  client.Config
		want error
	}{
		"no nodes":             {client.Config{}, ring.ErrNoNodes},
		"a node twice":         {client.Config{Nodes: ring.Addrs("cache1", "cache1:11211")}, ring.ErrDuplicateNode},
		"more copies":          {client.Config{Nodes: one, ReplicationFactor: 2}, ring.ErrTooFewNodes},
		"half a key tag":       {client.Config{Nodes: one, KeyTag: "{"}, ring.ErrBadKeyTag},
		"unknown placement":    {client.Config{Nodes: one, Placement: 77}, ring.ErrBadPlacement},
		"bad address":          {client.Config{Nodes: ring.Addrs("no such host:x")}, ring.ErrBadAddress},
		"negative timeout":     {client.Config{Nodes: one, Timeout: -1}, client.ErrConfig},
		"no unit":              {client.Config{Nodes: one, Timeout: 250}, client.ErrConfig},
		"no unit for a dial":   {client.Config{Nodes: one, DialTimeout: 250}, client.ErrConfig},
		"TLS, but no name":     {client.Config{Nodes: ring.Addrs("/run/m.sock"), TLS: &tls.Config{}}, client.ErrConfig},
		"TLS in the gutter":    {client.Config{Nodes: one, Gutter: ring.Addrs("/run/m.sock"), TLS: &tls.Config{}}, client.ErrConfig},
		"negative copies":      {client.Config{Nodes: one, ReplicationFactor: -1}, client.ErrConfig},
		"more acks than":       {client.Config{Nodes: one, MinWriteAcks: 2}, client.ErrConfig},
		"KeepAlive of 15":      {client.Config{Nodes: one, KeepAlive: 15}, client.ErrConfig},
		"KeepAlive below none": {client.Config{Nodes: one, KeepAlive: -time.Second}, client.ErrConfig},
		"KeepAlive and a dialer": {client.Config{Nodes: one, KeepAlive: time.Minute, DialContext: func(context.Context, string, string) (net.Conn, error) {
			return nil, net.ErrClosed
		}}, client.ErrConfig},
		"too many connections": {client.Config{Nodes: one, ConnsPerNode: 1000}, client.ErrConfig},
		"hot keys":             {client.Config{Nodes: one, HotKeys: &hotkey.Config{Staleness: time.Nanosecond}}, client.ErrConfig},
		"scattering":           {client.Config{Nodes: one, HotKeys: &hotkey.Config{Scatter: &hotkey.Scatter{Copies: -1}}}, client.ErrConfig},
		"a prefix of no key":   {client.Config{Nodes: one, HotKeys: &hotkey.Config{Prefixes: []hotkey.Prefix{{Prefix: "a b"}}}}, client.ErrConfig},
		"a prefix too long":    {client.Config{Nodes: one, HotKeys: &hotkey.Config{Prefixes: []hotkey.Prefix{{Prefix: strings.Repeat("k", 251)}}}}, client.ErrConfig},
	} {
		_, err := client.New(c.cfg)
		require.ErrorIs(t, err, c.want, what)
	}
	c, err := client.New(client.Config{Nodes: one, Keys: client.AnyKeys, HotKeys: &hotkey.Config{Prefixes: []hotkey.Prefix{{Prefix: "a b"}}}})
	require.NoError(t, err, "there are such keys")
	require.NoError(t, c.Close())
}

// An unreachable server is no error of New, and a clear one of Ping.
func TestPingNamesTheNodesThatAreNotThere(t *testing.T) {
	f := newMemFleet(t, 2, nodeserver.Config{})
	nodes := append(f.nodes(), ring.Node{Name: "gone", Addr: "nowhere:1"})
	c := f.client(client.Config{Nodes: nodes})
	err := c.Ping(context.Background())
	require.ErrorIs(t, err, client.ErrNodeDown)
	require.ErrorContains(t, err, "gone")
	require.ErrorContains(t, err, "connection refused")
	require.NotContains(t, err.Error(), "node0")
	// Nor does who asks later have to guess why.
	err = c.Ping(context.Background())
	require.ErrorIs(t, err, client.ErrNodeDown)
	require.True(t, client.SafeToRetry(err))
	require.ErrorContains(t, err, "connection refused")
}

// The in-flight cap fails fast, with nothing sent.
func TestTheInFlightCapFailsFast(t *testing.T) {
	f := newMemFleet(t, 1, nodeserver.Config{})
	c := f.client(client.Config{MaxInFlight: 4, Timeout: 500 * time.Millisecond})
	set(t, c, "k", "v")
	f.network.Partition("node0", true)
	var busy atomic.Int64
	done := make(chan error, 50)
	for range 50 {
		go func() {
			_, err := c.Increment(context.Background(), "k", 1)
			done <- err
		}()
	}
	for range 50 {
		err := <-done
		require.Error(t, err)
		if client.SafeToRetry(err) {
			busy.Add(1)
		}
	}
	require.GreaterOrEqual(t, busy.Load(), int64(40))
	f.network.Partition("node0", false)
}
