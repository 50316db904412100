package scenario

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/memherd/memherd/bench/internal/value"
	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/discovery"
	"github.com/memherd/memherd/nodeserver/stock"
	"github.com/memherd/memherd/ring"
)

const (
	fAnswers = "answers of the resolver"
	fBroken  = "of them empty or failed"
	fMoved   = "keys moved"
	fUsed    = "new address in use after the old one died, ms"
)

// dns is a fleet found by name, whose resolver misbehaves and whose nodes change their addresses.
func dns() Scenario {
	return Scenario{
		Name: "dns", Title: "SRV records shuffled, empty and failing; each of three nodes dies and comes back under another address",
		Figures: []Figure{{Name: fAnswers, Format: "%.0f"}, {Name: fBroken, Format: "%.0f"}, {Name: fMoved, Format: "%.0f", Bound: most(0)},
			{Name: fUsed, Format: "%.0f", Bound: most(2000)}, {Name: fErrors, Format: "%.3f", Bound: most(0.1)}, safety[0], safety[1]},
		play: (*run).dns,
	}
}

// service is a name service for memcached processes.
type service struct {
	mu      sync.Mutex // guards what follows
	rng     *rand.Rand
	addrs   map[string]string    // by host: where it is
	used    map[string]time.Time // by address: when a connection to it was first there
	answers int
	broken  int
}

// errServer is what a resolver says whose own servers fail.
var errServer = &net.DNSError{Err: "server misbehaving", Name: "cache.test", IsTemporary: true}

// LookupSRV answers in another order each time, and now and then not, or with nothing.
func (s *service) LookupSRV(context.Context, string, string, string) (string, []*net.SRV, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers++
	switch s.rng.IntN(4) {
	case 0:
		s.broken++
		return "", nil, errServer
	case 1:
		s.broken++
		return "", nil, &net.DNSError{Err: "no such host", Name: "cache.test", IsNotFound: true}
	}
	var out []*net.SRV
	for host := range s.addrs {
		out = append(out, &net.SRV{Target: host + ".", Port: 11211})
	}
	s.rng.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return "", out, nil
}

// LookupNetIP is not asked: the fleet is found by its SRV records.
func (s *service) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return nil, errServer
}

// dial goes where the name is now.
func (s *service) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	at, ok := s.addrs[strings.TrimSuffix(host, ".")]
	s.mu.Unlock()
	if !ok {
		return nil, fmt.Errorf("no such host: %s", host)
	}
	var d net.Dialer
	nc, err := d.DialContext(ctx, network, at)
	if err == nil {
		s.mu.Lock()
		if _, ok := s.used[at]; !ok {
			s.used[at] = time.Now()
		}
		s.mu.Unlock()
	}
	return nc, err
}

// reached is when a connection to addr was first there; ok is false if none was yet.
func (s *service) reached(addr string) (at time.Time, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok = s.used[addr]
	return at, ok
}

func (s *service) point(host, addr string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.addrs[host] = addr
}

// owners are the nodes that own the keys.
func owners(c *client.Client, keys []string) ([]string, error) {
	var nodes []ring.Node
	for _, s := range c.Nodes() {
		nodes = append(nodes, s.Node)
	}
	p, err := ring.New(ring.Config{Nodes: nodes, Copies: Copies})
	if err != nil {
		return nil, err
	}
	var out []string
	for _, key := range keys {
		out = append(out, p.Owner(key).Name)
	}
	return out, nil
}

func (r *run) dns() (err error) {
	st, err := raise(3, r.seed)
	if err != nil {
		return err
	}
	defer closing(&err, st.close)
	s := &service{rng: rand.New(rand.NewPCG(r.seed, 7)), addrs: map[string]string{}, used: map[string]time.Time{}}
	host := func(i int) string { return name(i) + ".cache.test" }
	for i, m := range st.servers {
		s.point(host(i), m.Addr())
	}
	src := &discovery.DNS{Names: []string{"_memcached._tcp.cache.test"}, Records: discovery.Services, Resolver: s}
	c, follower, err := discovery.NewClient(r.ctx, client.Config{
		ReplicationFactor: Copies, Timeout: r.Timeout, DialTimeout: r.Timeout, DialContext: s.dial,
	}, src, discovery.Config{Interval: r.Phase / 20, Coalesce: time.Millisecond})
	if err != nil {
		return err
	}
	defer closing(&err, c.Close)
	defer closing(&err, follower.Close)
	l := &load{reads: reads, caches: []cache{memherd{c}}}
	if err := r.start(l, func(key string) error { return l.caches[0].Set(r.ctx, key, value.Make(key, 1, valueSize)) }); err != nil {
		return err
	}
	play := func() error {
		l.enter(before)
		first, err := owners(c, l.keys)
		if err != nil {
			return err
		}
		if err := r.pause(r.Phase); err != nil {
			return err
		}
		l.enter(during)
		moved, slowest := 0, time.Duration(0)
		for i := range 3 {
			fresh, err := stock.Start(stock.Config{})
			if err != nil {
				return err
			}
			old := st.servers[i]
			st.servers[i] = fresh
			died := time.Now()
			if err := old.Kill(); err != nil {
				return err
			}
			s.point(host(i), fresh.Addr())
			if err := r.await("the new address is in use", func() bool { _, ok := s.reached(fresh.Addr()); return ok }); err != nil {
				return err
			}
			at, _ := s.reached(fresh.Addr())
			slowest = max(slowest, at.Sub(died))
			for _, n := range c.Nodes() {
				if _, err := r.awaitUp(c, n.Node.Name); err != nil {
					return err
				}
			}
			if err := r.pause(r.Gap); err != nil {
				return err
			}
			now, err := owners(c, l.keys)
			if err != nil {
				return err
			}
			for j := range now {
				if now[j] != first[j] {
					moved++
				}
			}
		}
		s.mu.Lock()
		r.put(fAnswers, float64(s.answers))
		r.put(fBroken, float64(s.broken))
		s.mu.Unlock()
		r.put(fMoved, float64(moved))
		r.put(fUsed, float64(slowest.Milliseconds()))
		return nil
	}
	err = errors.Join(play(), l.stop())
	r.outcome(l)
	return err
}
