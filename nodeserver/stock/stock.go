package stock

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
	"sync"
	"syscall"
	"time"
)

// ErrNotInstalled means that there is no memcached to run.
var ErrNotInstalled = errors.New("memcached not installed: apt-get install memcached")

// Config says how to run a memcached. The zero value runs the one in PATH with 64 MB
// and 2 threads on a free port.
type Config struct {
	// Path is the binary. Default: memcached in PATH, or /usr/bin/memcached.
	Path string
	// MemoryMB is -m. Default 64.
	MemoryMB int
	// Threads is -t. Default 2.
	Threads int
	// Port is -p. Default 0: a free one.
	Port int
	// Args are more arguments. They must not set -p, -l, -m, -t, -u or -U.
	Args []string
	// StartTimeout is how long the process has to answer. Default 10 s.
	StartTimeout time.Duration
}

// Server is a running memcached. Its methods may be called from any goroutine.
type Server struct {
	cfg  Config
	port int

	// mu guards the fields below.
	mu   sync.Mutex
	cmd  *exec.Cmd
	gone chan struct{} // closed when the process has been waited for
	log  *tail
}

// Find returns the path of the memcached binary, or ErrNotInstalled.
func Find() (string, error) {
	if p, err := exec.LookPath("memcached"); err == nil {
		return p, nil
	}
	const debian = "/usr/bin/memcached" // not in every daemon's PATH
	if _, err := os.Stat(debian); err == nil {
		return debian, nil
	}
	return "", ErrNotInstalled
}

// Start runs a memcached and returns when it answers.
func Start(cfg Config) (*Server, error) {
	if cfg.Path == "" {
		p, err := Find()
		if err != nil {
			return nil, err
		}
		cfg.Path = p
	}
	if cfg.MemoryMB == 0 {
		cfg.MemoryMB = 64
	}
	if cfg.Threads == 0 {
		cfg.Threads = 2
	}
	if cfg.StartTimeout == 0 {
		cfg.StartTimeout = 10 * time.Second
	}
	cfg.Args = append([]string(nil), cfg.Args...)
	if cfg.Port != 0 {
		s := &Server{cfg: cfg, port: cfg.Port}
		if err := s.launch(); err != nil {
			return nil, err
		}
		return s, nil
	}
	// Between finding a free port and memcached's bind somebody else may take it.
	var err error
	for range 5 {
		var port int
		if port, err = freePort(); err != nil {
			return nil, err
		}
		s := &Server{cfg: cfg, port: port}
		if err = s.launch(); err == nil {
			return s, nil
		}
	}
	return nil, err
}

func freePort() (int, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("stock: no free port: %w", err)
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port, nil
}

// Addr is host:port.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// Port is the TCP port.
func (s *Server) Port() int { return s.port }

// Pid is the process's number, 0 when it does not run.
func (s *Server) Pid() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return 0
	}
	return s.cmd.Process.Pid
}

func (s *Server) launch() error {
	args := []string{"-l", "127.0.0.1", "-p", strconv.Itoa(s.port), "-U", "0",
		"-m", strconv.Itoa(s.cfg.MemoryMB), "-t", strconv.Itoa(s.cfg.Threads)}
	if os.Geteuid() == 0 {
		args = append(args, "-u", "nobody") // memcached refuses to run as root
	}
	cmd := exec.Command(s.cfg.Path, append(args, s.cfg.Args...)...)
	log := &tail{}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("stock: %w", err)
	}
	gone := make(chan struct{})
	go func() {
		cmd.Wait()
		close(gone)
	}()
	s.mu.Lock()
	s.cmd, s.gone, s.log = cmd, gone, log
	s.mu.Unlock()
	if err := s.waitReady(gone); err != nil {
		s.Kill()
		return fmt.Errorf("stock: memcached on port %d: %w; it said: %s", s.port, err, log)
	}
	return nil
}

