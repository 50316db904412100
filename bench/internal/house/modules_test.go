//go:build !race

package house

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestModules(t *testing.T) {
	bad, err := Modules(root(t), Nested)
	require.NoError(t, err)
	assert.Empty(t, bad)
}

func TestNestedModulesImportOnlyAlongTheArrows(t *testing.T) {
	for _, folder := range Nested {
		pkgs, err := List(filepath.Join(root(t), folder), "./...")
		require.NoError(t, err)
		require.NotEmpty(t, pkgs)
		assert.Empty(t, Imports(pkgs))
	}
}

// TestMakeGoesIntoNestedModules: a module that the usual commands pass by rots.
func TestMakeGoesIntoNestedModules(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root(t), "Makefile"))
	require.NoError(t, err)
	var have string
	for line := range strings.Lines(string(text)) {
		if v, ok := strings.CutPrefix(line, "NESTED "); ok {
			have = strings.TrimSpace(strings.TrimLeft(v, " :?="))
		}
	}
	assert.Equal(t, strings.Join(Nested, " "), have)
}

func TestModulesFindsPlantedViolations(t *testing.T) {
	const (
		good   = "module example.com/top\n\ngo 1.26\n"
		nested = "module example.com/top/in\n\ngo 1.26\n\nreplace example.com/top => ..\n"
	)
	for name, c := range map[string]struct {
		top, in string
		nested  []string
		want    string
	}{
		"good":         {good, nested, []string{"in"}, ""},
		"rival inside": {good + "\nrequire github.com/redis/rueidis v1.0.79 // indirect\n", nested, []string{"in"}, "go.mod requires github.com/redis/rueidis"},
		"wrong name":   {good, strings.Replace(nested, "top/in", "x", 1), []string{"in"}, "in is module example.com/x"},
		"not replaced": {good, strings.Replace(nested, "..", "../other", 1), []string{"in"}, "in does not replace"},
		"not planned":  {good, nested, nil, "in/go.mod makes a module"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := plant(t, "go.mod", c.top)
			require.NoError(t, os.Mkdir(filepath.Join(dir, "in"), 0o755))
			require.NoError(t, os.WriteFile(filepath.Join(dir, "in", "go.mod"), []byte(c.in), 0o644))
			bad, err := Modules(dir, c.nested)
			require.NoError(t, err)
			if c.want == "" {
				assert.Empty(t, bad)
				return
			}
			require.Len(t, bad, 1)
			assert.Contains(t, bad[0], c.want)
		})
	}
}
