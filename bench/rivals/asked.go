package main

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/memherd/memherd/bench/internal/compare"
	"github.com/memherd/memherd/bench/internal/contest"
)

// playAsked is `bench compare` with the clients of this module.
func playAsked(ctx context.Context, o compare.Options, stdout, stderr io.Writer) (err error) {
	r := anyRedis(ctx, "bench", stderr)
	if r != nil {
		defer func() { err = errors.Join(err, r.stop()) }()
	}
	return compare.Run(ctx, o, compare.Outputs{Stdout: stdout, Stderr: stderr}, func(cpu func() (time.Duration, error), addr string) []contest.Player {
		return guests(r, cpu, addr)
	})
}
