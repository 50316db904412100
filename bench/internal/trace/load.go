package trace

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Trace is a whole trace in memory: about 16 bytes a request, and each key once.
// It is read-only after Load and may be shared.
type Trace struct {
	Keys []string // by number of first appearance
	Size []uint32 // largest value size seen of each key; 0 where unknown
	Reqs []Request
	// At has when each request was made, in microseconds since the first one, in rising order; nil where the trace
	// does not know it. Requests of a trace that knows the second alone are spread over it.
	At []int64
}

// Request is a Record with its key as a number.
type Request struct {
	Key, ValueSize, TTL uint32
	Op                  Op
}

// Load reads the trace at path, at most limit requests (0 is all of them). It
// returns nothing but the error if any line up to there is bad, so that a replay
// never begins on a trace it can't finish. tick, if not nil, is called now and then
// with the number of requests read.
func Load(path string, limit int, tick func(n int)) (*Trace, error) {
	r, err := Open(path)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return load(r, limit, tick)
}

func load(r *Reader, limit int, tick func(n int)) (*Trace, error) {
	t := &Trace{}
	var at []int64
	index := map[string]uint32{}
	for limit <= 0 || len(t.Reqs) < limit {
		rec, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		k, ok := index[rec.Key]
		if !ok {
			if uint64(len(t.Keys)) > 1<<31 {
				return nil, fmt.Errorf("the trace has more than 2^31 keys: give a -limit")
			}
			k = uint32(len(t.Keys))
			index[rec.Key] = k
			t.Keys = append(t.Keys, rec.Key)
			t.Size = append(t.Size, 0)
		}
		t.Size[k] = max(t.Size[k], rec.ValueSize)
		t.Reqs = append(t.Reqs, Request{Key: k, ValueSize: rec.ValueSize, TTL: rec.TTL, Op: rec.Op})
		if r.timed {
			at = append(at, int64(rec.Time)*1e6+int64(rec.Micros))
		}
		if tick != nil && len(t.Reqs)%100_000 == 0 {
			tick(len(t.Reqs))
		}
	}
	if len(t.Reqs) == 0 {
		return nil, r.fail(r.line, errors.New("the trace has no requests"))
	}
	t.arrange(at, r.fine)
	return t, nil
}

// arrange puts the requests in the order of their times, of which at has each, and sets At.
func (t *Trace) arrange(at []int64, fine bool) {
	if len(at) == 0 {
		return
	}
	if !slices.IsSorted(at) { // a dump, or several watchers' lines
		order := make([]int, len(at))
		for i := range order {
			order[i] = i
		}
		slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(at[a], at[b]) })
		reqs, times := make([]Request, len(at)), make([]int64, len(at))
		for i, from := range order {
			reqs[i], times[i] = t.Reqs[from], at[from]
		}
		t.Reqs, at = reqs, times
	}
	first := at[0]
	for i := 0; i < len(at); {
		j := i
		for j < len(at) && at[j] == at[i] {
			j++
		}
		second := at[i]
		for k := i; k < j; k++ {
			if at[k] = second - first; !fine {
				at[k] += int64(k-i) * 1e6 / int64(j-i)
			}
		}
		i = j
	}
	t.At = at
}
