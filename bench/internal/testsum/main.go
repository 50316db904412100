// Command testsum runs `go test -json` with the arguments it is given and prints
// one line per package, the whole output of whatever failed, and at the end why
// tests were skipped and how many passed, failed and were skipped. Its exit status
// is that of the tests. With -also DIR before the arguments, any number of times, it
// does the same in nested modules and sums up all of them.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(args []string, stdout, stderr io.Writer) int {
	dirs := []string{""}
	for len(args) > 1 && args[0] == "-also" {
		dirs, args = append(dirs, args[1]), args[2:]
	}
	s, code := newSummary(stdout), 0
	for _, dir := range dirs {
		if c := test(s, dir, args, stderr); code == 0 {
			code = c
		}
	}
	s.print(code != 0)
	if code == 0 && s.failed > 0 {
		return 1
	}
	return code
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
