package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// waiter is a log that can be waited on.
type waiter struct {
	mu   sync.Mutex // guards all
	text strings.Builder
	want *regexp.Regexp
	got  chan string
	all  chan []string // every group, instead of the first
}

func (w *waiter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text.Write(p)
	if m := w.want.FindStringSubmatch(w.text.String()); m != nil && w.all != nil {
		w.all <- m[1:]
		w.all = nil
	}
	if m := w.want.FindStringSubmatch(w.text.String()); m != nil && w.got != nil {
		w.got <- m[1]
		w.got = nil
	}
	return len(p), nil
}

// start runs memnode in the test's process and returns where it listens, and a function
// that waits for its end.
func start(t *testing.T, args ...string) (addr string, end func() int) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	got := make(chan string, 1)
	log := &waiter{want: regexp.MustCompile(`addr=(\S+)`), got: got}
	code := make(chan int, 1)
	go func() { code <- run(ctx, append(args, "-v"), io.Discard, log) }()
	t.Cleanup(stop)
	return <-got, func() int { stop(); return <-code }
}

// TestListensOnAllAddresses: each of -l is listened on, and all stop together.
func TestListensOnAllAddresses(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	got := make(chan []string, 1)
	log := &waiter{want: regexp.MustCompile(`(?s)addr=(\S+) .*addr=(\S+) .*addr=(\S+) `), all: got}
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, []string{"-p0", "-l", "127.0.0.1,localhost", "-l127.0.0.1:0", "-v", "-c", "5"}, io.Discard, log)
	}()
	addrs := <-got
	require.Len(t, addrs, 3)
	for i, addr := range addrs {
		nc, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		defer nc.Close()
		if i == 0 {
			say(t, nc, "set k 0 0 1\r\nx\r\n", "STORED\r\n")
		}
		say(t, nc, "get k\r\n", "VALUE k 0 1\r\nx\r\nEND\r\n")
	}
	stop()
	assert.Equal(t, exitOK, <-code)
	for _, addr := range addrs {
		_, err := net.Dial("tcp", addr)
		require.Error(t, err)
	}

	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	var errs strings.Builder
	assert.Equal(t, exitError, run(t.Context(), []string{"-p0", "-l", "127.0.0.1," + taken.Addr().String()}, io.Discard, &errs))
	assert.Contains(t, errs.String(), "in use")
	assert.Equal(t, 1, strings.Count(errs.String(), "\n"))
}

// TestOptionsArrive: what options say is what the node does.
func TestOptionsArrive(t *testing.T) {
	addr, end := start(t, "-p0", "-X", "-W", "-D/", "-R", "7", "-b", "9", "-o", "debugtime", "--cluster", "a|10.0.0.1|11211")
	nc, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer nc.Close()
	say(t, nc, "watch\r\n", "CLIENT_ERROR watch commands not allowed\r\n")
	say(t, nc, "lru_crawler metadump all\r\n", "ERROR metadump not allowed\r\n")
	say(t, nc, "stats cachedump 1 1\r\n", "CLIENT_ERROR stats cachedump not allowed\r\n")
	say(t, nc, "get a/b\r\nstats detail dump\r\n", "END\r\nPREFIX a get 1 hit 0 set 0 del 0\r\nEND\r\n")
	say(t, nc, "debugtime p\r\n", "OK\r\n")
	say(t, nc, "config get cluster\r\n", "CONFIG cluster 0 19\r\n1\na|10.0.0.1|11211\n\r\nEND\r\n")
	_, err = io.WriteString(nc, "stats settings\r\nquit\r\n")
	require.NoError(t, err)
	all, err := io.ReadAll(nc)
	require.NoError(t, err)
	for _, want := range []string{"dump_enabled no", "stat_key_prefix /", "detail_enabled yes", "reqs_per_event 7", "tcp_backlog 9"} {
		assert.Contains(t, string(all), "STAT "+want+"\r\n")
	}
	assert.Equal(t, exitOK, end())
}

func say(t *testing.T, nc net.Conn, text, want string) {
	t.Helper()
	_, err := io.WriteString(nc, text)
	require.NoError(t, err)
	buf := make([]byte, len(want))
	_, err = io.ReadFull(nc, buf)
	require.NoError(t, err)
	require.Equal(t, want, string(buf))
}

