package house

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
)

// Nested are the folders that are modules of their own, for what nobody who imports
// this module should inherit. make test, make race and make lint go into each.
var Nested = []string{"bench/rivals", "bench/e2e", "loader/examples"}

// Apart are the modules that only nested ones may require.
var Apart = []string{grafana, rueidis, pgx, chromedp, "github.com/pior/memcache"}

// modFile is what `go mod edit -json` says about a go.mod.
type modFile struct {
	Module  struct{ Path string }
	Require []struct{ Path, Version string }
	Replace []struct {
		Old, New struct{ Path string }
	}
}

func readMod(dir string) (m modFile, err error) {
	cmd := exec.Command("go", "mod", "edit", "-json")
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		return m, fmt.Errorf("go mod edit in %s: %w", dir, err)
	}
	return m, json.Unmarshal(out, &m)
}

// Modules returns a line for every module in Apart that root requires, however
// indirectly, for every go.mod that is not in Nested, and for every nested module that
// would not be built with this checkout.
func Modules(root string, nested []string) ([]string, error) {
	top, err := readMod(root)
	if err != nil {
		return nil, err
	}
	var bad []string
	for _, r := range top.Require {
		if contains(Apart, r.Path) {
			bad = append(bad, fmt.Sprintf("go.mod requires %s: leave it to a nested module", r.Path))
		}
	}
	for _, folder := range nested {
		m, err := readMod(filepath.Join(root, filepath.FromSlash(folder)))
		if err != nil {
			return nil, err
		}
		if want := top.Module.Path + "/" + folder; m.Module.Path != want {
			bad = append(bad, fmt.Sprintf("%s is module %s, not %s", folder, m.Module.Path, want))
		}
		here := false
		for _, r := range m.Replace {
			up := filepath.Join(filepath.FromSlash(folder), filepath.FromSlash(r.New.Path))
			here = here || r.Old.Path == top.Module.Path && up == "."
		}
		if !here {
			bad = append(bad, fmt.Sprintf("%s does not replace %s by this checkout", folder, top.Module.Path))
		}
	}
	err = walk(root, func(rel string, _ []byte) error {
		if dir, file := filepath.Split(filepath.FromSlash(rel)); file == "go.mod" && dir != "" && !contains(nested, filepath.ToSlash(filepath.Clean(dir))) {
			bad = append(bad, fmt.Sprintf("%s makes a module that nobody planned", rel))
		}
		return nil
	})
	return bad, err
}
