package contest

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/bench/internal/versus"
)

// TestPage: every player has a bar in every case it played, also where some play less.
func TestPage(t *testing.T) {
	row := func(name string, g, size int, ops float64) Row {
		return Row{Score: versus.Score{Name: name, Goroutines: g, OpsPerS: ops, P99: 10}, Size: size}
	}
	page := Page("clients", []string{"5 rounds"}, []Result{
		{Title: "gets", Rows: []Row{row(Base, 1, 100, 1000), row(Ours, 1, 100, 2000), row(Base, 8, 100, 5000), row(Ours, 8, 100, 10000), row("<rival>", 8, 100, 1)}},
		{Title: "sizes", Rows: []Row{row(Base, 64, 10, 1), row(Base, 64, 1000, 2)}},
	}, time.Unix(0, 0))
	b, err := page.HTML()
	require.NoError(t, err)
	text := string(b)
	assert.Equal(t, 8, strings.Count(text, "<svg "))
	for _, want := range []string{"8, memherd: 10k", "8, &lt;rival&gt;: 1", "1, &lt;rival&gt;: 0", "1000 B, gomemcache: 2", "5 rounds", "by size of the values", "Operations a second, times gomemcache", "gets. Median of the rounds.", "median, least and most"} {
		assert.Contains(t, text, want)
	}
	assert.NotContains(t, text, "<rival>")
	_, err = Page("nobody", nil, []Result{{Title: "empty"}}, time.Now()).HTML()
	require.NoError(t, err)
}
