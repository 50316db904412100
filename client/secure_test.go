package client_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/nodeserver/stock"
	"github.com/memherd/memherd/ring"
)

// certificate makes a self-signed certificate for 127.0.0.1 and node.example, and the pool that trusts it.
func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "node"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"node.example"}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// newClient makes a client that is closed when the test ends. Unless the test says otherwise it waits long: a machine
// that is busy is no fault of a node's.
func newClient(t *testing.T, cfg client.Config) *client.Client {
	if cfg.Timeout == 0 {
		cfg.Timeout, cfg.DialTimeout = 5*time.Second, 5*time.Second
	}
	c, err := client.New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

func TestTLS(t *testing.T) {
	cert, pool := certificate(t)
	srv, err := nodeserver.New(nodeserver.Config{})
	require.NoError(t, err)
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}})
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	defer func() {
		require.NoError(t, srv.Close())
		require.ErrorIs(t, <-served, nodeserver.ErrServerClosed)
	}()
	addr := ln.Addr().String()

	c := newClient(t, client.Config{Nodes: ring.Addrs(addr), TLS: &tls.Config{RootCAs: pool}, DialTimeout: 5 * time.Second})
	require.NoError(t, c.Ping(context.Background()))
	set(t, c, "k", strings.Repeat("v", 100_000))
	require.Len(t, get(t, c, "k"), 100_000)

	for name, cfg := range map[string]*tls.Config{
		"unknown authority": {},
		"wrong name":        {RootCAs: pool, ServerName: "other.example"},
		"no TLS at all":     nil,
	} {
		bad := newClient(t, client.Config{Nodes: ring.Addrs(addr), TLS: cfg, DialTimeout: 5 * time.Second})
		require.Error(t, bad.Ping(context.Background()), name)
	}
}

// A caller may verify what it is shown by itself, as crypto/tls has it: by the name of the host that was dialled, unless it gives another.
func TestTLSVerifiedByTheCaller(t *testing.T) {
	cert, pool := certificate(t)
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}})
	require.NoError(t, err)
	srv, err := nodeserver.New(nodeserver.Config{})
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	defer func() {
		require.NoError(t, srv.Close())
		require.ErrorIs(t, <-served, nodeserver.ErrServerClosed)
	}()
	verify := func(cs tls.ConnectionState) error {
		_, err := cs.PeerCertificates[0].Verify(x509.VerifyOptions{DNSName: cs.ServerName, Roots: pool})
		return err
	}
	for _, one := range []struct {
		host, name string
		right      bool
	}{
		{"node.example", "", true}, {"other.example", "", false},
		{"other.example", "node.example", true}, {"node.example", "other.example", false},
	} {
		c := newClient(t, client.Config{
			Nodes: ring.Addrs(one.host), TLS: &tls.Config{InsecureSkipVerify: true, VerifyConnection: verify, ServerName: one.name},
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, ln.Addr().String())
			},
		})
		if err := c.Ping(context.Background()); one.right {
			require.NoError(t, err, one)
		} else {
			require.ErrorContains(t, err, "not other.example", one)
		}
	}
}

// The node is the real memcached; memnode's own log-in is tested against its recorded replies.
func TestAuth(t *testing.T) {
	// The server may run as another user, who can't look into t.TempDir.
	dir, err := os.MkdirTemp("", "memherd-auth")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o755))
	file := filepath.Join(dir, "users")
	require.NoError(t, os.WriteFile(file, []byte("herd:canary-pass\n"), 0o644))
	s := stock.ForTest(t, "-Y", file)
	nodes := ring.Addrs(s.Addr())
	auth := &client.Auth{Username: "herd", Password: "canary-pass"}

	c := newClient(t, client.Config{Nodes: nodes, Auth: auth})
	require.NoError(t, c.Ping(context.Background()))
	set(t, c, "k", "v")
	require.Equal(t, "v", get(t, c, "k"))

	wrong := newClient(t, client.Config{Nodes: nodes, Auth: &client.Auth{Username: "herd", Password: "wrong-canary"}})
	err = wrong.Ping(context.Background())
	require.ErrorIs(t, err, client.ErrAuth)
	require.ErrorIs(t, err, client.ErrNodeDown)
	require.True(t, client.SafeToRetry(err))
	require.NotContains(t, err.Error(), "canary")

	none := newClient(t, client.Config{Nodes: nodes})
	require.Error(t, none.Ping(context.Background()), "a server with -Y takes nobody in without")
}

