// Command testsum runs `go test -json` with the arguments it is given and prints
// one line per package, the whole output of whatever failed, and at the end why
// tests were skipped and how many passed, failed and were skipped. Its exit status
// is that of the tests.
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
	cmd := exec.Command("go", append([]string{"test", "-json"}, args...)...)
	cmd.Stderr = stderr
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		fmt.Fprintln(stderr, "testsum:", err)
		return 2
	}
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(stderr, "testsum: cannot start go:", err)
		return 2
	}
	s := newSummary(stdout)
	readErr := s.read(pipe)
	waitErr := cmd.Wait()
	code := exitCode(waitErr)
	if readErr != nil {
		fmt.Fprintln(stderr, "testsum:", readErr)
	}
	s.print(code != 0 || readErr != nil)
	if code == 0 && (readErr != nil || s.failed > 0) {
		return 1
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
