package web

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// drain is how long requests under way have when the service is told to end.
const drain = 10 * time.Second

// App is what a service is given.
type App struct {
	DB    string   // -db: where the database is
	Nodes []string // -nodes: memcached's addresses

	closers []func() error
}

// OnExit has close called when the service ends, the last one given first.
func (a *App) OnExit(close func() error) { a.closers = append(a.closers, close) }

func (a *App) exit() (err error) {
	for i := len(a.closers) - 1; i >= 0; i-- {
		err = errors.Join(err, a.closers[i]())
	}
	return err
}

// Service opens what it needs and returns what answers requests. What it has opened when it fails
// is closed, too.
type Service func(ctx context.Context, app *App) (http.Handler, error)

// Main runs a service until the process is told to end. db is the default of -db.
func Main(db string, s Service) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := Run(ctx, os.Args[1:], os.Stderr, db, s)
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(0)
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// Run is Main with all that it takes from the process: it serves until ctx ends, and says on out
// where.
func Run(ctx context.Context, args []string, out io.Writer, db string, s Service) (err error) {
	app := &App{}
	flags := flag.NewFlagSet("service", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.StringVar(&app.DB, "db", db, "the database")
	nodes := flags.String("nodes", "127.0.0.1:11211", "memcached servers, separated by commas")
	listen := flags.String("listen", "127.0.0.1:8080", "where to serve HTTP")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%q is no flag: everything is said by flags, see -help", flags.Arg(0))
	}
	app.Nodes = strings.Split(*nodes, ",")
	ln, err := net.Listen("tcp", *listen)
	if err != nil {
		return fmt.Errorf("-listen: %w", err)
	}
	defer func() { err = errors.Join(err, app.exit()) }()
	handler, err := s(ctx, app)
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	fmt.Fprintf(out, "listening on %s\n", ln.Addr())
	return serve(ctx, ln, handler)
}

// serve answers requests until ctx ends, and those that it has by then.
func serve(ctx context.Context, ln net.Listener, handler http.Handler) error {
	srv := &http.Server{Handler: handler, ReadHeaderTimeout: drain}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	err := srv.Shutdown(last)
	if served := <-served; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}
