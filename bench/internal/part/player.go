package part

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
)

// Player is a process that plays a part, seen from the stage. Tell and Hear are for one
// goroutine each; Kill may be called at any time.
type Player struct {
	name string
	ctx  context.Context
	cmd  *exec.Cmd
	in   io.WriteCloser
	tell *json.Encoder
	hear *json.Decoder
	log  tail
	wait func() error // of the process, once

	killed atomic.Bool
}

// Start starts a process for the part and tells it cfg. The end of ctx kills it.
func Start(ctx context.Context, name string, cfg any) (*Player, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("cannot find this program to start it again: %w", err)
	}
	p := &Player{name: name, ctx: ctx, cmd: exec.CommandContext(ctx, exe)}
	// The race detector would have each process sleep for a second before it ends.
	p.cmd.Env = append(os.Environ(), env+"="+name, "GORACE=atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	p.cmd.Stderr = &p.log
	out, err := p.cmd.StdoutPipe()
	if err == nil {
		p.in, err = p.cmd.StdinPipe()
	}
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		return nil, fmt.Errorf("cannot start a process for the part %s: %w", name, err)
	}
	p.wait = sync.OnceValue(p.cmd.Wait)
	p.tell, p.hear = json.NewEncoder(p.in), json.NewDecoder(out)
	if err := p.Tell(cfg); err != nil {
		return nil, errors.Join(err, p.Kill())
	}
	return p, nil
}

// Tell says something to the part.
func (p *Player) Tell(v any) error {
	if err := p.tell.Encode(v); err != nil {
		return p.failed(err)
	}
	return nil
}

// Hear waits for what the part says next. io.EOF is in the error if it has ended.
func (p *Player) Hear(v any) error {
	if err := p.hear.Decode(v); err != nil {
		return p.failed(err)
	}
	return nil
}

// Ask tells something and hears the answer.
func (p *Player) Ask(question, answer any) error {
	if err := p.Tell(question); err != nil {
		return err
	}
	return p.Hear(answer)
}

func (p *Player) failed(err error) error {
	if p.ctx.Err() != nil {
		return p.ctx.Err()
	}
	return fmt.Errorf("the part %s: %w; it said: %s", p.name, err, p.log.String())
}

// Pid is the number of the process.
func (p *Player) Pid() int { return p.cmd.Process.Pid }

// Signal kills the process with SIGKILL and does not wait for its end: what it has said so
// far can still be heard.
func (p *Player) Signal() {
	p.killed.Store(true)
	_ = p.cmd.Process.Kill() // it may have ended by itself
}

// Pause stops the process with SIGSTOP, Resume has it go on.
func (p *Player) Pause() error { return p.cmd.Process.Signal(syscall.SIGSTOP) }

// Resume ends Pause.
func (p *Player) Resume() error { return p.cmd.Process.Signal(syscall.SIGCONT) }

// Killed says whether Signal or Kill was called.
func (p *Player) Killed() bool { return p.killed.Load() }

// Kill ends the process with SIGKILL and waits for that.
func (p *Player) Kill() error {
	p.Signal()
	p.in.Close()
	var exit *exec.ExitError
	if err := p.wait(); err != nil && !errors.As(err, &exit) {
		return err
	}
	return nil
}

// Close lets the part end by itself and waits for that.
func (p *Player) Close() error {
	p.in.Close()
	if err := p.wait(); err != nil {
		return p.failed(err)
	}
	return nil
}

// tail keeps the last of what a process has to say to people.
type tail struct {
	mu  sync.Mutex // guards buf
	buf []byte
}

const tailSize = 4 << 10

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, b...)
	t.buf = bytes.Clone(t.buf[max(0, len(t.buf)-tailSize):])
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.buf))
}