// waitReady returns when the process answers that it is the one.
func (s *Server) waitReady(gone <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.StartTimeout)
	var watch sync.WaitGroup
	defer watch.Wait()
	defer cancel()
	watch.Go(func() {
		select {
		case <-gone: // whoever has the port may never answer
			cancel()
		case <-ctx.Done():
		}
	})
	for {
		err := s.ping(ctx)
		select {
		case <-gone:
			// Also when the ping was answered: then by somebody else on that port.
			return errors.New("it ended at once")
		default:
		}
		if err == nil {
			return nil
		}
		select {
		case <-time.After(2 * time.Millisecond):
		case <-gone:
			return errors.New("it ended at once")
		case <-ctx.Done():
			return fmt.Errorf("it does not answer: %w", err)
		}
	}
}

func (s *Server) ping(ctx context.Context) error {
	nc, err := (&net.Dialer{}).DialContext(ctx, "tcp", s.Addr())
	if err != nil {
		return err
	}
	defer nc.Close()
	stop := context.AfterFunc(ctx, func() { nc.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := nc.Write([]byte("stats\r\n")); err != nil {
		return err
	}
	// While our process finds out that somebody else took its port, that one answers.
	lines, pid := bufio.NewScanner(nc), strconv.Itoa(s.Pid())
	for lines.Scan() {
		line := lines.Text()
		if v, ok := strings.CutPrefix(line, "STAT pid "); ok {
			if v != pid {
				return errors.New("another server answers there")
			}
			return nil
		}
		// With -Y it answers nobody who has not logged in, and says so.
		if strings.HasPrefix(line, "CLIENT_ERROR unauthenticated") {
			return nil
		}
		if !strings.HasPrefix(line, "STAT ") {
			break
		}
	}
	return errors.Join(errors.New("no memcached answers there"), lines.Err())
}

// Version is what the binary says to -V, like "1.6.18".
func Version(path string) (string, error) {
	out, err := exec.Command(path, "-V").Output()
	if err != nil {
		return "", fmt.Errorf("stock: %s -V: %w", path, err)
	}
	f := bytes.Fields(out)
	if len(f) < 2 {
		return "", fmt.Errorf("stock: %s -V said %q", path, out)
	}
	return string(f[1]), nil
}

func (s *Server) signal(sig syscall.Signal, wait bool) error {
	s.mu.Lock()
	cmd, gone := s.cmd, s.gone
	s.mu.Unlock()
	if cmd == nil {
		return nil
	}
	select {
	case <-gone:
		return nil
	default:
	}
	if err := cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stock: %w", err)
	}
	if wait {
		<-gone
	}
	return nil
}

// Stop ends the process as an operator would (SIGTERM) and waits; one that does not go
// within 5 s is killed. Stopping twice does no harm.
func (s *Server) Stop() error {
	s.Resume() // a stopped process does not see SIGTERM
	if err := s.signal(syscall.SIGTERM, false); err != nil {
		return err
	}
	s.mu.Lock()
	gone := s.gone
	s.mu.Unlock()
	select {
	case <-gone:
		return nil
	case <-time.After(5 * time.Second):
		return s.Kill()
	}
}

// Kill ends the process without warning (SIGKILL) and waits: a crash.
func (s *Server) Kill() error { return s.signal(syscall.SIGKILL, true) }

// Restart kills the process if it runs and starts a new, empty one on the same port.
func (s *Server) Restart() error {
	if err := s.Kill(); err != nil {
		return err
	}
	return s.launch()
}

// tail keeps the last bytes a process wrote, for error messages.
type tail struct {
	mu sync.Mutex
	b  []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	const keep = 2048
	t.b = append(t.b, p...)
	if len(t.b) > keep {
		t.b = append(t.b[:0], t.b[len(t.b)-keep:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.b) == 0 {
		return "nothing"
	}
	return strings.TrimSpace(string(t.b))
}
