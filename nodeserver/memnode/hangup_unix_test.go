//go:build unix

package main

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestHangupReadsUsersAgain: a SIGHUP replaces the users by what the file of -Y says then;
// who is in stays in, and a file that is wrong changes nothing.
func TestHangupReadsUsersAgain(t *testing.T) {
	file := filepath.Join(t.TempDir(), "users")
	require.NoError(t, os.WriteFile(file, []byte("bob:canary\n"), 0o600))
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	log := &waiter{}
	addr := log.next(`addr=(\S+)`)
	code := make(chan int, 1)
	go func() { code <- run(ctx, []string{"-p0", "-v", "-Y", file}, io.Discard, log) }()
	at := <-addr
	dial := func() net.Conn {
		nc, err := net.Dial("tcp", at)
		require.NoError(t, err)
		t.Cleanup(func() { nc.Close() })
		return nc
	}
	hangup := func(want string) {
		said := log.next(want)
		require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGHUP))
		<-said
	}
	in := dial()
	say(t, in, "set k 0 0 10\r\nbob canary\r\n", "STORED\r\n")
	hangup(`(users replaced)`)

	require.NoError(t, os.WriteFile(file, []byte("eve:sparrow\n"), 0o600))
	hangup(`(users replaced)`)
	say(t, in, "mn\r\n", "MN\r\n")
	say(t, dial(), "set k 0 0 10\r\nbob canary\r\n", "CLIENT_ERROR authentication failure\r\n")
	say(t, dial(), "set k 0 0 11\r\neve sparrow\r\n", "STORED\r\n")

	for _, wrong := range []string{"", "eve"} {
		require.NoError(t, os.WriteFile(file, []byte(wrong), 0o600))
		hangup(`(users not replaced)`)
		say(t, dial(), "set k 0 0 11\r\neve sparrow\r\n", "STORED\r\n")
	}
	stop()
	assert.Equal(t, exitOK, <-code)
}

// next waits for a text that has not come yet.
func (w *waiter) next(want string) <-chan string {
	got := make(chan string, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text.Reset()
	w.want, w.got = regexp.MustCompile(want), got
	return got
}
