package contest

import (
	"fmt"
	"slices"
	"time"

	"github.com/memherd/memherd/bench/internal/pace"
	"github.com/memherd/memherd/bench/internal/versus"
)

// Table is one comparison: what is done, and in which cases.
type Table struct {
	Name  string // as flags spell it
	Title string
	Work  Work
	Nodes int // how many servers the players share
	// Deadline gives each operation a context.WithTimeout of its own; memherd and
	// gomemcache then play without one as well, which shows what it costs them.
	Deadline time.Duration
	Cases    []Case
}

// Gap is the time from one operation to the next if at most maxRate keys are asked for in a second; 0 is any number.
func (t Table) Gap(maxRate float64) time.Duration {
	if t.Work == Multi {
		maxRate /= MultiKeys
	}
	return pace.Gap(maxRate)
}

// Case is one row of each player in a table.
type Case struct {
	Goroutines int
	Size       int // bytes of a value
	Keys       int // 0 is a thousand, or as many as make 10 MB
	// What memherd promises, as ratios to gomemcache: of operations a second, of p50,
	// of client CPU an operation; more is better in all of them.
	Ratio, P50, CPU versus.Bound
}

// Unpromised is the table without floors and aims, which are about memcached.
func (t Table) Unpromised() Table {
	t.Cases = slices.Clone(t.Cases)
	for i := range t.Cases {
		c := &t.Cases[i]
		c.Ratio, c.P50, c.CPU = versus.Bound{}, versus.Bound{}, versus.Bound{}
	}
	return t
}

// keys is how many keys a case uses: no more than make 10 MB, so that large values
// measure the clients and not the machine's memory.
func (c Case) keys() int {
	if c.Keys > 0 {
		return c.Keys
	}
	return max(MultiKeys, min(1000, 10_000_000/max(c.Size, 1)))
}

// promised are the floors and aims for get hits of 100 B, by goroutines.
var promised = []Case{
	{Goroutines: 1, Ratio: versus.Bound{Floor: 1, Aim: 1.1}, P50: versus.Bound{Floor: 1, Aim: 1.1}},
	{Goroutines: 8, Ratio: versus.Bound{Floor: 1.9, Aim: 2.4}},
	{Goroutines: 64, Ratio: versus.Bound{Floor: 5, Aim: 8}, CPU: versus.Bound{Floor: 2}},
	{Goroutines: 256, Ratio: versus.Bound{Floor: 7.5, Aim: 12}},
	{Goroutines: 1024, Ratio: versus.Bound{Floor: 11, Aim: 18}},
}

// GetCase is a case of gets, with what is promised for it.
func GetCase(goroutines, size int) Case {
	for _, c := range promised {
		if c.Goroutines == goroutines && size == 100 {
			c.Size = size
			return c
		}
	}
	return Case{Goroutines: goroutines, Size: size}
}

func cases(goroutines []int, make func(g int) Case) []Case {
	var out []Case
	for _, g := range goroutines {
		out = append(out, make(g))
	}
	return out
}

var ladder = []int{1, 8, 64, 256, 1024}

// pages is for GetMulti: those who ask for many keys are fewer than those who ask for one.
var pages = []int{1, 8, 32, 64, 256}

// Tables are all comparisons, in the order in which they are shown.
func Tables() []Table {
	gets := func(g int) Case { return GetCase(g, 100) }
	plain := func(g int) Case { return Case{Goroutines: g, Size: 100} }
	sizes := []Case{}
	for _, size := range []int{10, 1_000, 10_000, 100_000} {
		c := Case{Goroutines: 64, Size: size}
		if size == 100_000 {
			c.Ratio.Floor = 1
		}
		sizes = append(sizes, c)
	}
	multi := func(g int) Case { return Case{Goroutines: g, Size: 100, Ratio: versus.Bound{Floor: 3}} }
	return []Table{
		{Name: "get", Title: "gets of 100 B", Work: Gets, Nodes: 1, Cases: cases(ladder, gets)},
		{Name: "deadline", Title: "gets of 100 B, each with a context.WithTimeout", Work: Gets, Nodes: 1, Deadline: Timeout, Cases: cases(ladder, gets)},
		{Name: "set", Title: "sets of 100 B", Work: Sets, Nodes: 1, Cases: cases(ladder, plain)},
		{Name: "mixed", Title: "nine gets to a set, 100 B", Work: Mixed, Nodes: 1, Cases: cases(ladder, plain)},
		{Name: "sizes", Title: "gets of 10 B to 100 KB", Work: Gets, Nodes: 1, Cases: sizes},
		{Name: "multi", Title: fmt.Sprintf("GetMulti of %d keys of 100 B over three nodes", MultiKeys), Work: Multi, Nodes: 3, Cases: cases(pages, multi)},
		{Name: "nodes", Title: "gets of 100 B from three nodes", Work: Gets, Nodes: 3, Cases: cases([]int{8, 64, 256}, plain)},
	}
}
