package house

import (
	"fmt"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// shown has, by package folder and type, the Example that shows a value of the type without naming it, or, in words,
// why there is none. An Example that is named must be there.
var shown = map[string]string{
	"client/observe/live.Events": "ExampleData",
	"client/observe/live.Hot":    "ExampleData",
	"client/observe/live.Near":   "ExampleData",
	"client/observe/live.Node":   "ExampleData",
	"client/observe/live.Reads":  "ExampleData",
	"client/observe/live.Writes": "ExampleData",
	"nodeserver/stock.Config":    "its ExampleStart runs memcached, which need not be installed, and so is compiled only",
	"nodeserver/stock.Server":    "as stock.Config",
	"nodeserver/stock.TB":        "every *testing.T is one; an Example has none",
}

// Examples returns a line for every exported type of a public package that no runnable Example
// is named for, or uses by its name, and that shown does not list; and for what shown lists
// and is not so.
func Examples(root string, shown map[string]string) ([]string, error) {
	files := map[string][]*ast.File{} // of a package's folder
	err := walk(root, func(rel string, text []byte) error {
		folder := path.Dir(rel)
		if !strings.HasSuffix(rel, ".go") || !public(root, folder) {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), rel, text, parser.ParseComments|parser.SkipObjectResolution)
		if err == nil && f.Name.Name != "main" {
			files[folder] = append(files[folder], f)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	var bad []string
	used := map[string]bool{}
	for _, folder := range slices.Sorted(maps.Keys(files)) {
		types, named := exported(files[folder]), examples(files[folder])
		for _, name := range types {
			id := folder + "." + name
			reason, listed := shown[id]
			used[id] = listed
			switch {
			case named[name] && listed:
				bad = append(bad, fmt.Sprintf("%s has an Example: it need not be listed", id))
			case named[name]:
			case !listed:
				bad = append(bad, fmt.Sprintf("%s has no runnable Example", id))
			case strings.HasPrefix(reason, "Example") && !named[reason]:
				bad = append(bad, fmt.Sprintf("%s is said to be shown by %s, which is not there", id, reason))
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(shown)) {
		if !used[id] {
			bad = append(bad, fmt.Sprintf("%s is listed and is no exported type", id))
		}
	}
	return bad, nil
}

// public says whether a folder may hold a package that others import.
func public(root, folder string) bool {
	if contains(Nested, folder) || strings.HasPrefix(folder, "bench") || strings.HasPrefix(folder, "testdata") {
		return false
	}
	for _, n := range Nested {
		if strings.HasPrefix(folder, n+"/") {
			return false
		}
	}
	_, err := os.Stat(filepath.Join(root, filepath.FromSlash(folder)))
	return err == nil && !slices.Contains(strings.Split(folder, "/"), "internal")
}

// exported are the exported types that a package declares itself: an alias is another package's.
func exported(files []*ast.File) (names []string) {
	for _, f := range files {
		if strings.HasSuffix(f.Name.Name, "_test") {
			continue
		}
		for _, d := range f.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, s := range g.Specs {
				if t, ok := s.(*ast.TypeSpec); ok && t.Name.IsExported() && !t.Assign.IsValid() {
					names = append(names, t.Name.Name)
				}
			}
		}
	}
	slices.Sort(names)
	return names
}

// examples are the names of a package's runnable Examples, and of the types that they show: those they are
// named for, those they name, and those of what they use by its name: results of functions and methods,
// constants, fields they fill in.
func examples(files []*ast.File) map[string]bool {
	shows, names := typesOf(files), map[string]bool{}
	use := func(name string) {
		names[name] = true
		for _, t := range shows[name] {
			names[t] = true
		}
	}
	for _, e := range doc.Examples(files...) {
		if e.Output == "" && !e.EmptyOutput {
			continue
		}
		name, _, _ := strings.Cut(e.Name, "_")
		names["Example"+e.Name] = true
		use(name)
		ast.Inspect(e.Code, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.SelectorExpr:
				use(n.Sel.Name)
			case *ast.CompositeLit:
				name := last(n.Type)
				for _, field := range n.Elts {
					if kv, ok := field.(*ast.KeyValueExpr); ok {
						use(name + "{" + last(kv.Key))
					}
				}
			}
			return true
		})
	}
	return names
}

// typesOf maps what a package declares to the types that whoever uses it has a value of: a function's and a method's
// name, a constant's, and "Struct{Field".
func typesOf(files []*ast.File) map[string][]string {
	shows := map[string][]string{}
	add := func(name string, typ ast.Node) {
		ast.Inspect(typ, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok && id.IsExported() {
				shows[name] = append(shows[name], id.Name)
			}
			return true
		})
	}
	for _, f := range files {
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Type.Results != nil {
					add(d.Name.Name, d.Type.Results)
				}
			case *ast.GenDecl:
				var typ ast.Expr // of the constants above, which those below share
				for _, s := range d.Specs {
					switch s := s.(type) {
					case *ast.ValueSpec:
						if s.Type != nil || len(s.Values) > 0 {
							typ = s.Type
						}
						for _, id := range s.Names {
							if typ != nil {
								add(id.Name, typ)
							}
						}
					case *ast.TypeSpec:
						st, ok := s.Type.(*ast.StructType)
						if !ok {
							continue
						}
						for _, field := range st.Fields.List {
							for _, id := range field.Names {
								add(s.Name.Name+"{"+id.Name, field.Type)
							}
						}
					}
				}
			}
		}
	}
	return shows
}

// last is the last name of a, pkg.a, pkg.a[T]; empty for anything else.
func last(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	case *ast.IndexExpr:
		return last(e.X)
	}
	return ""
}
