package fleet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// Memcached is a real memcached this process started.
type Memcached struct {
	cmd     *exec.Cmd
	addr    string
	version string
	ended   chan struct{} // closed when the process has ended
}

// ErrNoMemcached is returned where no memcached is installed.
var ErrNoMemcached = errors.New("memcached is not installed (Debian: apt-get install memcached)")

// StartMemcached starts the machine's memcached on a free port of 127.0.0.1 and waits
// until it answers.
func StartMemcached(ctx context.Context) (*Memcached, error) {
	path, err := exec.LookPath("memcached")
	if err != nil {
		return nil, ErrNoMemcached
	}
	version, err := exec.CommandContext(ctx, path, "-V").Output()
	if err != nil {
		return nil, fmt.Errorf("cannot run %s: %w", path, err)
	}
	// Between finding a free port and memcached taking it another process may, so a
	// few ports are tried.
	for range 5 {
		var m *Memcached
		if m, err = startMemcached(ctx, path); err == nil {
			m.version = strings.TrimSpace(string(version))
			return m, nil
		}
	}
	return nil, err
}

func startMemcached(ctx context.Context, path string) (*Memcached, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	port := ln.Addr().(*net.TCPAddr).Port
	if err := ln.Close(); err != nil {
		return nil, err
	}
	m := &Memcached{addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), ended: make(chan struct{})}
	// -u is for root, from which memcached otherwise refuses to start.
	m.cmd = exec.Command(path, "-l", "127.0.0.1", "-p", strconv.Itoa(port), "-U", "0", "-u", "nobody", "-c", "4096", "-m", "256")
	var stderr bytes.Buffer
	m.cmd.Stderr = &stderr
	if err := m.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = m.cmd.Wait() // its status says no more than that it has ended
		close(m.ended)
	}()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit := time.NewTimer(5 * time.Second)
	defer limit.Stop()
	for {
		if ping(ctx, m.addr) == nil {
			return m, nil
		}
		select {
		case <-tick.C:
		case <-m.ended:
			return nil, fmt.Errorf("memcached ended at once: %s", strings.TrimSpace(stderr.String()))
		case <-limit.C:
			return nil, errors.Join(errors.New("memcached does not answer"), m.Close())
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), m.Close())
		}
	}
}

// Addr is where it listens, Version what it calls itself ("memcached 1.6.18").
func (m *Memcached) Addr() string { return m.addr }

// Version is what it calls itself, as in "memcached 1.6.18".
func (m *Memcached) Version() string { return m.version }

// Close ends it and waits until it is gone.
func (m *Memcached) Close() error {
	err := m.cmd.Process.Kill()
	<-m.ended
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}
