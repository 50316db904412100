package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	passing = `{"Action":"start","Package":"p"}
{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestA","Output":"quiet\n"}
{"Action":"pass","Package":"p","Test":"TestA","Elapsed":0.1}
{"Action":"run","Package":"p","Test":"TestB"}
{"Action":"run","Package":"p","Test":"TestB/one"}
{"Action":"run","Package":"p","Test":"TestB/two"}
{"Action":"output","Package":"p","Test":"TestB/two","Output":"    b_test.go:12: memcached is not installed\n"}
{"Action":"output","Package":"p","Test":"TestB/two","Output":"--- SKIP: TestB/two (0.00s)\n"}
{"Action":"pass","Package":"p","Test":"TestB/one"}
{"Action":"skip","Package":"p","Test":"TestB/two"}
{"Action":"pass","Package":"p","Test":"TestB"}
{"Action":"pass","Package":"p","Elapsed":0.2}
`
	failing = `{"Action":"run","Package":"q","Test":"TestC"}
{"Action":"run","Package":"q","Test":"TestC/x"}
{"Action":"output","Package":"q","Test":"TestC/x","Output":"    c_test.go:3: boom\n"}
{"Action":"fail","Package":"q","Test":"TestC/x"}
{"Action":"fail","Package":"q","Test":"TestC"}
{"Action":"output","Package":"q","Output":"FAIL\n"}
{"Action":"fail","Package":"q","Elapsed":0.2}
`
	broken = `{"ImportPath":"r [r.test]","Action":"build-output","Output":"./r.go:1: syntax error\n"}
{"ImportPath":"r [r.test]","Action":"build-fail"}
{"Action":"fail","Package":"r","Elapsed":0,"FailedBuild":"r [r.test]"}
`
	panicked = `{"Action":"run","Package":"s","Test":"TestD"}
{"Action":"output","Package":"s","Test":"TestD","Output":"panic: test timed out\n"}
{"Action":"fail","Package":"s","Elapsed":1}
`
)

func fold(t *testing.T, stream string, failed bool) (*summary, string) {
	t.Helper()
	var out bytes.Buffer
	s := newSummary(&out)
	require.NoError(t, s.read(strings.NewReader(stream)))
	s.print(failed)
	return s, out.String()
}

func TestPassAndSkip(t *testing.T) {
	_, out := fold(t, passing, false)
	assert.True(t, strings.HasSuffix(out, "skipped: 1 because memcached is not installed\n2 passed, 0 failed, 1 skipped\n"), out)
	assert.NotContains(t, out, "quiet", "output of a passing test is noise")
}

func TestFailureIsShownAndCountedOnce(t *testing.T) {
	_, out := fold(t, passing+failing, true)
	assert.Contains(t, out, "c_test.go:3: boom")
	assert.True(t, strings.HasSuffix(out, "\n2 passed, 1 failed, 1 skipped\n"), out)
}

func TestBrokenBuildShowsTheCompiler(t *testing.T) {
	_, out := fold(t, broken, true)
	assert.Contains(t, out, "./r.go:1: syntax error")
	assert.True(t, strings.HasSuffix(out, "skipped: none\n0 passed, 1 failed, 0 skipped\n"), out)
}

func TestUnfinishedTestIsShown(t *testing.T) {
	_, out := fold(t, panicked, true)
	assert.Contains(t, out, "did not end: TestD")
	assert.Contains(t, out, "panic: test timed out")
	assert.True(t, strings.HasSuffix(out, "0 passed, 1 failed, 0 skipped\n"), out)
}

func TestFailedRunWithoutAFailedTestIsAFailure(t *testing.T) {
	_, out := fold(t, "go: cannot find main module\n", true)
	assert.Contains(t, out, "cannot find main module")
	assert.True(t, strings.HasSuffix(out, "0 passed, 1 failed, 0 skipped\n"), out)
}

func TestRunGivesTheExitStatusOfTheTests(t *testing.T) {
	var out, errs bytes.Buffer
	assert.NotZero(t, run([]string{"./no/such/package"}, &out, &errs))
	assert.Contains(t, out.String(), "0 passed, 1 failed, 0 skipped")
	out.Reset()
	assert.Zero(t, run([]string{"-run", "^TestPassAndSkip$", "."}, &out, &errs), out.String()+errs.String())
	assert.Contains(t, out.String(), "1 passed, 0 failed, 0 skipped")
}

func TestNestedModulesAreSummedUp(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	write("go.mod", "module example.com/nested\n\ngo 1.26\n")
	write("a_test.go", "package nested\n\nimport \"testing\"\n\nfunc TestPassAndSkip(t *testing.T) {}\n")
	var out, errs bytes.Buffer
	args := []string{"-first", ".", "-also", dir, "-run", "^TestPassAndSkip$", "."}
	assert.Zero(t, run(args, &out, &errs), out.String()+errs.String())
	assert.Contains(t, out.String(), "ok    example.com/nested")
	assert.True(t, strings.HasSuffix(out.String(), "skipped: none\n2 passed, 0 failed, 0 skipped\n"), out.String())

	out.Reset()
	write("a_test.go", "package nested\n\nimport \"testing\"\n\nfunc TestPassAndSkip(t *testing.T) { t.Fail() }\n")
	assert.NotZero(t, run(args, &out, &errs), "a failure in either is one of all")
	assert.Contains(t, out.String(), "1 passed, 1 failed, 0 skipped\n")

	out.Reset()
	assert.NotZero(t, run(append([]string{"-also", filepath.Join(dir, "none")}, args[4:]...), &out, &errs))
	assert.Contains(t, out.String(), "1 passed, 1 failed, 0 skipped\n")
}
