package client_test

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/client/memproto"
	"github.com/memherd/memherd/nodeserver"
)

// heard keeps the commands that reach a node.
type heard struct {
	mu  sync.Mutex // guards all
	all []memproto.Request
}

func (h *heard) intercept(_ net.Addr, r *memproto.Request) nodeserver.Verdict {
	if r.Cmd == memproto.CmdMetaNoop {
		return nodeserver.Verdict{} // an idle connection is tried
	}
	c := *r
	c.Key, c.Value, c.More, c.Opaque = bytes.Clone(r.Key), bytes.Clone(r.Value), bytes.Clone(r.More), nil
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = append(h.all, c)
	return nodeserver.Verdict{}
}

func (h *heard) take() []memproto.Request {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := h.all
	h.all = nil
	return all
}

// args are what a caller may pass to an operation.
type args struct {
	key         string
	value       []byte
	flags       uint32
	ttl         time.Duration
	cas, n, own uint64
}

// asked is an operation and what a node has to hear of it: that many commands, each
// with what the letters say: v the value, f the client flags, t the TTL as exptime, n
// the TTL as vivify, c the CAS, d the delta, i the initial number.
type asked struct {
	run   func() error
	cmd   memproto.Cmd
	times int
	with  string
}

func (a *args) operations(c *client.Client) map[string]asked {
	ctx := context.Background()
	it := client.Item{Key: a.key, Value: a.value, Flags: a.flags, TTL: a.ttl, CAS: a.cas}
	read := func(_ client.Item, err error) error { return err }
	wrote := func(_ client.Outcome, err error) error { return err }
	number := func(_ uint64, err error) error { return err }
	get, set, del, arith := memproto.CmdMetaGet, memproto.CmdMetaSet, memproto.CmdMetaDelete, memproto.CmdMetaArith
	return map[string]asked{
		"Get":         {func() error { return read(c.Get(ctx, a.key)) }, get, 1, ""},
		"GetInto":     {func() error { return read(c.GetInto(ctx, a.key, nil)) }, get, 1, ""},
		"Gets":        {func() error { return read(c.Gets(ctx, a.key)) }, get, 1, ""},
		"GetMulti":    {func() error { _, err := c.GetMulti(ctx, []string{a.key}); return err }, get, 1, ""},
		"GetsMulti":   {func() error { _, err := c.GetsMulti(ctx, []string{a.key}); return err }, get, 1, ""},
		"GetAndTouch": {func() error { return read(c.GetAndTouch(ctx, a.key, a.ttl)) }, get, 1, "t"},
		"Touch":       {func() error { return c.Touch(ctx, a.key, a.ttl) }, get, 1, "t"},
		"GetWith": {func() error {
			_, _, err := c.GetWith(ctx, a.key, client.GetOptions{Touch: true, TTL: a.ttl})
			return err
		}, get, 1, "t"},
		"Inspect":        {func() error { _, err := c.Inspect(ctx, a.key); return err }, get, 1, ""},
		"Set":            {func() error { return wrote(c.Set(ctx, it)) }, set, 1, "vft"},
		"SetMulti":       {func() error { _, err := c.SetMulti(ctx, []client.Item{it}); return err }, set, 1, "vft"},
		"Add":            {func() error { return wrote(c.Add(ctx, it)) }, set, 1, "vft"},
		"Replace":        {func() error { return wrote(c.Replace(ctx, it)) }, set, 1, "vft"},
		"Append":         {func() error { return wrote(c.Append(ctx, it)) }, set, 1, "v"},
		"Prepend":        {func() error { return wrote(c.Prepend(ctx, it)) }, set, 1, "v"},
		"CompareAndSwap": {func() error { return wrote(c.CompareAndSwap(ctx, it)) }, set, 1, "vftc"},
		"Increment":      {func() error { return number(c.Increment(ctx, a.key, a.n)) }, arith, 1, "d"},
		"Decrement":      {func() error { return number(c.Decrement(ctx, a.key, a.n)) }, arith, 1, "d"},
		"Count": {func() error {
			return number(c.Count(ctx, client.Counter{Key: a.key, Delta: a.n, Create: true, Initial: a.own, TTL: a.ttl, Touch: true}))
		}, arith, 1, "dint"},
		"Delete":      {func() error { return wrote(c.Delete(ctx, a.key)) }, del, 1, ""},
		"DeleteMulti": {func() error { _, err := c.DeleteMulti(ctx, []string{a.key}); return err }, del, 1, ""},
		"Lease":       {func() error { _, err := c.Lease(ctx, a.key, client.LeaseOptions{}); return err }, get, 1, ""},
		"LeaseWrite":  {func() error { _, err := c.LeaseWrite(ctx, a.key); return err }, get, 1, ""},
		"Fill": {func() error {
			// A lease won elsewhere long ago: its tokens are refused, after they were read.
			l := client.Lease{Key: a.key, State: item.LeaseWon, Copies: 1, Placement: a.placement(c),
				Tokens: []item.Token{{Version: item.Version{Node: "node0"}, CAS: a.cas | 1}}}
			return wrote(c.Fill(ctx, l, it))
		}, set, 1, "vft"},
	}
}

