package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/bench/internal/report"
	"github.com/memherd/memherd/nodeserver/stock"
)

// TestWrongNumbers: what is wrong with a number is said by the flag's name and bounds, also of one below 0, which
// the parser would take for a flag.
func TestWrongNumbers(t *testing.T) {
	for args, want := range map[string]string{
		"run -keys -5":                               "-keys -5: give a number from 1",
		"run -k -5":                                  "-keys -5: give a number from 1",
		"run -r=-1":                                  "-replicas -1: give a number of copies from 1",
		"run -deletes -.5 -dist uniform":             "-deletes -0.5: give a share from 0 to 1",
		"run -zipf -1":                               "-zipf -1: give an exponent from 0 to 10",
		"run -dist flash-crowd -flash-after -1s":     "-flash-after -1s: give a time within -duration",
		"run -value-size -1":                         "\"-1\" is no number of bytes",
		"run -ttl -1h":                               "-ttl -1h",
		"run -dist hotspot-moving -hot-share 2":      "-hot-share 2: give a share from 0 to 1",
		"run -dist hotspot-moving -hot-every 0s":     "-hot-every 0s: give a time above 0",
		"run -dist hotspot-moving -hot-keys 0":       "-hot-keys 0: give a number from 1 to that of all keys, 100000",
		"run -dist flash-crowd -keys 9 -hot-keys 10": "-hot-keys 10: give a number from 1 to that of all keys, 9",
		"compare -slot 1us":                          "-slot 1µs: give 1ms or more",
		"compare -keys 0":                            "-keys 0: give a number from 1",
		"compare -size 0":                            "-size 0: give 1 to ",
	} {
		code, stdout, stderr := bench(t, strings.Split(args, " ")...)
		assert.Equal(t, exitUsage, code, args)
		assert.Contains(t, stderr, want, args)
		assert.Equal(t, 1, strings.Count(stderr, "\n"), "one line: %s", stderr)
		assert.Empty(t, stdout)
	}
	assert.Equal(t, []string{"-k3", "--near", "-n3", "-5", "--rate=-.5", "-"}, twoDashes([]string{"-k=3", "-near", "-n3", "-5", "-rate", "-.5", "-"}))
}

// TestVerdictOfAShortDemo: of nothing before the kill nine tenths are no promise kept.
func TestVerdictOfAShortDemo(t *testing.T) {
	var out bytes.Buffer
	verdict(&out, report.Result{Recovery: &report.Recovery{}})
	assert.Contains(t, out.String(), "short   too short to say")
	assert.NotContains(t, out.String(), "of the 0 op/s")
}

// TestListOfEachGroup: fault, loads and hot list theirs alike.
func TestListOfEachGroup(t *testing.T) {
	for group, first := range map[string]string{"fault": "crash", "loads": "stampede", "hot": "cost"} {
		code, stdout, stderr := bench(t, group, "-list")
		assert.Equal(t, exitOK, code, stderr)
		assert.True(t, strings.HasPrefix(stdout, first+" "), stdout)
	}
}

// TestRunSaysItsSeed, and on what it ran.
func TestRunSaysItsSeed(t *testing.T) {
	code, stdout, stderr := bench(t, "run", "-duration", "50ms", "-keys", "10", "-seed", "7", "-embedded", "1", "-c", "2")
	assert.Equal(t, exitOK, code, stderr)
	assert.True(t, strings.HasPrefix(stdout, "memherd: 1 node in this process, 1 copy of each key, 2 at a time, seed 7\n"), stdout)
}

// TestHitRatioOfTooLittle: a share that no server can hold is refused before anything is played.
func TestHitRatioOfTooLittle(t *testing.T) {
	stock.Need(t)
	path, err := stock.Find()
	require.NoError(t, err)
	for args, want := range map[string]string{
		"-size 100 -memnode " + path: "-shares 10: that is 0.0 MB, and a server takes 2 or more",
		"-memnode /no/such/file":     "-memnode /no/such/file: there is no such program",
	} {
		code, stdout, stderr := bench(t, strings.Split("hitratio -trace "+traces+"zipf.keys.gz "+args, " ")...)
		assert.Equal(t, exitUsage, code)
		assert.Contains(t, stderr, want)
		assert.Empty(t, stdout)
	}
}