func TestShutdownCommandEndsIt(t *testing.T) {
	ctx := t.Context()
	got := make(chan string, 1)
	log := &waiter{want: regexp.MustCompile(`addr=(\S+)`), got: got}
	code := make(chan int, 1)
	go func() { code <- run(ctx, []string{"-p0", "-A", "-v"}, io.Discard, log) }()
	nc, err := net.Dial("tcp", <-got)
	require.NoError(t, err)
	defer nc.Close()
	_, err = io.WriteString(nc, "shutdown\r\n")
	require.NoError(t, err)
	assert.Equal(t, exitOK, <-code)
}

func TestPidFileAndSocketMask(t *testing.T) {
	dir := t.TempDir()
	pid, sock := filepath.Join(dir, "pid"), filepath.Join(dir, "sock")
	_, end := start(t, "-s", sock, "-a", "750", "-P", pid)
	fi, err := os.Stat(sock)
	require.NoError(t, err)
	assert.EqualValues(t, 0o750, fi.Mode().Perm())
	text, err := os.ReadFile(pid)
	require.NoError(t, err)
	assert.Equal(t, strconv.Itoa(os.Getpid()), strings.TrimSpace(string(text)))
	nc, err := net.Dial("unix", sock)
	require.NoError(t, err)
	defer nc.Close()
	say(t, nc, "mn\r\n", "MN\r\n")
	assert.Equal(t, exitOK, end())
	assert.NoFileExists(t, pid)
}

func TestAuthFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "users")
	require.NoError(t, os.WriteFile(file, []byte("bob:canary\n"), 0o600))
	addr, end := start(t, "-p0", "-Y", file)
	nc, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer nc.Close()
	say(t, nc, "mn\r\n", "CLIENT_ERROR unauthenticated\r\n")
	say(t, nc, "set k 0 0 10\r\nbob canary\r\nmn\r\n", "STORED\r\nMN\r\n")
	assert.Equal(t, exitOK, end())

	var errs strings.Builder
	require.NoError(t, os.WriteFile(file, []byte("canary"), 0o600))
	assert.Equal(t, exitError, run(t.Context(), []string{"-p0", "-Y", file}, io.Discard, &errs))
	assert.Contains(t, errs.String(), "option -Y")
	assert.NotContains(t, errs.String(), "canary")
}

// certificate writes a certificate that signs itself, and its key.
func certificate(t *testing.T) (certFile, keyFile string, pair tls.Certificate) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	require.NoError(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert"), filepath.Join(dir, "key")
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	require.NoError(t, os.WriteFile(certFile, certPEM, 0o600))
	require.NoError(t, os.WriteFile(keyFile, keyPEM, 0o600))
	pair, err = tls.X509KeyPair(certPEM, keyPEM)
	require.NoError(t, err)
	return certFile, keyFile, pair
}

func TestTLS(t *testing.T) {
	cert, key, pair := certificate(t)
	pool := x509.NewCertPool()
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	require.NoError(t, err)
	pool.AddCert(leaf)
	files := "ssl_chain_cert=" + cert + ",ssl_key=" + key
	addr, end := start(t, "-p0", "-Z", "-o", files)
	nc, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: pool})
	require.NoError(t, err)
	defer nc.Close()
	say(t, nc, "set k 0 0 1\r\nx\r\nget k\r\n", "STORED\r\nVALUE k 0 1\r\nx\r\nEND\r\n")
	assert.Equal(t, exitOK, end())

	addr, end = start(t, "-p0", "-Z", "-o", files+",ssl_ca_cert="+cert+",ssl_verify_mode=2,ssl_min_version=tlsv1.3")
	_, err = tls.Dial("tcp", addr, &tls.Config{RootCAs: pool, MaxVersion: tls.VersionTLS12})
	require.Error(t, err, "too old")
	nc, err = tls.Dial("tcp", addr, &tls.Config{RootCAs: pool})
	if err == nil { // with TLS 1.3 a client learns of it with the first read
		_, err = nc.Read(make([]byte, 1))
		nc.Close()
	}
	require.Error(t, err, "no certificate")
	nc, err = tls.Dial("tcp", addr, &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{pair}})
	require.NoError(t, err)
	defer nc.Close()
	say(t, nc, "mn\r\n", "MN\r\n")
	assert.Equal(t, exitOK, end())

	var errs strings.Builder
	assert.Equal(t, exitError, run(t.Context(), []string{"-p0", "-Z", "-o", "ssl_chain_cert=/no/file,ssl_key=/no/key"}, io.Discard, &errs))
	assert.Contains(t, errs.String(), "option -Z")
}
