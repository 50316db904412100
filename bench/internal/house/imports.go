package house

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"strings"
)

// Package is what `go list -json` says about one package; tests' imports are left
// out on purpose, since nobody who imports the package inherits them.
type Package struct {
	ImportPath string
	Imports    []string
}

// rule says what a package may import beside the standard library: inside are
// folders of this module ("x/..." is x and everything below it), outside are
// modules or packages of others (everything below them included).
type rule struct {
	folder          string
	inside, outside []string
}

const (
	xxhash   = "github.com/cespare/xxhash/v2"
	lru      = "github.com/hashicorp/golang-lru/v2"
	gomemc   = "github.com/bradfitz/gomemcache"
	xsync    = "golang.org/x/sync"
	xrate    = "golang.org/x/time/rate"
	compress = "github.com/klauspost/compress"
	fsnotify = "github.com/fsnotify/fsnotify"
	hdr      = "github.com/HdrHistogram/hdrhistogram-go"
	kong     = "github.com/alecthomas/kong"
	progress = "github.com/schollz/progressbar/v3"
	sqlite   = "modernc.org/sqlite"
	grafana  = "github.com/grafana/gomemcache"
	rueidis  = "github.com/redis/rueidis"
	pgx      = "github.com/jackc/pgx/v5"
	testify  = "github.com/stretchr/testify"
	chromedp = "github.com/chromedp/chromedp"
)

// rules is the table of the design, one row a room. The row with the longest
// matching folder counts.
var rules = []rule{
	{"ring", nil, []string{xxhash}},
	{"hotkey/...", []string{"hotkey/..."}, []string{xxhash, lru}},
	{"client", []string{"ring", "hotkey", "client/item", "client/memproto", "client/internal/..."}, nil},
	{"client/item", nil, nil},
	{"client/memproto", nil, nil},
	{"client/internal/...", []string{"client/item", "client/memproto", "client/internal/..."}, nil},
	{"client/discovery", []string{"client", "client/item", "ring"}, []string{fsnotify}},
	{"client/journal", []string{"client"}, []string{"go.etcd.io/bbolt"}},
	{"client/gomc", []string{"client", "client/item", "ring", "hotkey"}, []string{gomemc}},
	{"client/observe/...", []string{"client", "client/item", "hotkey", "ring", "client/observe/..."}, []string{"github.com/prometheus/client_golang", "go.opentelemetry.io/otel"}},
	{"loader", []string{"client/item", "loader/internal/..."}, []string{xsync, xrate}},
	{"loader/internal/...", []string{"client/item", "loader/internal/..."}, []string{xsync, xrate}},
	{"loader/journal", []string{"loader"}, []string{"github.com/gofrs/flock"}},
	{"loader/internal/packed", []string{"loader"}, nil},
	{"loader/internal/packed/packedtest", []string{"loader", "loader/internal/fakecache"}, []string{testify, "pgregory.net/rapid"}},
	{"loader/zstd", []string{"loader", "loader/internal/packed"}, []string{compress}},
	{"loader/snappy", []string{"loader", "loader/internal/packed"}, []string{compress}},
	{"loader/examples/...", []string{"ring", "hotkey", "client", "loader", "loader/journal", "loader/examples/internal/..."}, []string{sqlite, pgx}},
	{"loader/examples/internal/pgserver", nil, []string{pgx}},
	{"loader/examples/internal/table", []string{"loader"}, []string{sqlite, pgx}},
	{"loader/examples/internal/web", []string{"loader", "client/item"}, nil},
	{"loader/examples/internal/webtest", nil, []string{testify}},
	{"nodeserver", []string{"client/memproto", "nodeserver/..."}, nil},
	{"nodeserver/...", []string{"client/memproto", "nodeserver/..."}, nil},
	{"bench", []string{"ring", "hotkey", "client/...", "loader/...", "nodeserver/...", "bench/internal/..."}, []string{kong, progress}},
	{"bench/internal/house", nil, nil},
	{"bench/internal/testsum", nil, nil},
	{"bench/internal/workload", nil, nil},
	{"bench/internal/value", nil, []string{xxhash}},
	{"bench/internal/trace", nil, []string{compress}},
	{"bench/internal/origin", []string{"bench/internal/value"}, []string{sqlite}},
	{"bench/internal/tracegen", []string{"bench/internal/trace", "bench/internal/workload"}, []string{compress}},
	{"bench/internal/measure", nil, []string{hdr}},
	{"bench/internal/rival", nil, []string{gomemc}},
	{"bench/rivals", []string{"bench/internal/...", "nodeserver/..."}, []string{grafana, rueidis}},
	{"bench/rivals/ring", []string{"ring"}, []string{xxhash, "github.com/dgryski/go-jump", "github.com/golang/groupcache/consistenthash", "github.com/serialx/hashring", "stathat.com/c/consistent"}},
	{"bench/rivals/near", []string{"hotkey", "bench/internal/..."}, []string{xxhash, lru, "github.com/maypok86/otter/v2"}},
	{"bench/rivals/loaders", []string{"ring", "hotkey", "client", "loader", "bench/internal/...", "nodeserver/..."}, []string{gomemc, xsync, "github.com/golang/groupcache/singleflight", "github.com/viccon/sturdyc"}},
	{"bench/e2e", nil, nil}, // its tests alone import something
	{"bench/internal/...", []string{"ring", "hotkey", "client/...", "loader/...", "nodeserver/...", "bench/internal/..."}, []string{hdr, progress, xsync, xrate}},
}

