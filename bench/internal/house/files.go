package house

import (
	"bytes"
	"fmt"
	"go/format"
	"path"
	"path/filepath"
	"sort"
	"strings"
)

// MaxLines is the longest a Go file may be.
const MaxLines = 400

// unfinished are the words that mark work left for later. They are spelled in two
// halves so that this file does not trip over itself.
var unfinished = []string{"TO" + "DO", "FIX" + "ME"}

// GoFiles returns a line for every Go file that is too long, not formatted as gofmt
// would, or says that it is unfinished.
func GoFiles(root string) ([]string, error) {
	var bad []string
	err := walk(root, func(rel string, text []byte) error {
		if !strings.HasSuffix(rel, ".go") {
			return nil
		}
		if n := bytes.Count(text, []byte("\n")); n > MaxLines {
			bad = append(bad, fmt.Sprintf("%s has %d lines, more than %d: split it by idea", rel, n, MaxLines))
		}
		if good, err := format.Source(text); err != nil {
			bad = append(bad, fmt.Sprintf("%s does not parse: %v", rel, err))
		} else if !bytes.Equal(good, text) {
			bad = append(bad, fmt.Sprintf("%s is not formatted: run gofmt -w", rel))
		}
		for _, w := range unfinished {
			if bytes.Contains(text, []byte(w)) {
				bad = append(bad, fmt.Sprintf("%s contains %s: finish it or write down the decision", rel, w))
			}
		}
		return nil
	})
	return bad, err
}

// MachinePaths returns a line for every text file that mentions a folder of the
// machine it was written on: the checkout itself, the folder around it, or
// someone's home.
func MachinePaths(root string) ([]string, error) {
	abs, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	words := []string{"/" + "home/", "/" + "root/", "/" + "Users/"}
	for _, dir := range []string{abs, filepath.Dir(abs)} {
		// A checkout right below the file system's root has no name worth looking for.
		if dir = filepath.ToSlash(dir); strings.Count(dir, "/") > 1 || len(dir) > 4 {
			words = append(words, dir+"/")
		}
	}
	var bad []string
	err = walk(root, func(rel string, text []byte) error {
		if bytes.IndexByte(text, 0) >= 0 {
			return nil // not a text
		}
		for _, w := range words {
			if mentions(text, w) {
				bad = append(bad, fmt.Sprintf("%s mentions a folder of one machine (%s)", rel, w))
			}
		}
		return nil
	})
	return bad, err
}

// mentions says whether text holds dir as the beginning of a path: "see /a/b" holds
// "/a/", "x/a/b" does not.
func mentions(text []byte, dir string) bool {
	for i := 0; ; {
		at := bytes.Index(text[i:], []byte(dir))
		if at < 0 {
			return false
		}
		i += at
		if i == 0 || !inPath(text[i-1]) {
			return true
		}
		i++
	}
}

func inPath(b byte) bool {
	return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || strings.IndexByte("_-.~/", b) >= 0
}

// LeakChecks returns a line for every folder that has tests but no TestMain that
// runs goleak.
func LeakChecks(root string) ([]string, error) {
	checked := map[string]bool{}
	err := walk(root, func(rel string, text []byte) error {
		if strings.HasSuffix(rel, "_test.go") && !strings.Contains(rel, "testdata/") {
			dir := path.Dir(rel)
			checked[dir] = checked[dir] || bytes.Contains(text, []byte("func TestMain(")) && bytes.Contains(text, []byte("goleak."))
		}
		return nil
	})
	var bad []string
	for dir, ok := range checked {
		if !ok {
			bad = append(bad, fmt.Sprintf("%s has tests but no TestMain with goleak.VerifyTestMain", dir))
		}
	}
	sort.Strings(bad)
	return bad, err
}