// Nothing is sent behind the log-in before the node has answered it.
func TestNothingIsSentBeforeTheLogInIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var wg sync.WaitGroup
		came := make(chan string, 1)
		c := newClient(t, client.Config{
			Nodes: ring.Addrs("node"), Auth: &client.Auth{Username: "herd", Password: "pass"}, Timeout: time.Minute, DialTimeout: time.Minute,
			DialContext: func(context.Context, string, string) (net.Conn, error) {
				ours, theirs := net.Pipe()
				wg.Go(func() {
					defer theirs.Close()
					theirs.SetReadDeadline(time.Now().Add(30 * time.Second)) // no answer for so long
					log, err := io.ReadAll(theirs)
					if !errors.Is(err, os.ErrDeadlineExceeded) {
						return // a later connection, of a client that closes
					}
					select {
					case came <- string(log):
					default:
					}
				})
				return ours, nil
			},
		})
		_, err := c.Set(t.Context(), client.Item{Key: "k", Value: []byte("v")})
		require.ErrorIs(t, err, client.ErrNodeDown)
		require.NoError(t, c.Close())
		wg.Wait()
		require.Regexp(t, `^set \S+ 0 -1 9\r\nherd pass\r\n$`, <-came)
	})
}

// A node that goes away in the middle of a log-in, or takes no more connections, has refused nobody.
func TestNoLogInIsNoRefusal(t *testing.T) {
	for answer, want := range map[string]error{
		"": io.EOF, "STO": io.EOF, "ERROR Too many open connections\r\n": client.ErrServer,
		"CLIENT_ERROR authentication failure\r\n": client.ErrAuth, "SERVER_ERROR out of memory storing object\r\n": client.ErrAuth,
	} {
		var wg sync.WaitGroup
		c := newClient(t, client.Config{
			Nodes: ring.Addrs("node"), Auth: &client.Auth{Username: "herd", Password: "canary"},
			DialContext: func(context.Context, string, string) (net.Conn, error) {
				ours, theirs := net.Pipe()
				wg.Go(func() {
					defer theirs.Close()
					_, _ = theirs.Read(make([]byte, 256))
					_, _ = io.WriteString(theirs, answer)
				})
				return ours, nil
			},
		})
		err := c.Ping(context.Background())
		require.ErrorIs(t, err, client.ErrNodeDown, answer)
		require.ErrorIs(t, err, want, answer)
		require.Equal(t, want == client.ErrAuth, errors.Is(err, client.ErrAuth), answer)
		require.NoError(t, c.Close())
		wg.Wait()
	}
}

// A server that asks for no password must not keep it as an item.
func TestAuthLeavesNoPasswordBehind(t *testing.T) {
	s := stock.ForTest(t)
	c := newClient(t, client.Config{Nodes: ring.Addrs(s.Addr()), Auth: &client.Auth{Username: "herd", Password: "canary"}})
	require.NoError(t, c.Ping(context.Background()))
	nc, err := net.Dial("tcp", s.Addr())
	require.NoError(t, err)
	defer nc.Close()
	got := "BUSY"
	for strings.HasPrefix(got, "BUSY") { // while memcached's own crawl, its first thing after it has started, is not over
		_, err = fmt.Fprint(nc, "lru_crawler metadump all\r\n")
		require.NoError(t, err)
		dump := make([]byte, 4096)
		n, err := nc.Read(dump)
		require.NoError(t, err)
		got = string(dump[:n])
	}
	items, end, _ := strings.Cut(got, "END")
	require.Equal(t, "\r\n", end)
	require.Regexp(t, "^key=memherd%3Aepoch [^\n]*\n$", items, "the sentinel alone")
}

func TestBadAuthIsRefused(t *testing.T) {
	for name, a := range map[string]client.Auth{
		"no name": {Password: "p"}, "no password": {Username: "u"}, "space in the name": {Username: "a b", Password: "p"},
		"line end": {Username: "u", Password: "p\r\nflush_all"}, "long": {Username: strings.Repeat("u", 256), Password: "p"},
	} {
		_, err := client.New(client.Config{Nodes: ring.Addrs("127.0.0.1:1"), Auth: &a})
		require.ErrorIs(t, err, client.ErrConfig, name)
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	cfg := client.Config{Auth: &client.Auth{Username: "u", Password: "canary"}}
	js, err := json.Marshal(cfg.Auth)
	require.NoError(t, err)
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "auth", cfg.Auth, "password", cfg.Auth.Password)
	for _, text := range []string{
		fmt.Sprint(cfg.Auth.Password), fmt.Sprintf("%v %+v %#v %s %q", *cfg.Auth, *cfg.Auth, *cfg.Auth, cfg.Auth.Password, cfg.Auth.Password),
		string(js), log.String(),
	} {
		require.NotContains(t, text, "canary")
	}
	require.Equal(t, "canary", string(item.Secret("canary")))
}

func TestUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "node.sock")
	srv, err := nodeserver.Start(nodeserver.Config{Addr: "unix:" + path})
	require.NoError(t, err)
	defer srv.Close()
	c := newClient(t, client.Config{Nodes: ring.Addrs(path)})
	set(t, c, "k", "v")
	require.Equal(t, "v", get(t, c, "k"))
}
