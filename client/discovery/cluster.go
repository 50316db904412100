package discovery

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/memherd/memherd/ring"
)

// Cluster asks a configuration endpoint which nodes there are: "config get cluster", as
// Amazon ElastiCache and Google Memorystore answer it, or the key that ElastiCache had
// for it before 1.4.14. Identity is the host name, which survives the replacement of a
// node, or the address where there is no name.
//
// Every answer has a version. One that is lower than the highest seen is ErrOldVersion
// and changes nothing: of the nodes that answer, some may be behind. A cluster that was
// made anew under its old name counts from the start again: call Forget.
//
// A server that knows neither command is plain memcached, or ElastiCache Serverless. If
// no list has been seen before, Addrs themselves are the nodes then.
//
// The answer is not the operator's word: a node that is missing leaves only once it is
// down, see Config. Its methods may be called concurrently; its fields are not to be changed.
type Cluster struct {
	// Addrs are the endpoints, "host:port" or "host" (port 11211), tried in this order
	// until one answers. Required. With ElastiCache the configuration endpoint is enough;
	// with Memorystore, give its discovery endpoint and nothing else.
	Addrs []string
	// Timeout bounds each endpoint's try, dialling included; 0 means 2 s.
	Timeout time.Duration
	// TLS, if set, secures the connection; the certificate is verified against the
	// endpoint's host unless ServerName says otherwise.
	TLS *tls.Config
	// DialContext opens the connection; nil uses a net.Dialer.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)

	// mu guards what follows; it is not held across I/O.
	mu      sync.Mutex
	version uint64
	seen    bool
}

// DefaultClusterTimeout is Cluster.Timeout's default.
const DefaultClusterTimeout = 2 * time.Second

// Forget makes the next answer count whatever its version is.
func (c *Cluster) Forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.version, c.seen = 0, false
}

// Version returns the highest version seen; ok is false before the first answer.
func (c *Cluster) Version() (version uint64, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.version, c.seen
}

// Nodes asks the endpoints. Errors are ErrConfig, or for each endpoint its failure:
// ErrMalformed, ErrOldVersion, or that of the connection.
func (c *Cluster) Nodes(ctx context.Context) ([]ring.Node, error) {
	if len(c.Addrs) == 0 {
		return nil, badConfig("Cluster.Addrs is empty")
	}
	if c.Timeout < 0 {
		return nil, badConfig("Cluster.Timeout is negative; 0 chooses the default")
	}
	seeds := make([]ring.Node, len(c.Addrs))
	for i, a := range c.Addrs {
		n, err := ring.Node{Addr: a}.Canonical()
		if err != nil {
			return nil, badConfig("Cluster.Addrs: %w", err)
		}
		seeds[i] = n
	}
	var errs []error
	plain := true
	for _, seed := range seeds {
		nodes, err := c.ask(ctx, seed.Addr)
		if err == nil {
			return nodes, nil
		}
		plain = plain && errors.Is(err, errPlain)
		errs = append(errs, fmt.Errorf("discovery: endpoint %s: %w", seed.Name, err))
		if ctx.Err() != nil {
			break
		}
	}
	if _, seen := c.Version(); plain && !seen {
		return seeds, nil
	}
	return nil, errors.Join(errs...)
}

// ask has one endpoint's list.
func (c *Cluster) ask(ctx context.Context, addr string) ([]ring.Node, error) {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(c.Timeout, DefaultClusterTimeout))
	defer cancel()
	conn, err := c.dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	ans, err := exchange(conn)
	if ctx.Err() != nil && err != nil {
		return nil, ctx.Err() // rather than that the deadline set in its stead has passed
	}
	if err != nil {
		return nil, err
	}
	return ans.nodes, c.accept(ans.version)
}

// accept keeps the version from going back.
func (c *Cluster) accept(version uint64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen && version < c.version {
		return fmt.Errorf("%w: version %d, seen %d", ErrOldVersion, version, c.version)
	}
	c.version, c.seen = version, true
	return nil
}

func (c *Cluster) dial(ctx context.Context, addr string) (net.Conn, error) {
	dial := c.DialContext
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	network := "tcp"
	if addr[0] == '/' {
		network = "unix"
	}
	conn, err := dial(ctx, network, addr)
	if err != nil || c.TLS == nil {
		return conn, err
	}
	cfg := c.TLS
	if cfg.ServerName == "" && network == "tcp" { // also if it is a function of the caller's that verifies it
		cfg = cfg.Clone()
		if cfg.ServerName, _, err = net.SplitHostPort(addr); err != nil {
			cfg.ServerName = addr
		}
	}
	tc := tls.Client(conn, cfg)
	if err := tc.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return tc, nil
}

// exchange asks in the new words, and in the old if those are not understood.
func exchange(conn net.Conn) (answer, error) {
	r := bufio.NewReaderSize(conn, maxLine)
	for _, command := range []string{"config get cluster\r\n", "get " + oldKey + "\r\n"} {
		if _, err := conn.Write([]byte(command)); err != nil {
			return answer{}, err
		}
		ans, err := readAnswer(r)
		if !errors.Is(err, errPlain) {
			return ans, err
		}
	}
	return answer{}, errPlain
}
