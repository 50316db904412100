package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// errNoRedis means that there is no redis-server to run.
var errNoRedis = errors.New("redis-server not installed: apt-get install redis-server")

// redis is a running redis-server that keeps nothing on disk.
type redis struct {
	addr string
	cmd  *exec.Cmd
	gone chan struct{} // closed when the process has been waited for
}

func findRedis() (string, error) {
	if p, err := exec.LookPath("redis-server"); err == nil {
		return p, nil
	}
	const debian = "/usr/bin/redis-server" // not in every PATH
	if _, err := os.Stat(debian); err == nil {
		return debian, nil
	}
	return "", errNoRedis
}

// startRedis runs one on a free port of 127.0.0.1 and returns when it answers.
func startRedis(ctx context.Context) (*redis, error) {
	path, err := findRedis()
	if err != nil {
		return nil, err
	}
	// Between finding a free port and redis's bind somebody else may take it.
	for range 5 {
		var r *redis
		if r, err = launchRedis(ctx, path); err == nil {
			return r, nil
		}
	}
	return nil, err
}

func launchRedis(ctx context.Context, path string) (*redis, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	addr := ln.Addr().String()
	_, port, _ := net.SplitHostPort(addr) // it is one of net's own
	if err := ln.Close(); err != nil {
		return nil, err
	}
	var said bytes.Buffer
	cmd := exec.Command(path, "--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no",
		"--daemonize", "no", "--maxclients", "4096", "--loglevel", "warning", "--dir", os.TempDir())
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	r := &redis{addr: addr, cmd: cmd, gone: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // how it ended shows in what it said
		close(r.gone)
	}()
	if err := r.ready(ctx); err != nil {
		return nil, fmt.Errorf("redis-server on port %s: %w; it said: %s", port, errors.Join(err, r.stop()), strings.TrimSpace(said.String()))
	}
	return r, nil
}

// ready returns when the process answers that it is the one.
func (r *redis) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		err := r.ping(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-r.gone:
			return errors.New("it ended at once")
		case <-ctx.Done():
			return fmt.Errorf("it does not answer: %w", err)
		}
	}
}

// ping asks for the number of the process, so that no other server on the port passes.
func (r *redis) ping(ctx context.Context) error {
	nc, err := (&net.Dialer{}).DialContext(ctx, "tcp", r.addr)
	if err != nil {
		return err
	}
	defer nc.Close()
	if d, ok := ctx.Deadline(); ok {
		if err := nc.SetDeadline(d); err != nil {
			return err
		}
	}
	if _, err := nc.Write([]byte("INFO server\r\n")); err != nil {
		return err
	}
	lines := bufio.NewScanner(nc)
	for lines.Scan() {
		if v, ok := strings.CutPrefix(lines.Text(), "process_id:"); ok {
			if v != strconv.Itoa(r.cmd.Process.Pid) {
				return errors.New("another server answers there")
			}
			return nil
		}
	}
	return errors.Join(errors.New("it answers nonsense"), lines.Err())
}

// stop ends the process and waits for it. Stopping twice does no harm.
func (r *redis) stop() error {
	select {
	case <-r.gone:
		return nil
	default:
	}
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-r.gone:
		return nil
	case <-time.After(5 * time.Second):
		if err := r.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return err
		}
		<-r.gone
		return nil
	}
}
