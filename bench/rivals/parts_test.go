package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/bench/internal/versus"
)

const line = "goos: linux\nBenchmarkParts/goroutines=64-2 \t 15 \t 0 ns/op \t 12.50 all_% \t -0.40 bare_again_% \t 3.00 opaque_%\nPASS\n"

func TestParseParts(t *testing.T) {
	parts, err := parseParts(line)
	require.NoError(t, err)
	assert.Equal(t, []part{{"all", 12.5, 10, versus.Below}, {Name: "opaque", Percent: 3}, {Name: "bare again", Percent: -0.4}}, parts)
	var out bytes.Buffer
	printParts(&out, parts)
	assert.Contains(t, out.String(), "all         +12.5 %     10 %  over\n")
	assert.Contains(t, out.String(), "bare again   -0.4 %\n")

	parts, err = parseParts("BenchmarkParts/goroutines=64 1 9.9 all_% 1 bare_again_%\n")
	require.NoError(t, err)
	assert.Equal(t, versus.Reached, parts[0].Verdict)
	parts, err = parseParts("BenchmarkParts/goroutines=64 1 12 all_% -6 bare_again_%\n")
	require.NoError(t, err)
	assert.Equal(t, versus.Noisy, parts[0].Verdict)
	for _, bad := range []string{"", "PASS\n", "BenchmarkParts/goroutines=64 1 many all_%\n", "BenchmarkParts/goroutines=64 1 9 all_%\n"} {
		_, err = parseParts(bad)
		assert.Error(t, err, bad)
	}
}
