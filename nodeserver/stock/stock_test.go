package stock

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var _ TB = testing.TB(nil)

func say(t *testing.T, s *Server, cmd string) string {
	t.Helper()
	nc, err := net.Dial("tcp", s.Addr())
	require.NoError(t, err)
	defer nc.Close()
	_, err = nc.Write([]byte(cmd))
	require.NoError(t, err)
	line, err := bufio.NewReader(nc).ReadString('\n')
	require.NoError(t, err)
	return line
}

func TestLifeOfAServer(t *testing.T) {
	s := ForTest(t, "-I", "2m")
	assert.Positive(t, s.Pid())
	assert.Equal(t, "STORED\r\n", say(t, s, "set a 0 0 1\r\nx\r\n"))
	assert.Equal(t, "HD\r\n", say(t, s, "mg a\r\n"))

	pid := s.Pid()
	require.NoError(t, s.Restart())
	assert.NotEqual(t, pid, s.Pid())
	assert.Equal(t, "EN\r\n", say(t, s, "mg a\r\n"), "it comes back empty, on the same port")

	require.NoError(t, s.Kill())
	_, err := net.Dial("tcp", s.Addr())
	require.Error(t, err)
	require.NoError(t, s.Kill(), "killing twice")
	require.NoError(t, s.Restart())
	require.NoError(t, s.Stop())
	require.NoError(t, s.Stop(), "stopping twice")
}

func TestPausedServerDoesNotAnswer(t *testing.T) {
	s := ForTest(t)
	require.NoError(t, s.Pause())
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := s.ping(ctx)
	require.Error(t, err, "the kernel accepts, nobody answers")
	require.NoError(t, s.Resume())
	require.NoError(t, s.ping(t.Context()))
	require.NoError(t, s.Pause())
	require.NoError(t, s.Stop(), "also a paused one can be stopped")
}

func TestStartSaysWhatIsWrong(t *testing.T) {
	Need(t)
	_, err := Start(Config{Args: []string{"--no-such-option"}})
	require.ErrorContains(t, err, "no-such-option")
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	_, err = Start(Config{Port: ln.Addr().(*net.TCPAddr).Port, StartTimeout: time.Hour})
	require.ErrorContains(t, err, "it ended at once", "the port is taken, by one who answers nothing")
	_, err = Start(Config{Path: "/nonexistent"})
	require.Error(t, err)
}

// TestAnotherServersAnswerIsNotOurs: a server that took the port meanwhile speaks the
// protocol, too.
func TestAnotherServersAnswerIsNotOurs(t *testing.T) {
	ours, other := ForTest(t), ForTest(t)
	require.NoError(t, ours.ping(t.Context()))
	ours.port, other.port = other.port, ours.port
	assert.ErrorContains(t, ours.ping(t.Context()), "another server")
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	answered := make(chan error, 1)
	go func() {
		nc, err := ln.Accept()
		if err == nil {
			_, err = nc.Write([]byte("220 mail\r\n"))
			nc.Close()
		}
		answered <- err
	}()
	ours.port = ln.Addr().(*net.TCPAddr).Port
	assert.ErrorContains(t, ours.ping(t.Context()), "no memcached answers")
	require.NoError(t, <-answered)
}

// fakeTB notes what Need does.
type fakeTB struct{ skipped, failed string }

func (*fakeTB) Helper()                        {}
func (f *fakeTB) Skipf(s string, args ...any)  { f.skipped = fmt.Sprintf(s, args...) }
func (f *fakeTB) Fatalf(s string, args ...any) { f.failed = fmt.Sprintf(s, args...) }
func (*fakeTB) Cleanup(func())                 {}

func TestNeedWithoutMemcached(t *testing.T) {
	if _, err := os.Stat("/usr/bin/memcached"); err == nil {
		t.Setenv("PATH", "/nonexistent")
		p, err := Find()
		require.NoError(t, err, "the binary is found without PATH")
		v, err := Version(p)
		require.NoError(t, err)
		assert.Contains(t, v, "1.")
		return
	}
	t.Setenv("PATH", "/nonexistent")
	var f fakeTB
	t.Setenv("CI", "")
	Need(&f)
	assert.True(t, strings.HasPrefix(f.skipped, "memcached not installed"))
	t.Setenv("CI", "true")
	Need(&f)
	assert.True(t, strings.HasPrefix(f.failed, "memcached not installed"))
}
