// Package fleet gives a run its nodes: nodes in this process, which can be killed
// and brought back, or servers somebody else runs, which are checked before a byte
// of load is sent to them.
package fleet

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"

	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/ring"
)

// Embedded are nodes in this process, called node1, node2, … Its methods may be
// called by many goroutines.
type Embedded struct {
	nodes []ring.Node // fixed after Start

	mu   sync.Mutex           // guards up
	up   []*nodeserver.Server // nil where the node is down
	addr []string             // fixed after Start: where each listens, also after a restart
}

// nodeBytes is what an embedded node may hold.
const nodeBytes = 256 << 20

// Start starts n nodes on loopback, on consecutive ports from port, or on free ones
// if port is 0. Either all run when it returns or none.
func Start(n, port int) (*Embedded, error) {
	f := &Embedded{up: make([]*nodeserver.Server, n), addr: make([]string, n)}
	for i := range n {
		p := 0
		if port > 0 {
			p = port + i
		}
		s, err := serve(net.JoinHostPort("127.0.0.1", strconv.Itoa(p)))
		if err != nil {
			err = fmt.Errorf("cannot start node %d: %w", i+1, err)
			if port > 0 {
				err = fmt.Errorf("%w: choose other ports with -p", err)
			}
			return nil, errors.Join(err, f.Close())
		}
		f.up[i], f.addr[i] = s, s.Addr().String()
		f.nodes = append(f.nodes, ring.Node{Name: fmt.Sprintf("node%d", i+1), Addr: f.addr[i]})
	}
	return f, nil
}

func serve(addr string) (*nodeserver.Server, error) {
	return nodeserver.Start(nodeserver.Config{Addr: addr, MaxBytes: nodeBytes, MaxConns: 4096})
}

// Nodes returns the fleet as a client needs it.
func (f *Embedded) Nodes() []ring.Node { return append([]ring.Node(nil), f.nodes...) }

// Kill ends node i at once: its connections break, what it held is gone.
func (f *Embedded) Kill(i int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.up[i] == nil {
		return fmt.Errorf("node%d is down already", i+1)
	}
	err := f.up[i].Close()
	f.up[i] = nil
	return err
}

// Restart brings node i back on its old port, empty.
func (f *Embedded) Restart(i int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.up[i] != nil {
		return fmt.Errorf("node%d is up already", i+1)
	}
	s, err := serve(f.addr[i])
	if err != nil {
		return fmt.Errorf("cannot restart node%d: %w", i+1, err)
	}
	f.up[i] = s
	return nil
}

// Close ends all nodes.
func (f *Embedded) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var errs []error
	for i, s := range f.up {
		if s != nil {
			errs = append(errs, s.Close())
			f.up[i] = nil
		}
	}
	return errors.Join(errs...)
}
