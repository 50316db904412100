package pgserver

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// ErrNotInstalled means that there is no PostgreSQL to run.
var ErrNotInstalled = errors.New("postgresql not installed: apt-get install postgresql")

// Find returns the folder of the server's programs, of the newest version there is, or
// ErrNotInstalled. Debian keeps them out of PATH.
func Find() (string, error) {
	folders, _ := filepath.Glob("/usr/lib/postgresql/*/bin") // the pattern is well-formed
	best, newest := "", 0
	for _, dir := range folders {
		if _, err := os.Stat(filepath.Join(dir, "initdb")); err != nil {
			continue // the client alone
		}
		version, err := strconv.Atoi(filepath.Base(filepath.Dir(dir)))
		if err == nil && version > newest {
			best, newest = dir, version
		}
	}
	if best != "" {
		return best, nil
	}
	p, err := exec.LookPath("initdb")
	if err != nil {
		return "", ErrNotInstalled
	}
	if p, err = filepath.EvalSymlinks(p); err != nil {
		return "", ErrNotInstalled
	}
	return filepath.Dir(p), nil
}

// TB is what this package needs of testing.TB.
type TB interface {
	Helper()
	Skipf(format string, args ...any)
	Fatalf(format string, args ...any)
	Cleanup(func())
}

// Need skips the test when there is no PostgreSQL; where CI is "true" that is a failure,
// because there nothing may go untested. The message starts with "postgresql not installed".
func Need(tb TB) {
	tb.Helper()
	if _, err := Find(); err != nil {
		if os.Getenv("CI") == "true" {
			tb.Fatalf("%v", err)
		}
		tb.Skipf("%v", err)
	}
}

// ForTest runs a server with these settings (name=value) until the test ends. See Need for
// what happens when there is none.
func ForTest(tb TB, settings ...string) *Server {
	tb.Helper()
	Need(tb)
	s, err := Start(settings...)
	if err != nil {
		tb.Fatalf("%v", err)
	}
	tb.Cleanup(func() {
		if err := s.Remove(); err != nil {
			tb.Fatalf("%v", err)
		}
	})
	return s
}

// clip is the end of what a program said.
func clip(out []byte) string {
	const most = 2000
	s := strings.TrimSpace(string(out))
	return s[max(0, len(s)-most):]
}
