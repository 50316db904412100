//go:build !race

package house

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// listed are the folders whose files DESIGN.md's map names one by one.
var listed = []string{
	"client", "client/internal/pipe", "client/internal/classic", "client/gomc", "client/discovery", "hotkey", "loader", "loader/journal", "ring",
	"nodeserver", "nodeserver/store", "nodeserver/memnode",
	"bench/internal/scenario", "bench/internal/nodebench", "bench/internal/compare", "bench/internal/proxy", "bench/internal/top",
}

// system is what the name of a file says about where it is compiled.
var system = regexp.MustCompile(`(_(linux|unix|windows|other|race))+$`)

// TestFileMap: the map of DESIGN.md names every file of the folders whose files it lists, and no path that is not there.
func TestFileMap(t *testing.T) {
	root := filepath.Join("..", "..", "..")
	text, err := os.ReadFile(filepath.Join(root, "DESIGN.md"))
	require.NoError(t, err)
	_, table, found := strings.Cut(string(text), "\n## Where things are\n")
	require.True(t, found)
	table, _, found = strings.Cut(table, "\n## ")
	require.True(t, found)

	named := map[string]bool{}
	for _, word := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(table, -1) {
		for part := range strings.SplitSeq(word[1], "/") {
			named[strings.TrimSuffix(part, ".go")] = true
		}
		if first, _, _ := strings.Cut(word[1], "/"); strings.Contains(word[1], "/") && exists(filepath.Join(root, first)) {
			path := filepath.Join(root, word[1])
			assert.True(t, exists(path) || exists(path+".go"), "%s is in the map and not there", word[1])
		}
	}
	for _, folder := range listed {
		files, err := filepath.Glob(filepath.Join(root, folder, "*.go"))
		require.NoError(t, err)
		require.NotEmpty(t, files, folder)
		for _, file := range files {
			name := strings.TrimSuffix(filepath.Base(file), ".go")
			if name == "doc" || strings.HasSuffix(name, "_test") {
				continue
			}
			assert.True(t, named[name] || named[system.ReplaceAllString(name, "")], "%s/%s.go is not in the map", folder, name)
		}
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
