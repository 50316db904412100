package scenario

import (
	"errors"
	"fmt"

	"github.com/memherd/memherd/bench/internal/proxy"
	"github.com/memherd/memherd/nodeserver/stock"
	"github.com/memherd/memherd/ring"
)

// stage is the fleet of one run: memcached processes, and a way to each of them that
// faults can be put on.
type stage struct {
	servers []*stock.Server
	ways    []*proxy.Proxy
}

// raise starts nodes memcached processes and a proxy before each.
func raise(nodes int, seed uint64) (s *stage, err error) {
	s = &stage{}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	for range nodes {
		if err := s.add(); err != nil {
			return s, err
		}
	}
	s.ways, err = s.paths(seed)
	return s, err
}

// add starts one more process, with no proxy before it.
func (s *stage) add() error {
	m, err := stock.Start(stock.Config{})
	if err == nil {
		s.servers = append(s.servers, m)
	}
	return err
}

// paths makes a proxy before each node, for one process of clients; the caller closes
// them.
func (s *stage) paths(seed uint64) (out []*proxy.Proxy, err error) {
	for i, m := range s.servers {
		p, err := proxy.Start(m.Addr(), seed<<8+uint64(i))
		if err != nil {
			closeAll(out)
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

func closeAll(ways []*proxy.Proxy) {
	for _, p := range ways {
		p.Close()
	}
}

// name is what the fleet calls a node, wherever it is.
func name(i int) string { return fmt.Sprint("node", i) }

// through is the fleet as seen through proxies.
func through(ways []*proxy.Proxy) (out []ring.Node) {
	for i, p := range ways {
		out = append(out, ring.Node{Name: name(i), Addr: p.Addr()})
	}
	return out
}

// straight is the fleet without proxies.
func (s *stage) straight() (out []ring.Node) {
	for i, m := range s.servers {
		out = append(out, ring.Node{Name: name(i), Addr: m.Addr()})
	}
	return out
}

// close ends everything, the processes without asking: they hold nothing of worth.
func (s *stage) close() error {
	closeAll(s.ways)
	var err error
	for _, m := range s.servers {
		err = errors.Join(err, m.Kill())
	}
	return err
}
