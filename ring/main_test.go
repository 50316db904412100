package ring

import (
	"os"
	"strconv"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// scaled is n times MEMHERD_SCALE, at least 1.
func scaled(n int) int {
	if s, err := strconv.ParseFloat(os.Getenv("MEMHERD_SCALE"), 64); err == nil {
		n = int(float64(n) * s)
	}
	return max(n, 1)
}
