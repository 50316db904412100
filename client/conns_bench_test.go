package client

import (
	"fmt"
	"testing"
)

// BenchmarkConns compares clients that may open one to four connections to a node, as a
// percentage of the time of one that may open one. "1 again" is the noise.
func BenchmarkConns(b *testing.B) {
	t := newTurns(b)
	for conns := 1; conns <= 4; conns++ {
		t.add(fmt.Sprint(conns), Config{ConnsPerNode: conns})
	}
	t.add("1 again", Config{ConnsPerNode: 1})
	t.run(64, 256, 1024)
}