// placement is the number of the client's list of nodes, as a lease of its own has it.
func (a *args) placement(c *client.Client) uint64 {
	l, _ := c.LeaseWrite(context.Background(), "placement")
	return l.Placement
}

// FuzzRequests: whatever a caller passes, each operation is one command to the node's
// parser, with what the caller meant, or is refused and nothing leaves.
func FuzzRequests(f *testing.F) {
	var h heard
	fleet := newMemFleet(f, 1, nodeserver.Config{Intercept: h.intercept})
	c := fleet.client(client.Config{Timeout: time.Minute, Hooks: client.Hooks{ConnLost: func(_ string, cause error) {
		if !errors.Is(cause, client.ErrClosed) {
			f.Errorf("a connection was lost: %v", cause)
		}
	}}})
	f.Add("key", []byte("value"), uint32(7), int64(time.Minute), uint64(5), uint64(1), uint64(42))
	f.Add("k\xc3\xa9y\xff", []byte("\r\nmd key\r\nset a 0 0 1\r\nx\r\n"), ^uint32(0), int64(1), ^uint64(0), ^uint64(0), ^uint64(0))
	f.Add("key\r\nflush_all", []byte("END\r\n"), uint32(1<<30), int64(-1), uint64(1), uint64(0), uint64(0))
	f.Add("a b", []byte{0}, uint32(0), int64(31*24*time.Hour), uint64(1), uint64(1)<<63, uint64(9))
	f.Add("", []byte(nil), uint32(0), int64(0), uint64(0), uint64(0), uint64(0))
	f.Fuzz(func(t *testing.T, key string, value []byte, flags uint32, ttl int64, cas, n, own uint64) {
		a := args{key: key, value: value, flags: flags, ttl: time.Duration(ttl), cas: cas, n: n, own: own}
		ops := a.operations(c)
		for _, name := range slices.Sorted(maps.Keys(ops)) {
			a.placement(c)
			h.take()
			o := ops[name]
			err := o.run()
			// A token that nobody wanted is given back, sooner or later.
			got := slices.DeleteFunc(h.take(), func(r memproto.Request) bool {
				return r.Cmd == memproto.CmdMetaDelete && r.Flags.Has(memproto.FlagC) && string(r.Key) == key
			})
			if name == "Fill" { // it asked for the placement first
				got = slices.DeleteFunc(got, func(r memproto.Request) bool { return string(r.Key) == "placement" })
			}
			if errors.Is(err, client.ErrNotNumber) && len(got) == 2 { // it looks whether that is a stub
				require.Equal(t, memproto.CmdMetaGet, got[1].Cmd)
				got = got[:1]
			}
			if item.SafeToRetry(err) || name == "CompareAndSwap" && cas == 0 || name == "Fill" && len(got) == 0 && errors.Is(err, client.ErrLeaseLost) {
				require.Empty(t, got, "%s(%q): %v, and yet something left", name, key, err)
				continue
			}
			require.NoError(t, item.CheckKey(key), "%s took a malformed key", name)
			require.Len(t, got, o.times, "%s(%q): %v", name, key, err)
			require.NoError(t, unexpected(err), name)
			a.check(t, name, o, got[0])
		}
	})
}

// unexpected is err unless the node gave it for an answer to a command it understood.
func unexpected(err error) error {
	if err == nil || expected(err) || errors.Is(err, client.ErrNotNumber) || errors.Is(err, client.ErrTooLarge) {
		return nil
	}
	return err
}

// check compares what the node heard with what the caller said.
func (a *args) check(t *testing.T, name string, o asked, r memproto.Request) {
	require.Equal(t, o.cmd, r.Cmd, name)
	require.Equal(t, a.key, string(r.Key), name)
	require.Empty(t, r.More, name)
	exp, err := memproto.Exptime(a.ttl, time.Now())
	if a.ttl == client.Expired {
		exp, err = memproto.ExptimeExpired, nil
	}
	for _, what := range o.with {
		switch what {
		case 'v':
			require.Equal(t, string(a.value), string(r.Value), name)
		case 'f':
			want := a.flags
			if want == 0 {
				want = item.FlagZero
			}
			require.Equal(t, want, r.ClientFlags, name)
		case 't', 'n':
			require.NoError(t, err, "%s took a negative TTL", name)
			sent := map[rune]int64{'t': r.Exptime, 'n': r.Vivify}[what]
			require.InDelta(t, exp, sent, 2, name) // the absolute ones move with the clock
		case 'c':
			require.Equal(t, a.cas, r.CAS, name)
		case 'd':
			require.Equal(t, a.n, r.Delta, name)
		case 'i':
			require.Equal(t, a.own, r.Initial, name)
		}
	}
}
