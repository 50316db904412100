package discovery

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/nodeserver/stock"
	"github.com/memherd/memherd/ring"
)

// endpoint is a server that has one reply for each command line, or none.
type endpoint struct {
	ln net.Listener
	wg sync.WaitGroup

	mu      sync.Mutex // guards what follows
	replies map[string]string
	got     []string
}

const newWords, oldWords = "config get cluster\r\n", "get AmazonElastiCache:cluster\r\n"

func serveEndpoint(t *testing.T, ln net.Listener) *endpoint {
	e := &endpoint{ln: ln, replies: map[string]string{}}
	e.wg.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			e.wg.Go(func() { e.serve(conn) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		e.wg.Wait()
	})
	return e
}

func newEndpoint(t *testing.T) *endpoint {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return serveEndpoint(t, ln)
}

func (e *endpoint) serve(conn net.Conn) {
	defer conn.Close()
	for r := bufio.NewReader(conn); ; {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		e.mu.Lock()
		e.got = append(e.got, line)
		reply := e.replies[line]
		e.mu.Unlock()
		if _, err := conn.Write([]byte(reply)); err != nil {
			return
		}
	}
}

func (e *endpoint) say(command, reply string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.replies[command] = reply
}

func (e *endpoint) commands() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	got := e.got
	e.got = nil
	return got
}

func (e *endpoint) addr() string { return e.ln.Addr().String() }

func TestClusterVersions(t *testing.T) {
	e := newEndpoint(t)
	c := &Cluster{Addrs: []string{e.addr()}}
	fleet, seen := newFleet("a"), &noted{}
	f := roundsOf(fleet, c, Config{Hooks: seen.hooks()})

	e.say(newWords, config("5\na|10.0.0.1|11211 b|10.0.0.2|11211\n"))
	f.round()
	require.Equal(t, []string{"a", "b"}, fleet.names())
	e.say(newWords, config("4\na|10.0.0.1|11211 old|10.0.0.9|11211\n"))
	f.round()
	require.Len(t, seen.kept, 1)
	require.ErrorIs(t, seen.kept[0], ErrOldVersion)
	require.ErrorContains(t, seen.kept[0], "version 4, seen 5")
	e.say(newWords, config("6\nb|10.0.0.7|11211 a|10.0.0.1|11211 c|10.0.0.3|11211\n"))
	f.round()
	require.Equal(t, []string{"a", "b", "c"}, fleet.names())
	version, ok := c.Version()
	require.True(t, ok)
	require.EqualValues(t, 6, version)
	for _, bad := range []string{"CONFIG cluster 0 9\r\n7\na|b\n\r\nEND\r\n", "SERVER_ERROR busy\r\n", "ERROR\r\n"} {
		e.say(newWords, bad)
		e.say(oldWords, "END\r\n")
		failed := len(seen.failed)
		f.round()
		require.Len(t, seen.failed, failed+1, bad)
	}
	e.say(newWords, config("8\n\n"))
	f.round()
	require.ErrorIs(t, f.State().Err, ErrEmpty)
	require.Equal(t, []string{"a", "b", "c"}, fleet.names(), "the last good list is kept")

	// A cluster made anew.
	e.say(newWords, config("1\nd|10.0.0.4|11211\n"))
	f.round()
	require.ErrorIs(t, f.State().Err, ErrOldVersion)
	c.Forget()
	f.round()
	require.Equal(t, []string{"a", "b", "c", "d"}, fleet.names(), "nothing is known to be down")
}

func TestClusterOldSyntax(t *testing.T) {
	e := newEndpoint(t)
	e.say(newWords, "ERROR\r\n")
	list := "3\na|10.0.0.1|11211\n"
	e.say(oldWords, fmt.Sprintf("VALUE AmazonElastiCache:cluster 0 %d\r\n%s\r\nEND\r\n", len(list), list))
	nodes, err := (&Cluster{Addrs: []string{e.addr()}}).Nodes(ctx)
	require.NoError(t, err)
	require.Equal(t, []string{"a"}, namesOf(nodes))
	require.Equal(t, []string{newWords, oldWords}, e.commands())
}

