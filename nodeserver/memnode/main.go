package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"
)

// Exit codes.
const (
	exitOK    = 0
	exitError = 1
	exitUsage = 2
)

// drainTime is how long connections have to take their last replies.
const drainTime = 10 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is main without the process: it returns the exit code when ctx is done or
// something is wrong.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	opt, err := parseOptions(args)
	if err != nil {
		fmt.Fprintln(stderr, "memnode:", err)
		return exitUsage
	}
	switch {
	case opt.help:
		fmt.Fprint(stdout, usage)
		return exitOK
	case opt.version:
		fmt.Fprintln(stdout, "memcached", opt.profile.Version())
		return exitOK
	}
	ctx, shutdown := context.WithCancel(ctx)
	defer shutdown()
	cfg, err := opt.config(shutdown)
	if err != nil {
		fmt.Fprintln(stderr, "memnode:", err)
		return exitError
	}
	defer opt.processors(cfg.Loops)()
	level := slog.LevelWarn
	if opt.verbose > 0 {
		level = slog.LevelInfo
	}
	cfg.Logger = slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level}))
	srv, addrs, wait, err := opt.serve(cfg)
	if err != nil {
		fmt.Fprintln(stderr, "memnode:", err)
		return exitError
	}
	if err := opt.leaveTraces(); err != nil {
		fmt.Fprintln(stderr, "memnode:", err)
		srv.Close()
		wait()
		return exitError
	}
	if opt.pidFile != "" {
		defer os.Remove(opt.pidFile)
	}
	boundHeap(cfg.MaxBytes)
	defer opt.rereadOnHangup(srv, cfg.Logger)()
	for _, a := range addrs {
		if opt.port == 0 && opt.verbose == 0 && a.Network() == "tcp" {
			fmt.Fprintln(stderr, "memnode: listening on", a) // nobody could know the port that was found
		}
		cfg.Logger.Info("listening", "addr", a.String(), "bytes", cfg.MaxBytes, "conns", cfg.MaxConns)
	}
	<-ctx.Done()
	// The context is fresh: the one that ended is why we are here.
	drain, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	if err := srv.Shutdown(drain); err != nil {
		cfg.Logger.Warn("connections did not drain in time", "err", err)
		srv.Close()
	}
	wait()
	return exitOK
}

// leaveTraces sets the Unix socket's permissions and writes the file of -P.
func (o *options) leaveTraces() error {
	if o.socket != "" {
		if err := os.Chmod(o.socket, o.mask); err != nil {
			return fmt.Errorf("option -a: %w", err)
		}
	}
	if o.pidFile != "" {
		if err := os.WriteFile(o.pidFile, fmt.Appendln(nil, os.Getpid()), 0o644); err != nil {
			return fmt.Errorf("option -P: %w", err)
		}
	}
	return nil
}

// boundHeap has the garbage collector work harder once the process is larger than its
// items may be, a tenth more, and 32 MiB for connections: without a bound it waits until
// there is as much garbage as there are items.
func boundHeap(maxBytes int64) {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(maxBytes + maxBytes/10 + 32<<20)
	}
}
