// Package sketches holds the textbook ways to find the most frequent keys of a stream in little memory, for the
// detector of package hotkey to be compared with.
package sketches

import (
	"cmp"
	"container/heap"
	"slices"
)

// TopK keeps the k keys with the largest counts it was ever told of. It is for one goroutine.
type TopK struct {
	k    int
	at   map[uint64]int // key to place in heap
	heap []Counted
}

// Counted is a key, by its number, with a count.
type Counted struct {
	Key   uint64
	Count uint32
}

// NewTopK returns one that keeps k keys.
func NewTopK(k int) *TopK { return &TopK{k: k, at: make(map[uint64]int, k)} }

// Offer tells of a key and what it is believed to have.
func (t *TopK) Offer(key uint64, count uint32) {
	if i, ok := t.at[key]; ok {
		if count > t.heap[i].Count {
			t.heap[i].Count = count
			heap.Fix((*least)(t), i)
		}
		return
	}
	if len(t.heap) < t.k {
		heap.Push((*least)(t), Counted{key, count})
		return
	}
	if count <= t.heap[0].Count {
		return
	}
	delete(t.at, t.heap[0].Key)
	t.heap[0] = Counted{key, count}
	t.at[key] = 0
	heap.Fix((*least)(t), 0)
}

// Holds says whether key is among them.
func (t *TopK) Holds(key uint64) bool {
	_, ok := t.at[key]
	return ok
}

// Least is the smallest count among them, 0 while there is room.
func (t *TopK) Least() uint32 {
	if len(t.heap) < t.k {
		return 0
	}
	return t.heap[0].Count
}

// Keys returns them, the largest count first.
func (t *TopK) Keys() []Counted {
	out := slices.Clone(t.heap)
	slices.SortFunc(out, func(a, b Counted) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Key, b.Key))
	})
	return out
}

// least is TopK as a heap with the smallest count on top.
type least TopK

func (h *least) Len() int           { return len(h.heap) }
func (h *least) Less(i, j int) bool { return h.heap[i].Count < h.heap[j].Count }

func (h *least) Swap(i, j int) {
	h.heap[i], h.heap[j] = h.heap[j], h.heap[i]
	h.at[h.heap[i].Key], h.at[h.heap[j].Key] = i, j
}

func (h *least) Push(x any) {
	c := x.(Counted)
	h.at[c.Key] = len(h.heap)
	h.heap = append(h.heap, c)
}

func (h *least) Pop() any {
	last := h.heap[len(h.heap)-1]
	h.heap = h.heap[:len(h.heap)-1]
	delete(h.at, last.Key)
	return last
}
