package scenario

import (
	"bytes"
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/nodeserver/stock"
)

// TestEveryHotScenario plays each for an instant: it can be played, measures what it shows, and what must never be is
// not seen. Figures of time and of large numbers are not looked at.
func TestEveryHotScenario(t *testing.T) {
	stock.Need(t)
	seen := map[string]bool{}
	for _, s := range HotKeys() {
		require.False(t, seen[s.Name], "two of one name")
		seen[s.Name] = true
		t.Run(s.Name, func(t *testing.T) {
			turns := 0
			res, err := Play(t.Context(), s, Quick, func(string) { turns++ })
			require.NoError(t, err)
			assert.Equal(t, s.Turns(Quick), turns)
			measured := 0
			for _, row := range res.Rows {
				if row.Ours != nil {
					measured++
				}
				if row.Safety {
					assert.True(t, row.Verdict.Holds(), "%s: %v: %v", row.Name, row.Ours, res.Notes)
				}
			}
			assert.Positive(t, measured)
			var out bytes.Buffer
			res.Print(&out)
			assert.Contains(t, out.String(), s.Title)
		})
	}
}

func TestHotBrokenOff(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s, err := Find(HotKeys(), []string{"promote"})
	require.NoError(t, err)
	_, err = Play(ctx, s[0], Quick, nil)
	require.ErrorIs(t, err, context.Canceled)
}
