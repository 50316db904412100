// Package part plays parts of a scenario in processes of their own: this same binary,
// started again. What they tell each other are JSON values on the child's stdin and stdout.
package part

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// env names the part that a process was started for.
const env = "MEMHERD_BENCH_PART"

// orphaned is how long a part may go on when whoever started it has gone.
const orphaned = 10 * time.Second

// Parts are what a process can be started as, by name.
type Parts map[string]func(s *Script) error

// Main plays the part that this process was started for, and ends the process. It returns
// at once in a process that was not: so it is the first thing a main, or a TestMain, calls.
func Main(parts Parts) {
	name := os.Getenv(env)
	if name == "" {
		return
	}
	play, ok := parts[name]
	if !ok {
		fmt.Fprintf(os.Stderr, "there is no part %q\n", name)
		os.Exit(2)
	}
	s := newScript(os.Stdin, os.Stdout)
	go func() {
		<-s.gone
		// Whoever killed the starter did not mean to leave this process behind.
		time.Sleep(orphaned)
		os.Exit(3)
	}()
	if err := play(s); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Script is the part's end of the talk. Read is for one goroutine, Say for any.
type Script struct {
	lines chan json.RawMessage
	gone  chan struct{} // closed when there is nobody at the other end
	out   *json.Encoder
	say   chan struct{} // holds the right to write
}

func newScript(in io.Reader, out io.Writer) *Script {
	s := &Script{lines: make(chan json.RawMessage), gone: make(chan struct{}), out: json.NewEncoder(out), say: make(chan struct{}, 1)}
	go s.listen(json.NewDecoder(in))
	return s
}

func (s *Script) listen(in *json.Decoder) {
	defer close(s.lines)
	defer close(s.gone)
	for {
		var line json.RawMessage
		if in.Decode(&line) != nil {
			return
		}
		s.lines <- line
	}
}

// Read waits for what the stage says next; io.EOF if that is nothing more.
func (s *Script) Read(v any) error {
	line, ok := <-s.lines
	if !ok {
		return io.EOF
	}
	if err := json.Unmarshal(line, v); err != nil {
		return fmt.Errorf("the part does not understand %s: %w", line, err)
	}
	return nil
}

// Gone is closed when the stage wants the part to end, or has ended itself.
func (s *Script) Gone() <-chan struct{} { return s.gone }

// Say tells the stage something.
func (s *Script) Say(v any) error {
	s.say <- struct{}{}
	defer func() { <-s.say }()
	if err := s.out.Encode(v); err != nil {
		return fmt.Errorf("the part is not heard: %w", err)
	}
	return nil
}

// Serve reads commands and hands each to do until there are no more. What do returns is said.
func Serve[C, A any](s *Script, do func(C) (A, error)) error {
	for {
		var c C
		switch err := s.Read(&c); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		a, err := do(c)
		if err != nil {
			return err
		}
		if err := s.Say(a); err != nil {
			return err
		}
	}
}
