//go:build unix

package client_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/nodeserver/stock"
	"github.com/memherd/memherd/ring"
)

// pausedNodes is the environment variable that makes TestPausedProcess the process that
// is stopped, and names its nodes.
const pausedNodes = "MEMHERD_TEST_PAUSED_NODES"

// pauses is how often the process is stopped.
const pauses = 3

// A process with a client at work is stopped for two seconds, as a debugger, a cgroup's
// freezer or a starved machine stop one. When it goes on, every timer is late, and the
// replies have long been in the sockets: no healthy node counts as down for that, no
// connection is lost and no call fails.
func TestPausedProcess(t *testing.T) {
	if nodes := os.Getenv(pausedNodes); nodes != "" {
		pausedProcess(t, strings.Split(nodes, ","))
		return
	}
	t.Parallel() // it mostly waits
	a, b := stock.ForTest(t), stock.ForTest(t)
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self, "-test.run", "^TestPausedProcess$", "-test.v")
	cmd.Env = append(os.Environ(), pausedNodes+"="+a.Addr()+","+b.Addr())
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // if the test breaks off
	lines := bufio.NewScanner(out)
	result := ""
	for stops := 0; lines.Scan(); {
		switch line := lines.Text(); {
		case line == "at work":
			require.NoError(t, cmd.Process.Signal(syscall.SIGSTOP))
			time.Sleep(2 * time.Second) // the length of the pause is what is tested
			require.NoError(t, cmd.Process.Signal(syscall.SIGCONT))
			stops++
			_, err := io.WriteString(in, "go on\n")
			require.NoError(t, err)
		case strings.HasPrefix(line, "after "):
			require.Equal(t, pauses, stops)
			result = line
		default:
			t.Log(line)
		}
	}
	require.NoError(t, lines.Err())
	require.NoError(t, cmd.Wait())
	t.Log(result)
	require.Contains(t, result, "0 nodes down, 0 connections lost, 0 failed, 0 wrong")
}

// pausedProcess is what is stopped: it says when it is at work, and goes on for a while
// after each line that it is sent.
func pausedProcess(t *testing.T, nodes []string) {
	var down, lost, failed, wrong, ops atomic.Int64
	var last, gap atomic.Int64
	c := newClient(t, client.Config{Nodes: ring.Addrs(nodes...), Hooks: client.Hooks{
		NodeDown: func(string, error) { down.Add(1) },
		ConnLost: func(_ string, cause error) {
			if !errors.Is(cause, client.ErrClosed) {
				lost.Add(1)
				fmt.Println("lost:", cause)
			}
		},
	}, Timeout: time.Second})
	stop := make(chan struct{})
	var callers sync.WaitGroup
	start := time.Now()
	for id := range 16 {
		callers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				key := fmt.Sprint("k", (i*16+id)%100)
				_, err := c.Set(context.Background(), client.Item{Key: key, Value: []byte("value of " + key)})
				it, err2 := c.Get(context.Background(), key)
				if err = errors.Join(err, err2); err != nil {
					if failed.Add(1) == 1 {
						fmt.Println("failed:", err)
					}
				} else if string(it.Value) != "value of "+key {
					wrong.Add(1)
				}
				ops.Add(2)
				now := int64(time.Since(start))
				if d := now - last.Swap(now); d > gap.Load() {
					gap.Store(d)
				}
			}
		})
	}
	atWork := func() {
		goal := ops.Load() + 5000
		require.Eventually(t, func() bool { return ops.Load() >= goal }, time.Minute, time.Millisecond)
	}
	in := bufio.NewScanner(os.Stdin)
	for range pauses {
		atWork()
		fmt.Println("at work")
		require.True(t, in.Scan())
	}
	atWork()
	close(stop)
	callers.Wait()
	require.GreaterOrEqual(t, time.Duration(gap.Load()), 1900*time.Millisecond, "it was not stopped at work")
	fmt.Printf("after %d operations and a pause of %.1f s: %d nodes down, %d connections lost, %d failed, %d wrong\n",
		ops.Load(), time.Duration(gap.Load()).Seconds(), down.Load(), lost.Load(), failed.Load(), wrong.Load())
}
