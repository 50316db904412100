package pipe

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client/item"
)

// shout is what a DialContext of a user's may return: a socket with a Read and a
// Write of its own, and the socket's other methods.
type shout struct{ *net.TCPConn }

func (s shout) Read(b []byte) (int, error) {
	n, err := s.TCPConn.Read(b)
	for i := range b[:n] {
		b[i] ^= 0x20
	}
	return n, err
}

func (s shout) Write(b []byte) (int, error) {
	other := make([]byte, len(b))
	for i := range b {
		other[i] = b[i] ^ 0x20
	}
	return s.TCPConn.Write(other)
}

// With many calls under way the reader asks the socket itself whether there is
// something to read: only if no wrapper has a word to say about the bytes.
func TestAWrappedSocketIsReadThroughItsWrapper(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	ours, err := net.Dial("tcp", ln.Addr().String())
	require.NoError(t, err)
	theirs, err := ln.Accept()
	require.NoError(t, err)

	g := newRigOn(t, shout{ours.(*net.TCPConn)}, shout{theirs.(*net.TCPConn)})
	const n = 4 * crowdCalls
	answered := make(chan struct{})
	g.wg.Go(func() {
		defer close(answered)
		for range n {
			r, err := g.request()
			if err != nil {
				return
			}
			io.WriteString(g.peer, answer(r))
		}
	})
	ks := make([]*Call, n)
	for i := range ks {
		ks[i] = g.call(get())
	}
	require.NoError(t, g.c.StartAll(context.Background(), ks))
	<-answered
	for _, k := range ks {
		require.True(t, g.c.Wait(context.Background(), k))
		require.NoError(t, k.Err)
		require.Equal(t, "value of key", string(k.Value))
	}
	g.close()
}

// tlsPair makes both ends of a TLS connection over a net.Pipe.
func tlsPair(t *testing.T) (client, server *tls.Conn) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"node"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	roots := x509.NewCertPool()
	roots.AddCert(cert)

	a, b := net.Pipe()
	// Without session tickets nothing of the handshake is left to be read.
	server = tls.Server(b, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, SessionTicketsDisabled: true})
	client = tls.Client(a, &tls.Config{RootCAs: roots, ServerName: "node"})
	var wg sync.WaitGroup
	wg.Go(func() { require.NoError(t, server.Handshake()) })
	require.NoError(t, client.Handshake())
	wg.Wait()
	return client, server
}

// A TLS connection is of no use after a write that timed out, so a caller who leaves
// while its request is written must not interrupt the write: it is handed on.
func TestLeavingInTheMiddleOfAWriteOverTLS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := tlsPair(t)
		leaveInTheMiddleOfAWrite(t, newRigOn(t, ours, theirs))
	})
}

// TLS says goodbye when it is closed, and waits seconds for a peer that does not
// listen. A dead node must not delay anybody.
func TestKillingTLSDoesNotWaitForThePeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := tlsPair(t)
		g := newRigOn(t, ours, theirs)
		start := time.Now()
		g.c.Kill(item.ErrClosed)
		require.ErrorIs(t, g.c.Start(t.Context(), g.call(get())), item.ErrClosed)
		require.Zero(t, time.Since(start))
		g.wg.Wait()
		require.NoError(t, theirs.NetConn().Close())
	})
}

// deadlined is a connection whose writes have a time limit of their own.
type deadlined struct{ net.Conn }

func (d deadlined) Write(b []byte) (int, error) {
	_ = d.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
	return d.Conn.Write(b)
}

// A write that times out though nobody interrupted it has failed for good.
func TestAWriteThatTimesOutByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		g := newRigOn(t, deadlined{ours}, theirs)
		k := g.call(get())
		start := time.Now()
		require.True(t, g.do(t.Context(), k))
		require.ErrorIs(t, k.Err, item.ErrConnLost)
		require.Equal(t, 50*time.Millisecond, time.Since(start))
		g.close()
	})
}