// The first endpoint that answers is enough; all their failures are told.
func TestClusterEndpoints(t *testing.T) {
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, gone.Close())
	broken, good := newEndpoint(t), newEndpoint(t)
	broken.say(newWords, "HELLO\r\n")
	good.say(newWords, config("1\na||11211\n"))
	c := &Cluster{Addrs: []string{gone.Addr().String(), broken.addr(), good.addr()}}
	nodes, err := c.Nodes(ctx)
	require.NoError(t, err)
	require.Len(t, nodes, 1)
	c.Addrs = c.Addrs[:2]
	_, err = c.Nodes(ctx)
	require.ErrorContains(t, err, gone.Addr().String())
	require.ErrorContains(t, err, broken.addr())
	require.ErrorIs(t, err, ErrMalformed)

	for _, bad := range []*Cluster{{}, {Addrs: []string{"a:x"}}, {Addrs: []string{"a"}, Timeout: -1}} {
		_, err := bad.Nodes(ctx)
		require.ErrorIs(t, err, ErrConfig)
	}
}

// Plain memcached keeps no list, so what is asked is the fleet; but not once there was one.
func TestClusterOfPlainNodes(t *testing.T) {
	e := newEndpoint(t)
	e.say(newWords, "ERROR\r\n")
	e.say(oldWords, "END\r\n")
	c := &Cluster{Addrs: []string{e.addr()}}
	nodes, err := c.Nodes(ctx)
	require.NoError(t, err)
	require.Equal(t, []string{e.addr()}, namesOf(nodes))
	e.say(newWords, config("1\na||11211\n"))
	_, err = c.Nodes(ctx)
	require.NoError(t, err)
	e.say(newWords, "ERROR\r\n")
	_, err = c.Nodes(ctx)
	require.ErrorIs(t, err, errPlain)
}

func TestClusterTLS(t *testing.T) {
	web := httptest.NewTLSServer(nil) // for its certificate
	defer web.Close()
	roots := x509.NewCertPool()
	roots.AddCert(web.Certificate())
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: web.TLS.Certificates})
	require.NoError(t, err)
	e := serveEndpoint(t, ln)
	e.say(newWords, config("1\na||11211\n"))
	c := &Cluster{Addrs: []string{e.addr()}, TLS: &tls.Config{RootCAs: roots}}
	nodes, err := c.Nodes(ctx)
	require.NoError(t, err, "the certificate is for 127.0.0.1")
	require.Len(t, nodes, 1)
	c.TLS.ServerName = "other.test"
	_, err = c.Nodes(ctx)
	var verify *tls.CertificateVerificationError
	require.ErrorAs(t, err, &verify)

	// A function of the caller's that verifies it is told the name, too.
	dialled := ""
	c = &Cluster{Addrs: []string{"endpoint.test"}, TLS: &tls.Config{InsecureSkipVerify: true, VerifyConnection: func(cs tls.ConnectionState) error {
		dialled = cs.ServerName
		return nil
	}}, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, e.addr())
	}}
	_, err = c.Nodes(ctx)
	require.NoError(t, err)
	require.Equal(t, "endpoint.test", dialled)
}

// An endpoint that accepts and says nothing costs Timeout, a cancelled question nothing.
func TestClusterTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := nodeserver.NewMemNetwork()
		ln, err := network.Listen("mute:11211")
		require.NoError(t, err)
		e := serveEndpoint(t, ln)
		defer func() { ln.Close(); e.wg.Wait() }()
		c := &Cluster{Addrs: []string{"mute"}, DialContext: network.DialContext}
		start := time.Now()
		_, err = c.Nodes(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, DefaultClusterTimeout, time.Since(start))

		early, cancel := context.WithCancel(ctx)
		time.AfterFunc(time.Second, cancel)
		start = time.Now()
		_, err = c.Nodes(early)
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, time.Second, time.Since(start))
	})
}

// Real servers without a list, asked as they come.
func TestClusterOfRealNodes(t *testing.T) {
	node, err := nodeserver.Start(nodeserver.Config{})
	require.NoError(t, err)
	defer node.Close()
	is := func(addr string) {
		nodes, err := (&Cluster{Addrs: []string{addr}}).Nodes(ctx)
		require.NoError(t, err)
		require.Equal(t, []ring.Node{{Name: addr, Addr: addr, Weight: 1}}, nodes)
	}
	t.Run("memnode", func(t *testing.T) { is(node.Addr().String()) })
	t.Run("memcached", func(t *testing.T) { is(stock.ForTest(t).Addr()) })
}
