//go:build linux && !race

package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// process runs memnode as a process of its own, which is this test's binary, and returns
// where it listens.
func process(t *testing.T, args string) (cmd *exec.Cmd, addr string) {
	t.Helper()
	cmd = exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), beMemnode+"="+args+" -v")
	log, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill() })
	sc := bufio.NewScanner(log)
	for sc.Scan() {
		if m := regexp.MustCompile(`addr=(\S+)`).FindStringSubmatch(sc.Text()); m != nil {
			return cmd, m[1]
		}
	}
	t.Fatalf("%s did not start", args)
	return nil, ""
}

// resident is the most memory a process has had, in megabytes.
func resident(t *testing.T, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	require.NoError(t, err)
	m := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(text)
	require.NotNil(t, m)
	kb, err := strconv.Atoi(string(m[1]))
	require.NoError(t, err)
	return kb >> 10
}

// TestResidentUnderPendingBodies: a thousand blocks of 1 MB that never end do not make the
// process larger than 1.2 × -m and 64 MB, and others are served meanwhile.
func TestResidentUnderPendingBodies(t *testing.T) {
	const conns, sent, megabytes = 1000, 999_000, 64
	cmd, addr := process(t, "-p0 -c 2000 -m "+strconv.Itoa(megabytes))
	head := "set k 0 0 1000000\r\n"
	block := []byte(head + strings.Repeat("v", sent))
	for range conns {
		nc, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		defer nc.Close()
		_, err = nc.Write(block)
		require.NoError(t, err)
	}
	nc, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer nc.Close()
	br := bufio.NewReader(nc)
	read := 0
	for read < conns*len(block) { // until all of it has arrived
		_, err := io.WriteString(nc, "stats\r\n")
		require.NoError(t, err)
		for line := ""; line != "END\r\n"; {
			line, err = br.ReadString('\n')
			require.NoError(t, err)
			if n, ok := strings.CutPrefix(line, "STAT bytes_read "); ok {
				read, err = strconv.Atoi(strings.TrimSpace(n))
				require.NoError(t, err)
			}
		}
	}
	got := resident(t, cmd.Process.Pid)
	t.Logf("%d MB resident at most, with %d MB sent", got, conns*len(block)>>20)
	assert.LessOrEqual(t, got, megabytes*12/10+64)
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, cmd.Wait(), "it ends with 0")
}

// TestSignalsDrain: what was sent before the signal is answered, and the process ends with 0.
func TestSignalsDrain(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		cmd, addr := process(t, "-p0 -l 127.0.0.1,127.0.0.1")
		nc, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		defer nc.Close()
		say(t, nc, "mn\r\n", "MN\r\n") // it has been accepted
		require.NoError(t, cmd.Process.Signal(syscall.SIGSTOP))
		_, err = io.WriteString(nc, strings.Repeat("set k 0 0 1\r\nx\r\n", 100))
		require.NoError(t, err)
		require.NoError(t, cmd.Process.Signal(sig))
		require.NoError(t, cmd.Process.Signal(syscall.SIGCONT))
		all, err := io.ReadAll(nc)
		require.NoError(t, err)
		assert.Equal(t, strings.Repeat("STORED\r\n", 100), string(all))
		require.NoError(t, cmd.Wait(), "%v: it ends with 0", sig)
		_, err = net.Dial("tcp", addr)
		require.Error(t, err)
	}
}