// Observers are the libraries that nobody should inherit who imports client and loader.
var Observers = []string{"github.com/prometheus/client_golang", "go.opentelemetry.io/otel", gomemc}

// CoreDeps is all that importing client may pull in beside the standard library.
var CoreDeps = rule{"client", []string{"ring", "hotkey/...", "client", "client/item", "client/memproto", "client/internal/..."}, []string{xxhash, lru}}

func covers(pattern, folder string) bool {
	if base, ok := strings.CutSuffix(pattern, "/..."); ok {
		return folder == base || strings.HasPrefix(folder, base+"/")
	}
	return folder == pattern
}

func ruleFor(folder string) *rule {
	var best *rule
	for i := range rules {
		if covers(rules[i].folder, folder) && (best == nil || len(rules[i].folder) > len(best.folder) || rules[i].folder == folder) {
			best = &rules[i]
			if best.folder == folder {
				return best
			}
		}
	}
	return best
}

func (r *rule) allows(path string) bool {
	if folder, ok := inModule(path); ok {
		for _, p := range r.inside {
			if covers(p, folder) {
				return true
			}
		}
		return false
	}
	for _, p := range r.outside {
		if path == p || strings.HasPrefix(path, p+"/") {
			return true
		}
	}
	return false
}

func inModule(path string) (folder string, ok bool) {
	if path == Module {
		return ".", true
	}
	return strings.CutPrefix(path, Module+"/")
}

// standard says whether path is of the standard library: the first element of any
// other import path is a host name and has a dot.
func standard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".")
}

// Imports returns a line for every package without a rule and every import that
// its rule does not allow.
func Imports(pkgs []Package) []string {
	var bad []string
	for _, p := range pkgs {
		folder, ok := inModule(p.ImportPath)
		if !ok {
			bad = append(bad, p.ImportPath+" is not of this module")
			continue
		}
		r := ruleFor(folder)
		if r == nil {
			bad = append(bad, folder+" has no row in the table of imports")
			continue
		}
		for _, imp := range p.Imports {
			if !standard(imp) && !r.allows(imp) {
				bad = append(bad, fmt.Sprintf("%s may not import %s", folder, imp))
			}
		}
	}
	return bad
}

// Closure returns a line for every dependency, direct or not, that importing the
// rule's package must not pull in.
func Closure(r rule, deps []string) []string {
	var bad []string
	for _, d := range deps {
		if !standard(d) && !r.allows(d) {
			bad = append(bad, fmt.Sprintf("importing %s pulls in %s", r.folder, d))
		}
	}
	return bad
}

// List asks the go command about the packages matching the patterns.
func List(root string, patterns ...string) ([]Package, error) {
	out, err := goList(root, append([]string{"-json=ImportPath,Imports"}, patterns...))
	if err != nil {
		return nil, err
	}
	var pkgs []Package
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p Package
		if err := dec.Decode(&p); err == io.EOF {
			return pkgs, nil
		} else if err != nil {
			return nil, err
		}
		pkgs = append(pkgs, p)
	}
}

// Deps asks the go command for everything a package depends on.
func Deps(root, pattern string) ([]string, error) {
	out, err := goList(root, []string{"-deps", pattern})
	return strings.Fields(string(out)), err
}

func goList(root string, args []string) ([]byte, error) {
	cmd := exec.Command("go", append([]string{"list"}, args...)...)
	cmd.Dir = root
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w: %s", err, stderr.String())
	}
	return out, nil
}
