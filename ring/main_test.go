package ring

import (
	"flag"
	"os"
	"strconv"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// A default only: the command line, parsed later, goes before it.
	if err := flag.Set("rapid.checks", strconv.Itoa(scaled(100))); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

// scaled is n times MEMHERD_SCALE, at least 1.
func scaled(n int) int {
	if s, err := strconv.ParseFloat(os.Getenv("MEMHERD_SCALE"), 64); err == nil {
		n = int(float64(n) * s)
	}
	return max(n, 1)
}
