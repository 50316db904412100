//go:build !race

package house

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestEveryPackageHasADocFile(t *testing.T) {
	bad, err := DocFiles(root(t))
	require.NoError(t, err)
	assert.Empty(t, bad)
}

func TestDocFilesFindsPlantedGaps(t *testing.T) {
	const said, bare = "// Package p is one.\npackage p\n", "package p\n"
	for name, c := range map[string]struct {
		files map[string]string
		want  []string
	}{
		"as it should be": {map[string]string{"doc.go": said, "p.go": bare}, nil},
		"elsewhere":       {map[string]string{"p.go": said}, []string{"p/p.go has the package's comment", "p has no doc.go"}},
		"twice":           {map[string]string{"doc.go": said, "p.go": said}, []string{"p/p.go has the package's comment"}},
		"silent":          {map[string]string{"doc.go": bare}, []string{"p has no doc.go"}},
		"a test's own":    {map[string]string{"doc.go": said, "p_test.go": said}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			dir := plant(t, "go.mod", "module example.com/top\n")
			require.NoError(t, os.Mkdir(filepath.Join(dir, "p"), 0o755))
			for file, text := range c.files {
				require.NoError(t, os.WriteFile(filepath.Join(dir, "p", file), []byte(text), 0o644))
			}
			bad, err := DocFiles(dir)
			require.NoError(t, err)
			require.Len(t, bad, len(c.want), "%v", bad)
			for i, w := range c.want {
				assert.Contains(t, bad[i], w)
			}
		})
	}
}
