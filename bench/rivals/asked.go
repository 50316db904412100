package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/memherd/memherd/bench/internal/compare"
	"github.com/memherd/memherd/bench/internal/contest"
	"github.com/memherd/memherd/bench/internal/fleet"
)

// playAsked is `bench compare` with the clients of this module.
func playAsked(ctx context.Context, o compare.Options, stdout, stderr io.Writer) (err error) {
	var r *redis
	if o.Server != "" && fleet.CheckLocal(ctx, o.Server) != nil {
		fmt.Fprintln(stderr, "bench: rueidis does not play: its Redis would be on this machine, and the server is not")
	} else if r = anyRedis(ctx, "bench", stderr); r != nil {
		defer func() { err = errors.Join(err, r.stop()) }()
	}
	return compare.Run(ctx, o, compare.Outputs{Stdout: stdout, Stderr: stderr}, func(cpu func() (time.Duration, error), addr string) []contest.Player {
		return guests(r, cpu, addr)
	})
}
