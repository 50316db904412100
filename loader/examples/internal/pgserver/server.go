package pgserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// startTimeout is how long a server has to answer, recovery after a crash included.
const startTimeout = time.Minute

// Server is a PostgreSQL. Its methods may be called from any goroutine, but Launch, Stop and
// Crash one after the other.
type Server struct {
	bin, dir string // its programs, and where it lives: the data in dir/data, the socket in dir
	settings []string

	mu   sync.Mutex // guards what follows
	cmd  *exec.Cmd
	gone chan struct{} // closed when the process has been waited for
}

// Start makes an empty database and runs a server on it, with these settings (name=value).
func Start(settings ...string) (*Server, error) {
	s, err := newServer(settings)
	if err != nil {
		return nil, err
	}
	err = s.program("initdb", "-D", s.data(), "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "--no-sync")
	if err == nil {
		err = s.Launch()
	}
	if err != nil {
		return nil, errors.Join(err, s.Remove())
	}
	return s, nil
}

func newServer(settings []string) (*Server, error) {
	bin, err := Find()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "pg") // short: the name of a socket has 107 bytes at most
	if err != nil {
		return nil, fmt.Errorf("pgserver: %w", err)
	}
	s := &Server{bin: bin, dir: dir, settings: settings}
	if uid, gid, ok := unprivileged(); ok {
		if err := os.Chown(dir, uid, gid); err != nil {
			return nil, errors.Join(fmt.Errorf("pgserver: %w", err), os.RemoveAll(dir))
		}
	}
	return s, nil
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// DSN says how to reach the server, as pgx and libpq read it.
func (s *Server) DSN() string {
	return "host=" + s.dir + " user=postgres dbname=postgres sslmode=disable"
}

// command prepares one of PostgreSQL's programs, to be run by a user that it accepts: the
// server refuses to run as root.
func (s *Server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.bin, name), args...)
	cmd.Dir = s.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"} // nothing of the caller's PG… settings
	cmd.SysProcAttr = attributes()
	return cmd
}

// program runs one of PostgreSQL's programs to its end.
func (s *Server) program(name string, args ...string) error {
	cmd := s.command(name, args...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	runtime.LockOSThread() // see Launch
	defer runtime.UnlockOSThread()
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("pgserver: %s: %w; it said: %s", name, err, clip(said.Bytes()))
	}
	return nil
}

// Launch runs the server, again after Stop or Crash, and returns when it answers.
func (s *Server) Launch() error {
	args := []string{"-D", s.data(), "-k", s.dir, "-c", "listen_addresses=", "-c", "unix_socket_permissions=0700",
		"-c", "shared_buffers=16MB", "-c", "fsync=on", "-c", "max_wal_senders=4"}
	for _, v := range s.settings {
		args = append(args, "-c", v)
	}
	cmd := s.command("postgres", args...)
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("pgserver: %w", err)
	}
	cmd.Stdout, cmd.Stderr = log, log
	gone, started := make(chan struct{}), make(chan error)
	go func() {
		// The kernel stops the server when this thread ends, which is to be no sooner than
		// the program does: then nothing is left behind, however that ends.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(gone)
		defer log.Close()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended is in the log
		}
	}()
	if err := <-started; err != nil {
		<-gone
		return fmt.Errorf("pgserver: %w", err)
	}
	s.mu.Lock()
	s.cmd, s.gone = cmd, gone
	s.mu.Unlock()
	if err := s.ready(gone); err != nil {
		said, _ := os.ReadFile(log.Name())
		return errors.Join(fmt.Errorf("pgserver: %w; it said: %s", err, clip(said)), s.Crash())
	}
	return nil
}

// ready returns when the server answers.
func (s *Server) ready(gone <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, s.DSN())
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-gone:
			return errors.New("it ended at once")
		case <-ctx.Done():
			return fmt.Errorf("it does not answer: %w", err)
		}
	}
}

// Stop ends the server in order: it rolls back what is under way. Stopping twice is fine.
func (s *Server) Stop() error { return s.end(syscall.SIGINT) }

// Crash ends it as a failure of the machine would: at its next start it recovers from its log.
func (s *Server) Crash() error { return s.end(syscall.SIGQUIT) }

func (s *Server) end(how os.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return nil
	}
	if err := s.cmd.Process.Signal(how); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("pgserver: %w", err)
	}
	<-s.gone
	s.cmd = nil
	return nil
}

// Remove ends the server and removes all it had.
func (s *Server) Remove() error { return errors.Join(s.Crash(), os.RemoveAll(s.dir)) }

// Standby runs a second server that replays what the first one writes, and serves reads
// meanwhile. It lags as far behind as the caller has it lag: see pg_wal_replay_pause.
func (s *Server) Standby() (*Server, error) {
	r, err := newServer(s.settings)
	if err != nil {
		return nil, err
	}
	err = r.program("pg_basebackup", "-h", s.dir, "-U", "postgres", "-D", r.data(), "-R", "-X", "stream", "-c", "fast", "--no-sync")
	if err == nil {
		err = r.Launch()
	}
	if err != nil {
		return nil, errors.Join(err, r.Remove())
	}
	return r, nil
}
