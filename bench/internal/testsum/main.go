// Command testsum runs `go test -json` with the arguments it is given and prints
// one line per package, the whole output of whatever failed, and at the end why
// tests were skipped and how many passed, failed and were skipped. Its exit status
// is that of the tests. With -also DIR before the arguments, any number of times, it
// does the same in nested modules, one package after the other beside the main one, and sums
// up all of them. -first PACKAGE names a package of the main module that is to be tested before others,
// because its tests take long.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"sync"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(args []string, stdout, stderr io.Writer) int {
	var nested, first []string
	for ; len(args) > 1; args = args[2:] {
		if args[0] == "-also" {
			nested = append(nested, args[1])
		} else if args[0] == "-first" {
			first = append(first, args[1])
		} else {
			break
		}
	}
	s, errs := newSummary(stdout), &oneByOne{w: stderr}
	var wg sync.WaitGroup
	root, code := 0, 0
	// Packages that are named twice are tested once, where they are named first.
	wg.Go(func() { root = test(s, "", insert(args, first), errs) })
	for _, dir := range nested {
		if c := test(s, dir, slices.Concat([]string{"-p=1"}, args), errs); code == 0 {
			code = c
		}
	}
	wg.Wait()
	if root != 0 {
		code = root
	}
	s.print(code != 0)
	if code == 0 && s.failed > 0 {
		return 1
	}
	return code
}

// insert puts packages before the last argument, which is one.
func insert(args, packages []string) []string {
	last := max(len(args)-1, 0)
	return slices.Concat(args[:last], packages, args[last:])
}

// oneByOne is a writer for several commands at once.
type oneByOne struct {
	mu sync.Mutex // guards w
	w  io.Writer
}

func (o *oneByOne) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.w.Write(p)
}

// test runs the tests of the module in dir into s and returns the exit status.
func test(s *summary, dir string, args []string, stderr io.Writer) int {
	cmd := exec.Command("go", append([]string{"test", "-json"}, args...)...)
	cmd.Dir, cmd.Stderr = dir, stderr
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		fmt.Fprintln(stderr, "testsum:", err)
		return 2
	}
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(stderr, "testsum: cannot start go:", err)
		return 2
	}
	readErr := s.read(pipe)
	code := exitCode(cmd.Wait())
	if readErr != nil {
		fmt.Fprintln(stderr, "testsum:", readErr)
		return max(code, 1)
	}
	return code
}

func exitCode(err error) int {
	if err == nil {
		return 0
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() > 0 {
		return exit.ExitCode()
	}
	return 1
}
