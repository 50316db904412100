package client

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/ring"
)

func beforeAnOutage(t *testing.T) *Client {
	network := nodeserver.NewMemNetwork()
	for _, name := range []string{"n0:1", "g0:1"} {
		s, err := nodeserver.Start(nodeserver.Config{Network: network, Addr: name})
		require.NoError(t, err)
		t.Cleanup(func() { s.Close() })
	}
	c, err := New(Config{Nodes: []ring.Node{{Name: "n0", Addr: "n0:1"}}, Gutter: []ring.Node{{Name: "g0", Addr: "g0:1"}},
		GutterTTL: 2 * time.Second, RejoinDelay: NoRejoinDelay, DialContext: network.DialContext})
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	_, err = c.Set(context.Background(), Item{Key: "k", Value: []byte("v")})
	require.NoError(t, err)
	return c
}

// Who finds a node up finds since when, or a delete would not be told to the gutter: it would seem long that the node was down.
func TestGutterHearsOfADeleteAtTheMomentANodeComesUp(t *testing.T) {
	c := beforeAnOutage(t)
	n := c.top.Load().nodes[0]
	hash := c.top.Load().ring.Hash("k")
	n.breaker.Trip() // without a mender
	n.breaker.Mend()
	n.mu.Lock()
	n.downSince = time.Now().Add(-time.Minute) // an outage of a minute
	came := make(chan bool)
	go func() { came <- n.comeUp() }()
	for range 1000 {
		runtime.Gosched()
		require.False(t, n.breaker.Readable(), "nobody may see so yet")
	}
	n.mu.Unlock()
	require.True(t, <-came)
	require.True(t, n.breaker.Readable())
	_, ok := c.spareToTell(hash, "k")
	require.True(t, ok, "the outage has just ended")
}

// Nor is a node that has just gone down taken for one that has been down since its last outage, or for ever.
func TestANodeIsNotLongDeadAtTheMomentItGoesDown(t *testing.T) {
	c := beforeAnOutage(t)
	n := c.top.Load().nodes[0]
	n.mu.Lock()
	go n.trip(errors.New("test"))
	for range 1000 {
		runtime.Gosched()
		require.True(t, n.breaker.Writable(), "nobody may see so yet")
	}
	n.mu.Unlock()
	for n.breaker.Writable() {
		runtime.Gosched()
	}
	require.False(t, n.deadSince(time.Now().Add(-lostAfter)), "it has just gone down")
}
