package pipe

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// slow hands out one byte a millisecond.
type slow struct{ r io.Reader }

func (s slow) Read(p []byte) (int, error) {
	time.Sleep(time.Millisecond)
	return s.r.Read(p[:1])
}

// dribble takes requests and gives replies at one byte a millisecond: reply to the
// first call, of so many commands, to any other its answer.
func (g *rig) dribble(reply string, commands int) {
	g.r = bufio.NewReader(slow{g.peer})
	g.wg.Go(func() {
		for i := 0; ; i++ {
			r, err := g.request()
			if err != nil {
				return
			}
			out := answer(r)
			switch {
			case i < commands-1:
				continue
			case i == commands-1:
				out = reply
			}
			for j := range len(out) {
				time.Sleep(time.Millisecond)
				if _, err := io.WriteString(g.peer, out[j:j+1]); err != nil {
					return
				}
			}
		}
	})
}

// keeper keeps what its calls came to.
type keeper struct {
	mu  sync.Mutex // guards got
	got []*Call
}

func (s *keeper) Settle(_ *Conn, k *Call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b *burst
	if k.burst != nil {
		b = &burst{keys: slices.Clone(k.Asked()), answers: slices.Clone(k.Answers())}
	}
	s.got = append(s.got, &Call{
		burst:  b,
		Answer: Answer{Resp: k.Resp, Value: bytes.Clone(k.Value)}, Text: k.Text, Stats: slices.Clone(k.Stats), Err: k.Err, Sent: k.Sent,
	})
}

// neighbour says when a second caller comes while the first is at work.
type neighbour int

const (
	nobody    neighbour = iota
	whileSent           // while the request is written: it reads for the first
	whileRead           // while the first reads: it inherits the reading
)

// The incident of March 2023: a request was cancelled between its bytes, and the next
// caller was handed its reply. Here a caller leaves at every half millisecond of a
// request and a reply that pass at a byte a millisecond, for every kind of reply, alone
// or with a neighbour: its reply is its own or its Settler's, the neighbour's is the
// neighbour's, and the connection lives on.
func TestLeaveAtEveryByte(t *testing.T) {
	for n, name := range map[neighbour]string{nobody: "alone", whileSent: "read for", whileRead: "reading"} {
		t.Run(name, func(t *testing.T) {
			for _, kind := range replyKinds {
				wire, commands := wire(kind.req, kind.asks)
				left := 0
				// A few steps past the end, where nobody leaves any more.
				for at := range 2 * (wire + len(kind.reply) + 3) {
					synctest.Test(t, func(t *testing.T) {
						g := newRig(t)
						g.dribble(kind.reply, commands)
						where := fmt.Sprintf("%s left after %d half milliseconds", kind.name, at)
						if !leave(t, g, where, g.call(kind.req).asking(kind.asks), kind.check, n, time.Duration(at)*time.Millisecond/2, time.Duration(wire)*time.Millisecond) {
							left++
						}
						g.close()
					})
				}
				require.Greater(t, left, wire+len(kind.reply), "%s: most callers left", kind.name)
			}
		})
	}
}

// leave makes the call with patience and reports whether it stayed until its reply.
func leave(t *testing.T, g *rig, where string, k *Call, check func(*testing.T, *Call), n neighbour, patience, wire time.Duration) (stayed bool) {
	var s keeper
	k.Settler = &s
	var near *Call
	var wg sync.WaitGroup
	if n != nobody {
		near = g.call(get())
		near.Req.Key = []byte("near")
		wg.Go(func() {
			if n == whileSent {
				synctest.Wait() // the first caller's bytes come first
			} else {
				time.Sleep(wire + time.Millisecond)
			}
			g.do(context.Background(), near)
		})
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	stayed = g.do(ctx, k)
	if stayed {
		require.NoError(t, k.Err, where)
		check(t, k)
	}
	wg.Wait()
	if near != nil {
		require.NoError(t, near.Err, where)
		require.Equal(t, "value of near", string(near.Value), where)
	}
	time.Sleep(rigTimeout / 2) // nobody else reads: what is due is drained by itself
	require.Zero(t, g.c.Pending(), where)
	s.mu.Lock()
	got := s.got
	s.mu.Unlock()
	if stayed {
		require.Empty(t, got, where)
	} else {
		require.Len(t, got, 1, where)
		require.NoError(t, got[0].Err, where)
		check(t, got[0])
	}
	next := g.call(get())
	require.True(t, g.do(context.Background(), next), where)
	require.NoError(t, next.Err, where)
	require.Equal(t, "value of key", string(next.Value), where)
	require.False(t, g.c.Dead(), where)
	return stayed
}
