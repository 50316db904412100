package house

import (
	"fmt"
	"go/parser"
	"go/token"
	"path"
	"strings"
)

// DocFiles returns a line for every public package, and every command among them, whose comment is not in a doc.go of
// its own: whoever looks for it need not search, and no second one can contradict it.
func DocFiles(root string) ([]string, error) {
	has, elsewhere := map[string]bool{}, []string(nil)
	err := walk(root, func(rel string, text []byte) error {
		folder := path.Dir(rel)
		if !strings.HasSuffix(rel, ".go") || strings.HasSuffix(rel, "_test.go") || folder != "bench" && !public(root, folder) {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), rel, text, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		has[folder] = has[folder] || path.Base(rel) == "doc.go" && f.Doc.Text() != ""
		if path.Base(rel) != "doc.go" && f.Doc.Text() != "" {
			elsewhere = append(elsewhere, fmt.Sprintf("%s has the package's comment: it belongs into doc.go", rel))
		}
		return nil
	})
	bad := elsewhere
	for folder, ok := range has {
		if !ok {
			bad = append(bad, fmt.Sprintf("%s has no doc.go with the package's comment", folder))
		}
	}
	return bad, err
}
