package client_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/nodeserver"
)

// Two clients saw a node go; one of them deleted a key meanwhile. The other finds the node
// back first: if it read it at once, it would find the deleted value there.
func TestRule15OthersPayBeforeANodeIsRead(t *testing.T) {
	rounds := scaled(t, 40)
	for _, delay := range []time.Duration{0, client.NoRejoinDelay} {
		stale := 0
		for round := range rounds {
			synctest.Test(t, func(t *testing.T) {
				f := newMemFleet(t, 2, nodeserver.Config{})
				cfg := client.Config{ReplicationFactor: 2, Timeout: 100 * time.Millisecond, RejoinDelay: delay}
				reader, writer := f.client(cfg), f.client(cfg)
				key := fmt.Sprint("k", round)
				set(t, writer, key, "old")
				require.Equal(t, "old", get(t, reader, key))
				f.network.Partition("node0", true)
				set(t, reader, "other", "v")
				set(t, writer, "other", "v")
				require.Equal(t, "down", reader.Nodes()[0].State)
				require.Equal(t, "down", writer.Nodes()[0].State)
				out, err := writer.Delete(t.Context(), key)
				require.NoError(t, err)
				require.Equal(t, 1, out.Owed)
				time.Sleep(time.Duration(round) * 37 * time.Millisecond)
				f.network.Partition("node0", false)
				for healed := time.Now(); time.Since(healed) < 6*time.Second; time.Sleep(time.Millisecond) {
					if it, err := reader.Get(t.Context(), key); err == nil && string(it.Value) == "old" {
						stale++
						break
					}
				}
				closeFleet(t, f, reader, writer)
			})
		}
		if delay == 0 {
			require.Zero(t, stale)
		} else if rounds >= 20 {
			require.NotZero(t, stale, "without the delay the schedule is not broken: it proves nothing")
		}
	}
}

// A node that was restarted is empty, and is read at once.
func TestRule15ARestartedNodeIsReadAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newMemFleet(t, 2, nodeserver.Config{})
		c := f.client(client.Config{ReplicationFactor: 2})
		require.NoError(t, c.Ping(t.Context()))
		for round, downFor := range []time.Duration{100 * time.Millisecond, 3 * time.Second, 20 * time.Second} {
			time.Sleep(10 * time.Second)
			f.kill("node0")
			time.Sleep(downFor)
			for i := range 20 {
				set(t, c, fmt.Sprint("k", i), "v")
			}
			require.Equal(t, "down", c.Nodes()[0].State, "round %d", round)
			f.restart("node0")
			time.Sleep(1200 * time.Millisecond) // the longest pause between probes, and some
			require.Equal(t, "up", c.Nodes()[0].State, "round %d", round)
			require.Zero(t, c.Nodes()[0].Debt)
		}
		closeFleet(t, f, c)
	})
}

// Debt that was too much to remember keeps a node out of reads, until it turns out that
// what it is owed for is gone with the process that held it.
func TestRule14OverflowEndsWithTheProcess(t *testing.T) {
	for _, restart := range []bool{true, false} {
		t.Run(fmt.Sprint("restart ", restart), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newMemFleet(t, 2, nodeserver.Config{})
				c := f.client(client.Config{ReplicationFactor: 2, DebtLimit: 10, Timeout: 100 * time.Millisecond})
				require.NoError(t, c.Ping(t.Context()))
				time.Sleep(10 * time.Second)
				f.network.Partition("node0", true)
				for i := range 30 {
					set(t, c, fmt.Sprint("k", i), "v")
				}
				require.True(t, c.Nodes()[0].DebtOverflow)
				time.Sleep(10 * time.Second)
				if restart {
					f.kill("node0")
					f.network.Partition("node0", false)
					f.restart("node0")
				} else {
					f.network.Partition("node0", false)
				}
				time.Sleep(10 * time.Second)
				s := c.Nodes()[0]
				require.Equal(t, !restart, s.DebtOverflow)
				if restart {
					require.Equal(t, "up", s.State)
				} else {
					require.Equal(t, "mending", s.State)
					require.NoError(t, c.Readmit("node0"))
					time.Sleep(3 * time.Second)
					require.Equal(t, "up", c.Nodes()[0].State)
				}
				closeFleet(t, f, c)
			})
		})
	}
}

// What an outage leaves is to be seen: how much is owed, for how long, and the quarantine.
func TestRule15IsSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newMemFleet(t, 2, nodeserver.Config{})
		held := make(chan time.Duration, 10)
		c := f.client(client.Config{ReplicationFactor: 2, Hooks: client.Hooks{Quarantined: func(node string, d time.Duration) {
			if node == "node0" {
				held <- d
			}
		}}})
		require.NoError(t, c.Ping(t.Context()))
		time.Sleep(10 * time.Second)
		f.network.Partition("node0", true)
		set(t, c, "k", "v")
		time.Sleep(5 * time.Second)
		set(t, c, "l", "v")
		s := c.Nodes()[0]
		require.Equal(t, 2, s.Debt)
		require.InDelta(t, 5, s.DebtAge.Seconds(), 0.5)
		require.False(t, s.Quarantined)
		f.network.Partition("node0", false)
		time.Sleep(time.Second)
		synctest.Wait()
		s = c.Nodes()[0]
		require.Zero(t, s.Debt)
		require.Zero(t, s.DebtAge)
		require.Equal(t, "mending", s.State)
		require.True(t, s.Quarantined)
		require.Len(t, held, 1)
		require.Equal(t, client.DefaultRejoinDelay, <-held)
		time.Sleep(client.DefaultRejoinDelay)
		synctest.Wait()
		s = c.Nodes()[0]
		require.Equal(t, "up", s.State)
		require.False(t, s.Quarantined)
		require.EqualValues(t, 1, c.Counters().Quarantines)
		closeFleet(t, f, c)
	})
}
