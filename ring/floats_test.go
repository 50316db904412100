package ring

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestNoFloats: what places keys is integer arithmetic, which no CPU and no compiler rounds
// differently. Ketama's count is an agreement with others who did otherwise, and Shares is
// for people to read.
func TestNoFloats(t *testing.T) {
	allowed := map[string]bool{"ketamaCount": true, "Shares": true}
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	seen := make(map[string]bool)
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		require.NoError(t, err)
		for _, d := range f.Decls {
			where := file
			if fn, ok := d.(*ast.FuncDecl); ok {
				where = fn.Name.Name
			}
			ast.Inspect(d, func(n ast.Node) bool {
				id, isID := n.(*ast.Ident)
				lit, isLit := n.(*ast.BasicLit)
				if isID && strings.HasPrefix(id.Name, "float") || isLit && lit.Kind == token.FLOAT {
					seen[where] = true
				}
				return true
			})
		}
	}
	require.Equal(t, allowed, seen)
}
