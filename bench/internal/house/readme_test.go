//go:build !race

package house

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestREADMECodeIsTheExample holds README.md's Go code to the example that is compiled
// and run: each of its lines stands there, in the same order.
func TestREADMECodeIsTheExample(t *testing.T) {
	root := filepath.Join("..", "..", "..")
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	require.NoError(t, err)
	example, err := os.ReadFile(filepath.Join(root, "loader", "readme_test.go"))
	require.NoError(t, err)

	_, code, found := strings.Cut(string(readme), "```go\n")
	require.True(t, found, "README.md has no Go code")
	code, _, found = strings.Cut(code, "```")
	require.True(t, found)

	rest, lines := strings.Split(string(example), "\n"), 0
	for _, line := range strings.Split(code, "\n") {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		lines++
		at := -1
		for i, have := range rest {
			if strings.TrimSpace(have) == line {
				at = i
				break
			}
		}
		require.GreaterOrEqual(t, at, 0, "README.md says %q, loader/readme_test.go does not, or not there", line)
		rest = rest[at+1:]
	}
	require.LessOrEqual(t, lines, 25, "a reader's patience")
}
