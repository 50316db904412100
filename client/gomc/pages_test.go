package gomc

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestPagesAreTheExamples: each line of Go on a page stands, in the same order, in the examples that are
// compiled and run. Spaces don't count.
func TestPagesAreTheExamples(t *testing.T) {
	example, err := os.ReadFile("example_move_test.go")
	require.NoError(t, err)
	squeeze := func(line string) string { return strings.Join(strings.Fields(line), " ") }
	for _, page := range []string{"MIGRATING.md", "from-mcrouter.md", "from-ketama.md"} {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		blocks := strings.Split(string(text), "```go\n")[1:]
		require.NotEmpty(t, blocks, page)
		for _, block := range blocks {
			code, _, _ := strings.Cut(block, "```")
			rest := strings.Split(string(example), "\n")
			for line := range strings.SplitSeq(code, "\n") {
				// An example prints an error where a program returns it.
				if line = squeeze(line); line == "" || line == "return err" {
					continue
				}
				at := -1
				for i, have := range rest {
					if squeeze(have) == line {
						at = i
						break
					}
				}
				require.GreaterOrEqual(t, at, 0, "%s says %q", page, line)
				rest = rest[at+1:]
			}
		}
	}
}
