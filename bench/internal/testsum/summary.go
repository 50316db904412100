package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// event is one line of `go test -json` (go doc test2json).
type event struct {
	Action      string
	Package     string
	ImportPath  string // of build events
	Test        string
	Elapsed     float64
	Output      string
	FailedBuild string
}

type testKey struct{ pkg, test string }

// summary folds the events of one run. A test with subtests counts by its subtests
// alone, unless it failed while none of them did.
type summary struct {
	mu      sync.Mutex // guards all that follows: commands run at the same time
	out     io.Writer
	output  map[testKey][]string // what each running test printed; test "" is the package
	build   map[string][]string  // compiler output by import path
	parents map[testKey]bool     // tests that have subtests
	blamed  map[testKey]bool     // parents of a test that was counted as failed
	whySkip map[string]int

	passed, failed, skipped int
}

func newSummary(out io.Writer) *summary {
	return &summary{out: out, output: map[testKey][]string{}, build: map[string][]string{},
		parents: map[testKey]bool{}, blamed: map[testKey]bool{}, whySkip: map[string]int{}}
}

func (s *summary) read(r io.Reader) error {
	br := bufio.NewReader(r)
	for {
		line, err := br.ReadString('\n')
		if strings.TrimSpace(line) != "" {
			s.line(line)
		}
		if err != nil {
			if err == io.EOF {
				return nil
			}
			return err
		}
	}
}

func (s *summary) line(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var e event
	if json.Unmarshal([]byte(line), &e) != nil {
		// Not an event: go itself had something to say (a bad flag, a broken go.mod).
		fmt.Fprint(s.out, line)
		return
	}
	s.add(e)
}

func (s *summary) add(e event) {
	k := testKey{e.Package, e.Test}
	switch e.Action {
	case "build-output":
		s.build[e.ImportPath] = append(s.build[e.ImportPath], e.Output)
	case "run":
		if i := strings.LastIndexByte(e.Test, '/'); i > 0 {
			s.parents[testKey{e.Package, e.Test[:i]}] = true
		}
	case "output":
		s.output[k] = append(s.output[k], e.Output)
	case "pass", "fail", "skip":
		if e.Test == "" {
			s.packageDone(e)
			return
		}
		s.testDone(k, e.Action)
	}
}

func (s *summary) testDone(k testKey, action string) {
	lines := s.output[k]
	delete(s.output, k)
	leaf := !s.parents[k]
	switch {
	case action == "fail":
		fmt.Fprintf(s.out, "--- FAIL %s %s\n", k.pkg, k.test)
		for _, l := range lines {
			fmt.Fprint(s.out, l)
		}
		if leaf || !s.blamed[k] {
			s.failed++
		}
		s.blame(k)
	case !leaf:
		// Its subtests were counted.
	case action == "skip":
		s.skipped++
		s.whySkip[skipReason(lines)]++
	default:
		s.passed++
	}
}

// blame marks everything above a failed test, so that one failure counts once.
func (s *summary) blame(k testKey) {
	for i := strings.LastIndexByte(k.test, '/'); i > 0; i = strings.LastIndexByte(k.test[:i], '/') {
		s.blamed[testKey{k.pkg, k.test[:i]}] = true
	}
	s.blamed[testKey{k.pkg, ""}] = true
}

func (s *summary) packageDone(e event) {
	k := testKey{e.Package, ""}
	lines := s.output[k]
	delete(s.output, k)
	switch e.Action {
	case "pass":
		fmt.Fprintf(s.out, "ok    %s %.1fs\n", e.Package, e.Elapsed)
		return
	case "skip":
		fmt.Fprintf(s.out, "none  %s (no tests)\n", e.Package)
		return
	}
	fmt.Fprintf(s.out, "FAIL  %s %.1fs\n", e.Package, e.Elapsed)
	for _, l := range s.build[e.FailedBuild] {
		fmt.Fprint(s.out, l)
	}
	for _, l := range lines {
		fmt.Fprint(s.out, l)
	}
	// Tests still running when the process died (panic, timeout) have no end event:
	// their output is the only trace of what happened.
	for _, open := range slices.SortedFunc(maps.Keys(s.output), func(a, b testKey) int { return strings.Compare(a.test, b.test) }) {
		if open.pkg == e.Package {
			fmt.Fprintf(s.out, "--- did not end: %s\n", open.test)
			for _, l := range s.output[open] {
				fmt.Fprint(s.out, l)
			}
			delete(s.output, open)
		}
	}
	if !s.blamed[k] {
		// No test failed, so it was the build, TestMain, a leak or a panic.
		s.failed++
	}
}

var skipLine = regexp.MustCompile(`^\s+\S+\.go:\d+: (.*)$`)

// skipReason finds the message of t.Skip among a skipped test's output.
func skipReason(lines []string) string {
	for _, l := range slices.Backward(lines) {
		if m := skipLine.FindStringSubmatch(strings.TrimRight(l, "\n")); m != nil && strings.TrimSpace(m[1]) != "" {
			return strings.TrimSpace(m[1])
		}
	}
	return "no reason given"
}

// print writes the two closing lines. failed says that the run failed, which must
// show in the counts even where no test could be blamed.
func (s *summary) print(failed bool) {
	if failed && s.failed == 0 {
		s.failed = 1
	}
	if s.skipped == 0 {
		fmt.Fprintln(s.out, "skipped: none")
	} else {
		var why []string
		for _, r := range slices.Sorted(maps.Keys(s.whySkip)) {
			why = append(why, fmt.Sprintf("%d because %s", s.whySkip[r], r))
		}
		fmt.Fprintf(s.out, "skipped: %s\n", strings.Join(why, "; "))
	}
	fmt.Fprintf(s.out, "%d passed, %d failed, %d skipped\n", s.passed, s.failed, s.skipped)
}
