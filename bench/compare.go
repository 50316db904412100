package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/memherd/memherd/bench/internal/compare"
)

type compareCmd struct {
	compare.Options `embed:""`
	Rivals          bool `default:"true" negatable:"" help:"Let grafana/gomemcache, and rueidis on a redis-server, play, too. They come in a program of their own, bench/rivals, which is built from this checkout (--no-rivals: without)."`
}

func (c *compareCmd) Run(e *env) error {
	if err := c.Check(e.ctx); err != nil {
		return usageError{err}
	}
	if c.Rivals {
		fmt.Fprintln(e.stderr, "bench: building bench/rivals, which has grafana/gomemcache and rueidis")
		program, remove, err := buildRivals(e.ctx)
		defer remove()
		if err == nil {
			return c.handOver(e, program)
		}
		if e.ctx.Err() != nil {
			return e.ctx.Err()
		}
		fmt.Fprintf(e.stderr, "bench: grafana/gomemcache and rueidis do not play: %s\n", oneLine(err))
	}
	return compare.Run(e.ctx, c.Options, compare.Outputs{Stdout: e.stdout, Stderr: e.stderr}, nil)
}

// buildRivals makes the program that has all clients, in a folder which remove removes.
func buildRivals(ctx context.Context) (program string, remove func(), err error) {
	root, err := compare.Root(ctx)
	if err != nil {
		return "", func() {}, err
	}
	dir, err := os.MkdirTemp("", "memherd-rivals-")
	if err != nil {
		return "", func() {}, err
	}
	remove = func() { os.RemoveAll(dir) }
	program = filepath.Join(dir, "rivals")
	build := exec.CommandContext(ctx, "go", "build", "-o", program, ".")
	build.Dir = filepath.Join(root, "bench", "rivals")
	if said, err := build.CombinedOutput(); err != nil {
		lines := strings.Split(strings.TrimSpace(string(said)), "\n")
		return "", remove, fmt.Errorf("%w: %s", err, lines[len(lines)-1])
	}
	return program, remove, nil
}

// handOver has that program do all of it: so all clients work in one process, in turns.
func (c *compareCmd) handOver(e *env, program string) error {
	asked, err := compare.Encode(c.Options)
	if err != nil {
		return err
	}
	play := exec.CommandContext(e.ctx, program, "-compare", asked)
	play.Stdout, play.Stderr = e.stdout, e.stderr
	// It ends in order, its servers with it, and prints what it has.
	play.Cancel = func() error { return play.Process.Signal(os.Interrupt) }
	play.WaitDelay = 20 * time.Second
	err = play.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return errFailed // it has said why
	}
	return err
}
