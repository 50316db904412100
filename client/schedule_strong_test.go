package client_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/nodeserver"
)

// register is what a Strong key is: the last value written, "0" at first.
var register = porcupine.Model{
	Init: func() any { return "0" },
	Step: func(state, in, out any) (bool, any) {
		if in != nil {
			return true, in
		}
		return out == state, state
	},
	DescribeOperation: func(in, out any) string { return fmt.Sprint(in, " → ", out) },
}

// strongScene is a scene whose actors keep a history. One of them at a time runs.
type strongScene struct {
	*scene
	clock   atomic.Int64
	history []porcupine.Operation
	proven  bool // a value that the home copy has not taken is loaded again
}

// note adds an operation that began at call and ends now.
func (s *strongScene) note(i int, call int64, in, out any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.history = append(s.history, porcupine.Operation{ClientId: i, Call: call, Input: in, Output: out, Return: s.clock.Add(1)})
}

// read is a Strong loader's Get: the home copy alone, and a load whose value that copy has taken. One that would
// have to wait for another's load says nothing, nor does one that was beaten three times.
func (s *strongScene) read(i int) {
	ctx, call := context.Background(), s.clock.Add(1)
	for range 3 {
		l, err := s.clients[i].Lease(ctx, s.key, client.LeaseOptions{Home: true})
		require.NoError(s.t, err)
		switch l.State {
		case item.LeaseHit:
			s.note(i, call, nil, string(l.Item.Value))
			return
		case item.LeaseWon:
			s.wait(string(rune('A'+i)) + " reads the origin")
			v := s.origin
			_, err := s.clients[i].Fill(ctx, l, client.Item{Value: []byte(v)})
			if err == nil || !s.proven {
				s.note(i, call, nil, v)
				return
			}
			require.ErrorIs(s.t, err, client.ErrLeaseLost)
		default:
			return
		}
	}
}

// put is its Put.
func (s *strongScene) put(i int, value string) {
	call := s.clock.Add(1)
	s.putter(i, value)() // with both nodes up every copy has answered when it returns
	s.note(i, call, value, nil)
}

// playStrong plays scenes in every order, or thousands, and returns one whose history is not that of a register.
func playStrong(t *testing.T, clients, most int, proven bool, actors func(s *strongScene) []func()) (bad string) {
	for _, p := range []nodeserver.Profile{nodeserver.ProfileNewest, nodeserver.Profile15} {
		for _, start := range []string{"absent", "present", "on one copy"} {
			synctest.Test(t, func(t *testing.T) {
				st := newStage(t, clients, p)
				reads := 0
				played := every(most, func(choose func(n int) int) {
					if bad != "" {
						return // it has been found
					}
					s := &strongScene{scene: st.newScene(start), proven: proven}
					order := st.play(choose, actors(s)...)
					for _, op := range s.history {
						if op.Input == nil {
							reads++
						}
					}
					if !porcupine.CheckOperations(register, s.history) {
						bad = fmt.Sprintf("%v, %s: %v after\n%s", p, start, s.history, strings.Join(order, "\n"))
					}
				})
				require.True(t, reads > 0 || bad != "", "in %d schedules", played)
			})
		}
	}
	return bad
}

// twoReads is a reader that must not see the key go back.
func twoReads(s *strongScene, i int) func() {
	return func() {
		s.read(i)
		s.read(i)
	}
}

func TestStrongSchedulesOfAPutAndReads(t *testing.T) {
	require.Empty(t, playStrong(t, 2, scaled(t, 250), true, func(s *strongScene) []func() {
		return []func(){func() { s.put(0, "1") }, twoReads(s, 1)}
	}))
}

func TestStrongSchedulesOfTwoPutsAndReads(t *testing.T) {
	require.Empty(t, playStrong(t, 2, scaled(t, 250), true, func(s *strongScene) []func() {
		return []func(){func() { s.put(0, "1"); s.put(0, "2") }, twoReads(s, 1)}
	}))
	require.Empty(t, playStrong(t, 3, scaled(t, 250), true, func(s *strongScene) []func() {
		return []func(){func() { s.put(0, "1") }, func() { s.put(1, "2") }, twoReads(s, 2)}
	}))
}

// Without the second load of what the home copy has not taken, the schedules find the key go back.
func TestStrongSchedulesFindAnUnprovenValue(t *testing.T) {
	require.NotEmpty(t, playStrong(t, 2, 4000, false, func(s *strongScene) []func() {
		return []func(){func() { s.put(0, "1"); s.put(0, "2") }, twoReads(s, 1)}
	}))
}
