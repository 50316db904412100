// Package house holds the rules every file of this module obeys, as functions that
// return what breaks them: which package may import which, what the top level
// holds, how long a file may be, what may not be written into one. Its tests run
// them on the module itself, and on planted violations, so that a rule that finds
// nothing is known to be able to find something.
package house

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Module is the import path everything here belongs to.
const Module = "github.com/memherd/memherd"

// Root walks up from the working directory to the folder of go.mod.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", fmt.Errorf("no go.mod at or above the working directory")
		}
		dir = up
	}
}

// Folders are the folders the top level may hold, Files the files.
var (
	Folders = []string{"ring", "hotkey", "client", "loader", "nodeserver", "bench", "testdata", "bin", "out"}
	Files   = []string{"README.md", "DESIGN.md", "CHANGELOG.md", "LICENSE", "Makefile", "go.mod", "go.sum"}
)

// TopLevel returns a line for every entry of root that belongs to neither list.
// Names that begin with a dot are left alone.
func TopLevel(root string) ([]string, error) {
	entries, err := os.ReadDir(root)
	if err != nil {
		return nil, err
	}
	var bad []string
	for _, e := range entries {
		list := Files
		if e.IsDir() {
			list = Folders
		}
		if !strings.HasPrefix(e.Name(), ".") && !contains(list, e.Name()) {
			bad = append(bad, fmt.Sprintf("%s does not belong on the top level", e.Name()))
		}
	}
	return bad, nil
}

// walk calls f with every regular file below root, by its slash-separated path,
// leaving out dot-folders and what builds leave behind.
func walk(root string, f func(rel string, text []byte) error) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if d.IsDir() {
			// What git ignores, minimised failures of property tests among it.
			if rel == ".git" || rel == "bin" || rel == "out" || strings.HasSuffix(rel, "testdata/rapid") {
				return fs.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return f(rel, text)
	})
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}
