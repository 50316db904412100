package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/memherd/memherd/bench/internal/report"
)

func TestPrintStorm(t *testing.T) {
	var out bytes.Buffer
	s := &report.Storm{Key: "row:5", Share: 0.2, DetectedMS: 2.25, PromotedMS: 7, Before: map[string]float64{"node2": 1000, "node1": 1},
		After: map[string]float64{"node2": 1234, "node1": 2}}
	printStorm(&out, s)
	assert.Equal(t, `ok      storm of 20 % on row:5: found after 2.2 ms, in memory's charge after 7.0 ms
        requests/s to node1            1 before the storm,         2 in it
                      node2        1,000 before the storm,     1,234 in it
`, out.String())
	out.Reset()
	s.PromotedMS = -1
	printStorm(&out, s)
	assert.Contains(t, out.String(), "slow    storm of 20 % on row:5: found after 2.2 ms, in memory's charge never\n")
}
