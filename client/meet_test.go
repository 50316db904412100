package client

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/hotkey"
	"github.com/memherd/memherd/ring"
)

// Of two connections that meet a new process at one moment neither is used before the node is cold.
func TestRule16TwoConnectionsMeetANewProcess(t *testing.T) {
	c, err := New(Config{Nodes: ring.Addrs("a", "b"), ReplicationFactor: 2, HotKeys: &hotkey.Config{NearAll: true}})
	require.NoError(t, err)
	defer c.Close()
	n := c.top.Load().nodes[0]
	n.meet("first")
	early := 0
	for i := range 2000 {
		n.coldness.until.Store(0)
		begin := make(chan struct{})
		var warm [2]bool
		var wg sync.WaitGroup
		for j := range warm {
			wg.Go(func() {
				<-begin
				n.meet(fmt.Sprint(i))
				warm[j] = !n.cold()
			})
		}
		close(begin)
		wg.Wait()
		if warm[0] || warm[1] {
			early++
		}
	}
	require.Zero(t, early)
}
