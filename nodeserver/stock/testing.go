package stock

import (
	"errors"
	"os"
)

// TB is what this package needs of testing.TB.
type TB interface {
	Helper()
	Skipf(format string, args ...any)
	Fatalf(format string, args ...any)
	Cleanup(func())
}

// Need skips the test when there is no memcached; where CI is "true" that is a
// failure, because there nothing may go untested. The message starts with "memcached
// not installed".
func Need(tb TB) {
	tb.Helper()
	_, err := Find()
	if errors.Is(err, ErrNotInstalled) {
		if os.Getenv("CI") == "true" {
			tb.Fatalf("%v", err)
		}
		tb.Skipf("%v", err)
	}
}

// ForTest runs a memcached with these further arguments until the test ends. See Need
// for what happens when there is none.
func ForTest(tb TB, args ...string) *Server {
	tb.Helper()
	Need(tb)
	s, err := Start(Config{Args: args})
	if err != nil {
		tb.Fatalf("%v", err)
	}
	tb.Cleanup(func() { s.Kill() })
	return s
}
