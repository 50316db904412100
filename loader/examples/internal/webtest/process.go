package webtest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// childEnv has a test binary be the program it tests.
const childEnv = "MEMHERD_EXAMPLE_CHILD"

// Child runs main and exits, if this process is one of Start's. TestMain calls it first.
func Child(main func()) {
	if os.Getenv(childEnv) != "" {
		main()
		os.Exit(0)
	}
}

// Process is a service, in a process of its own.
type Process struct {
	url    string
	client *http.Client
	cmd    *exec.Cmd
	read   chan struct{} // closed when all it says has been read

	mu   sync.Mutex // guards said
	said bytes.Buffer
}

// Start runs the service with these flags and a free port, and returns when it listens. It
// ends with the test, if not before.
func Start(t *testing.T, flags ...string) *Process {
	t.Helper()
	p := &Process{client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100}}, read: make(chan struct{})}
	p.cmd = exec.Command(os.Args[0], append(flags, "-listen", "127.0.0.1:0")...)
	p.cmd.Env = append(os.Environ(), childEnv+"=1")
	out, err := p.cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	t.Cleanup(p.client.CloseIdleConnections)
	t.Cleanup(p.Kill)
	listens := make(chan string, 1)
	go p.listen(out, listens)
	select {
	case addr := <-listens:
		p.url = "http://" + addr
	case <-p.read:
		p.mu.Lock()
		defer p.mu.Unlock()
		t.Fatalf("the service ended and said: %s", p.said.String())
	}
	return p
}

func (p *Process) listen(out io.Reader, listens chan<- string) {
	defer close(p.read)
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if addr, ok := strings.CutPrefix(lines.Text(), "listening on "); ok {
			listens <- addr
		}
		p.mu.Lock()
		fmt.Fprintln(&p.said, lines.Text())
		p.mu.Unlock()
	}
}

// Kill ends it at once. Killing twice is fine.
func (p *Process) Kill() { _ = p.end(os.Kill) }

// Stop has it end in order, and fails the test if it does not.
func (p *Process) Stop(t *testing.T) {
	t.Helper()
	if err := p.end(syscall.SIGTERM); err != nil {
		t.Fatalf("the service ended with %v and said: %s", err, p.said.String())
	}
}

func (p *Process) end(how os.Signal) error {
	if p.cmd.ProcessState != nil {
		return nil
	}
	_ = p.cmd.Process.Signal(how) // it may have ended
	<-p.read
	return p.cmd.Wait()
}

// Do makes a request, with body as JSON unless it is nil, and reads the answer's JSON into
// answer unless that is nil. It returns the status.
func (p *Process) Do(method, path string, body, answer any) (status int, err error) {
	var sent io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return 0, err
		}
		sent = bytes.NewReader(b)
	}
	req, err := http.NewRequest(method, p.url+path, sent)
	if err != nil {
		return 0, err
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && answer != nil && resp.StatusCode == http.StatusOK {
		err = json.Unmarshal(b, answer)
	}
	return resp.StatusCode, err
}

// Must is Do, held against a status.
func (p *Process) Must(t *testing.T, want int, method, path string, body, answer any) {
	t.Helper()
	status, err := p.Do(method, path, body, answer)
	require.NoError(t, err)
	require.Equal(t, want, status, "%s %s", method, path)
}

// Length returns how many lines the function in the file has, braces and all.
func Length(t *testing.T, file, function string) int {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(text), "\nfunc "+function+"(")
	require.True(t, found, "%s has no function %s", file, function)
	body, _, found := strings.Cut(rest, "\n}\n")
	require.True(t, found)
	return strings.Count(body, "\n") + 2
}
