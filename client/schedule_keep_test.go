package client_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/nodeserver"
)

// backWriter writes back, as a loader does when its journal has the value: the copies, later the origin, and
// the copies again under the tokens of the first time. again false leaves that out. What the copies hold the first
// time doesn't matter.
func (s *scene) backWriter(i int, value string, again bool) func() {
	return func() {
		ctx, it := context.Background(), client.Item{Value: []byte(value)}
		it.Key = s.key
		kept, _, first := s.clients[i].SetKeep(ctx, it)
		s.wait(string(rune('A'+i)) + " writes the origin")
		s.origin = value
		switch {
		case first != nil:
			_, err := s.clients[i].Delete(ctx, s.key)
			require.NoError(s.t, err)
		case again:
			_, _, errs := s.clients[i].FillKeepMulti(ctx, []client.Lease{kept}, []client.Item{it})
			if errs[0] != nil {
				require.ErrorIs(s.t, errs[0], client.ErrLeaseLost) // and every copy has lost the key
			}
		}
	}
}

// evictor takes the key from a node, as a node does that needs room.
func (s *scene) evictor(node string) func() {
	return func() {
		s.wait("eviction on " + node)
		s.send(node, "delete "+s.key)
	}
}

func TestRule8AllSchedulesOfAFlushAndALoad(t *testing.T) {
	schedules(t, 2, 1000, func(s *scene) []func() { return []func(){s.backWriter(0, "1", true), s.reader(1)} })
}

func TestRule8AllSchedulesOfTwoFlushes(t *testing.T) {
	schedules(t, 2, 1000, func(s *scene) []func() {
		return []func(){s.backWriter(0, "1", true), s.backWriter(1, "2", true)}
	})
}

func TestRule8SchedulesOfAFlushAndAPut(t *testing.T) {
	schedules(t, 2, 1000, func(s *scene) []func() { return []func(){s.backWriter(0, "1", true), s.putter(1, "2")} })
}

func TestRule8SchedulesOfAFlushALoadADeleteAndEvictions(t *testing.T) {
	schedules(t, 3, 500, func(s *scene) []func() {
		return []func(){s.backWriter(0, "1", true), s.reader(1), s.deleter(2, "2"), s.evictor("node0"), s.evictor("node1")}
	})
}

// The second store is what the schedules hold on to: a flush that leaves the copies as they are is found out, by
// a reader that read the origin before it and fills what was evicted meanwhile.
func TestSchedulesFindAFlushThatStoresOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t, 2, nodeserver.ProfileNewest)
		found := 0
		played := every(3000, func(choose func(n int) int) {
			if found > 0 {
				choose = func(int) int { return 0 }
			}
			s := st.newScene("absent")
			st.play(choose, s.backWriter(0, "1", false), s.reader(1), s.evictor("node0"), s.evictor("node1"))
			if s.stale() != "" {
				found++
			}
		})
		require.Positive(t, found, "in %d schedules", played)
	})
}
