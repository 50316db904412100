package discovery

import (
	"context"
	"net"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/ring"
)

var ctx = context.Background()

// The sources are asked through the standard library's resolver, so that its answers are
// what they will be.
func TestDNS(t *testing.T) {
	s := newNameserver(t)
	s.setHost("cache1.test", "10.0.0.1")
	s.setHost("cache2.test", "fd00::2", "10.0.0.2")
	s.setHost("many.test", "10.0.1.1", "10.0.1.2", "fd00::3")
	s.setService("_memcache._tcp.mc.test",
		net.SRV{Target: "MC-1.mc.test.", Port: 11211, Weight: 0}, net.SRV{Target: "mc-0.mc.test.", Port: 11311, Weight: 33, Priority: 5})
	s.setService("more.test", net.SRV{Target: "mc-1.mc.test.", Port: 11211, Weight: 7})
	s.setService("none.test", net.SRV{Target: ".", Port: 0})
	s.setService("noport.test", net.SRV{Target: "mc-0.mc.test.", Port: 0})

	for name, c := range map[string]struct {
		DNS
		want []ring.Node
		err  error
	}{
		"hosts":               {DNS{Names: []string{"cache2.test:11311", "Cache1.test"}}, ring.Addrs("cache1.test", "cache2.test:11311"), nil},
		"one host is missing": {DNS{Names: []string{"cache1.test", "cache9.test"}}, ring.Addrs("cache1.test"), nil},
		"no host exists":      {DNS{Names: []string{"cache9.test"}}, nil, ErrEmpty},
		"addresses as hosts":  {DNS{Names: []string{"10.0.0.9", "[fd00::9]:1"}}, ring.Addrs("10.0.0.9", "[fd00::9]:1"), nil},
		"a host twice":        {DNS{Names: []string{"cache1.test", "cache1.test:11211"}}, ring.Addrs("cache1.test"), nil},
		"services": {DNS{Names: []string{"_memcache._tcp.mc.test"}, Records: Services},
			ring.Addrs("mc-0.mc.test:11311", "mc-1.mc.test"), nil},
		"services with weights": {DNS{Names: []string{"_memcache._tcp.mc.test", "more.test"}, Records: Services, Weights: true},
			[]ring.Node{{Addr: "mc-0.mc.test:11311", Weight: 33}, {Addr: "mc-1.mc.test", Weight: 7}}, nil},
		"a missing service":      {DNS{Names: []string{"other.test", "more.test"}, Records: Services}, ring.Addrs("mc-1.mc.test"), nil},
		"no such service here":   {DNS{Names: []string{"none.test"}, Records: Services}, nil, ErrEmpty},
		"a service without port": {DNS{Names: []string{"noport.test"}, Records: Services}, nil, ErrMalformed},
		"addresses": {DNS{Names: []string{"many.test:11311", "cache1.test"}, Records: Addresses},
			ring.Addrs("10.0.0.1", "10.0.1.1:11311", "10.0.1.2:11311", "[fd00::3]:11311"), nil},
		"no addresses":    {DNS{Names: []string{"nobody.test"}, Records: Addresses}, nil, ErrEmpty},
		"no names":        {DNS{}, nil, ErrConfig},
		"unknown records": {DNS{Names: []string{"a"}, Records: 3}, nil, ErrConfig},
		"no port number":  {DNS{Names: []string{"cache1.test:x"}}, nil, ring.ErrBadAddress},
		"a path":          {DNS{Names: []string{"/run/m.sock"}}, nil, ErrConfig},
		"a service's port": {DNS{Names: []string{"more.test:11211"}, Records: Services}, nil,
			ErrConfig},
	} {
		t.Run(name, func(t *testing.T) {
			c.Resolver = s.resolver()
			nodes, err := c.Nodes(ctx)
			if err == nil {
				nodes, err = canonical(nodes)
			}
			if c.err != nil {
				require.ErrorIs(t, err, c.err)
				return
			}
			require.NoError(t, err)
			want, err := canonical(c.want)
			require.NoError(t, err)
			require.Equal(t, want, nodes)
		})
	}
}

// shuffler answers in another order each time.
type shuffler struct {
	turn int
	err  error
}

func (r *shuffler) LookupSRV(context.Context, string, string, string) (string, []*net.SRV, error) {
	r.turn++
	all := []*net.SRV{{Target: "a.", Port: 1}, {Target: "b.", Port: 2}, {Target: "c.", Port: 3}}
	n := r.turn % len(all)
	return "", append(all[n:], all[:n]...), r.err
}

func (r *shuffler) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return nil, r.err
}

// Shuffled, failing, empty answers and new addresses: no key moves, no node leaves. That
// the nodes are named by host is all it takes.
func TestDNSFaults(t *testing.T) {
	r := &shuffler{}
	src := &DNS{Names: []string{"mc"}, Records: Services, Resolver: r}
	first, err := First(ctx, src)
	require.NoError(t, err)
	fleet := newFleet("x")
	require.NoError(t, fleet.SetNodes(first))
	seen := &noted{}
	f := roundsOf(fleet, src, Config{Hooks: seen.hooks()})
	for range 10 {
		f.round()
	}
	r.err = &net.DNSError{Err: "server misbehaving", Name: "mc", IsTemporary: true}
	f.round()
	r.err = &net.DNSError{Err: "one record was malformed", Name: "mc", IsNotFound: true}
	f.round() // some records came, so it is no word of what exists
	require.Len(t, seen.failed, 2)
	r.err = nil
	require.Equal(t, 1, fleet.changes())
	require.Empty(t, seen.applied)

	s := newNameserver(t)
	s.setService("mc.test", net.SRV{Target: "a", Port: 1}, net.SRV{Target: "b", Port: 2}, net.SRV{Target: "c", Port: 3})
	src.Names, src.Resolver = []string{"mc.test"}, s.resolver()
	f.round()
	require.NoError(t, f.State().Err)
	for rcode, failed := range map[byte]bool{2: true, 3: false} { // SERVFAIL is no answer, NXDOMAIN an empty one
		s.fail(rcode)
		before := f.State()
		f.round()
		now := f.State()
		require.Error(t, now.Err)
		require.Equal(t, failed, now.Failures > before.Failures)
		require.Equal(t, !failed, now.Kept > before.Kept)
	}
	require.Equal(t, namesOf(first), fleet.names())
	require.Equal(t, 1, fleet.changes())
}

// One name that fails makes the answer fail: what the others say is not all.
func TestDNSPartialFailure(t *testing.T) {
	for _, records := range []Records{Hosts, Addresses} {
		_, err := (&DNS{Names: []string{"10.0.0.1", "cache1"}, Records: records, Resolver: &shuffler{err: errLookup}}).Nodes(ctx)
		require.ErrorIs(t, err, errLookup)
	}
	_, err := (&DNS{Names: []string{"mc"}, Records: Services, Resolver: &shuffler{err: errLookup}}).Nodes(ctx)
	require.ErrorIs(t, err, errLookup)
}
