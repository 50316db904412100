package gomc

import (
	"net"
	"sync/atomic"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/memherd/memherd/ring"
)

// Selector tells a gomemcache client which node owns a key. It holds names, not what they
// resolve to: the client looks a name up whenever it dials, so a node that comes back
// with another address is found again. It is safe for concurrent use. Make one with
// NewSelector.
type Selector struct {
	fleet atomic.Pointer[fleet]
}

var _ memcache.ServerSelector = (*Selector)(nil)

// fleet is a snapshot; a call works on one throughout.
type fleet struct {
	ring  *ring.Ring
	addrs []net.Addr // by index of ring.Nodes()
}

// NewSelector returns a selector that places keys as r does, for memcache.NewFromSelector. Only
// the first node of a key's list counts, since gomemcache keeps one copy.
func NewSelector(r *ring.Ring) *Selector {
	s := new(Selector)
	s.SetRing(r)
	return s
}

// SetRing replaces the placement. Calls under way finish with the one they began with. Keys
// whose owner changes are misses until they are set again.
func (s *Selector) SetRing(r *ring.Ring) {
	f := &fleet{ring: r, addrs: make([]net.Addr, r.Len())}
	for i := range f.addrs {
		f.addrs[i] = addr(r.Node(uint16(i)).Addr)
	}
	s.fleet.Store(f)
}

// SetNodes replaces the nodes and keeps all other settings of the ring. On an error, which
// is ring.New's, nothing changes. Of two concurrent calls either may be the last.
func (s *Selector) SetNodes(nodes []ring.Node) error {
	r, err := s.Ring().WithNodes(nodes)
	if err != nil {
		return err
	}
	s.SetRing(r)
	return nil
}

// Ring returns the placement in use.
func (s *Selector) Ring() *ring.Ring { return s.fleet.Load().ring }

// PickServer returns the address of the key's owner. It never fails and doesn't allocate.
func (s *Selector) PickServer(key string) (net.Addr, error) {
	f := s.fleet.Load()
	return f.addrs[f.ring.Lookup(key)[0]], nil
}

// Each calls fn for every node, drained ones included, until one call fails, and returns
// that error. It holds no lock meanwhile.
func (s *Selector) Each(fn func(net.Addr) error) error {
	for _, a := range s.fleet.Load().addrs {
		if err := fn(a); err != nil {
			return err
		}
	}
	return nil
}

// addr is a ring.Node's Addr: host and port, or the absolute path of a Unix socket.
type addr string

func (a addr) Network() string {
	if a[0] == '/' {
		return "unix"
	}
	return "tcp"
}

func (a addr) String() string { return string(a) }
