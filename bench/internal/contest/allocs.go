package contest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/memherd/memherd/bench/internal/report"
	"github.com/memherd/memherd/bench/internal/rival"
	"github.com/memherd/memherd/bench/internal/value"
	"github.com/memherd/memherd/bench/internal/versus"
	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/ring"
)

// Alloc is what one call allocates.
type Alloc struct {
	Client  string         `json:"client"`
	Call    string         `json:"call"`
	Allocs  float64        `json:"allocs"` // mean, fractions cut off
	Limit   float64        `json:"limit"`  // promised; below 0: nothing is
	Verdict versus.Verdict `json:"verdict"`
}

// Allocs counts the allocations of single calls with values of 100 B, under a context
// that cannot end, as gomemcache's calls are, and under one that can. While it
// counts nothing else should run in the process.
func Allocs(ctx context.Context, server string, runs int) (out []Alloc, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c, err := client.New(client.Config{Nodes: ring.Addrs(server), Timeout: Timeout})
	if err != nil {
		return nil, err
	}
	g := rival.NewGomemcache(1, server)
	defer func() { err = errors.Join(err, c.Close(), g.Close()) }()
	const key = "allocs"
	v := value.Make(key, 1, 100)
	dst := make([]byte, 0, 128)
	endless := context.Background()
	for _, call := range []struct {
		client, name string
		limit        float64
		f            func() ([]byte, error)
	}{
		{Ours, "Set", 0, func() ([]byte, error) {
			_, err := c.Set(endless, client.Item{Key: key, Value: v})
			return v, err
		}},
		{Ours, "Get", 1, func() ([]byte, error) { it, err := c.Get(endless, key); return it.Value, err }},
		{Ours, "GetInto", 0, func() ([]byte, error) { it, err := c.GetInto(endless, key, dst); return it.Value, err }},
		{Ours, "Set, context that can end", -1, func() ([]byte, error) {
			_, err := c.Set(ctx, client.Item{Key: key, Value: v})
			return v, err
		}},
		{Ours, "Get, context that can end", -1, func() ([]byte, error) { it, err := c.Get(ctx, key); return it.Value, err }},
		{Base, "Set", -1, func() ([]byte, error) { return v, g.Set(endless, key, v) }},
		{Base, "Get", -1, func() ([]byte, error) { return g.Get(endless, key) }},
	} {
		var failed error
		n := testing.AllocsPerRun(runs, func() {
			b, err := call.f()
			if err != nil {
				failed = err
			} else if string(b) != string(v) {
				failed = value.ErrWrong
			}
		})
		if failed != nil {
			return nil, fmt.Errorf("%s of %s: %w", call.name, call.client, failed)
		}
		a := Alloc{Client: call.client, Call: call.name, Allocs: n, Limit: call.limit}
		switch {
		case call.limit < 0:
		case n <= call.limit:
			a.Verdict = versus.Reached
		default:
			a.Verdict = versus.Below
		}
		out = append(out, a)
	}
	return out, nil
}

// PrintAllocs writes them for people.
func PrintAllocs(w io.Writer, allocs []Alloc) {
	rows := [][]string{{"client", "call", "allocations", "at most", ""}}
	for _, a := range allocs {
		limit, verdict := "", string(a.Verdict)
		if a.Limit >= 0 {
			limit = fmt.Sprintf("%.0f", a.Limit)
		}
		if a.Verdict == versus.Below {
			verdict = "over"
		}
		rows = append(rows, []string{a.Client, a.Call, fmt.Sprintf("%.0f", a.Allocs), limit, verdict})
	}
	fmt.Fprint(w, "allocations of one call, 100 B\n\n")
	report.Align(w, rows)
	fmt.Fprintln(w)
}
