package client_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
)

// putter is a write-through as steps: tokens, origin, fill.
type putter struct {
	c      *client.Client
	value  string
	lease  client.Lease
	origin *string
}

func (p *putter) step(t *testing.T, key string, i int) {
	ctx := context.Background()
	switch i {
	case 0:
		l, err := p.c.LeaseWrite(ctx, key)
		require.NoError(t, err)
		p.lease = l
	case 1:
		*p.origin = p.value
	case 2:
		_, err := p.c.Fill(ctx, p.lease, client.Item{Value: []byte(p.value)})
		if err != nil && !errors.Is(err, client.ErrLeaseLost) {
			require.NoError(t, err)
		}
	}
}

// interleavings calls f with every order of the steps of two writers.
func interleavings(steps int, f func(order []int)) {
	var walk func(order []int, a, b int)
	walk = func(order []int, a, b int) {
		if a == steps && b == steps {
			f(order)
			return
		}
		if a < steps {
			walk(append(order[:len(order):len(order)], 0), a+1, b)
		}
		if b < steps {
			walk(append(order[:len(order):len(order)], 1), a, b+1)
		}
	}
	walk(nil, 0, 0)
}

// Two racing write-throughs leave no value older than the origin's on any copy,
// whichever writer is late, from every starting state, in every order of their steps.
func TestRule8RacingPutsLeaveNoOlderValue(t *testing.T) {
	onEveryHerd(t, func(t *testing.T, h *herd) {
		a, b := h.client(), h.client()
		n := 0
		for _, start := range []string{"absent", "present", "one copy"} {
			interleavings(3, func(order []int) {
				n++
				key := fmt.Sprintf("put:%d", n)
				switch start {
				case "present":
					set(t, a, key, "before")
				case "one copy":
					_, err := a.Add(context.Background(), client.Item{Key: key, Value: []byte("before")})
					require.NoError(t, err)
				}
				origin := "before"
				ps := [2]*putter{{c: a, value: "A", origin: &origin}, {c: b, value: "B", origin: &origin}}
				at := [2]int{}
				for _, who := range order {
					ps[who].step(t, key, at[who])
					at[who]++
				}
				for i, v := range h.values(key) {
					require.Contains(t, []string{"-", origin}, v, "copy %d, %s, order %v", i, start, order)
				}
			})
		}
		require.Equal(t, 60, n)
	})
}

// A reader that loads between the origin's write and the fill can't leave the old
// value either.
func TestRule8ReaderBetweenTokensAndFill(t *testing.T) {
	onEveryHerd(t, func(t *testing.T, h *herd) {
		reader, writer := h.client(), h.client()
		ctx := context.Background()
		for _, key := range keys("reader") {
			l := won(t, reader, key) // loads "old"
			w, err := writer.LeaseWrite(ctx, key)
			require.NoError(t, err)
			_, err = reader.Fill(ctx, l, client.Item{Value: []byte("old")})
			require.NoError(t, err, "nothing has changed yet")
			// The writer's origin write happens here.
			_, err = writer.Fill(ctx, w, client.Item{Value: []byte("new")})
			require.ErrorIs(t, err, client.ErrLeaseLost)
			h.holdNo(key, "old")
		}
	})
}

// Undisturbed, a write-through stores on every copy.
func TestRule8AWriteThroughStoresOnEveryCopy(t *testing.T) {
	onEveryHerd(t, func(t *testing.T, h *herd) {
		c := h.client()
		for _, key := range keys("alone") {
			w, err := c.LeaseWrite(context.Background(), key)
			require.NoError(t, err)
			out, err := c.Fill(context.Background(), w, client.Item{Value: []byte("v")})
			require.NoError(t, err)
			require.Equal(t, 2, out.Confirmed)
			require.Equal(t, []string{"v", "v"}, h.values(key))
		}
	})
}
