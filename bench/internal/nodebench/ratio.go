package nodebench

import (
	"bufio"
	"compress/gzip"
	"container/list"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
)

// Trace is a list of requests: the numbers of keys.
type Trace []int

// ReadTrace reads a file of one key number a line, gzip or plain, and of it at most limit
// requests; 0 is all.
func ReadTrace(path string, limit int) (Trace, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	head := bufio.NewReader(f)
	var r io.Reader = head
	// Told by the content, not by the name. A shorter file is plain; what cannot be read says so below.
	if magic, _ := head.Peek(2); string(magic) == "\x1f\x8b" {
		if r, err = gzip.NewReader(head); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	var t Trace
	sc := bufio.NewScanner(r)
	for line := 1; sc.Scan() && (limit == 0 || len(t) < limit); line++ {
		n, err := strconv.Atoi(sc.Text())
		if err != nil || n < 0 {
			return nil, fmt.Errorf("%s: line %d is no key number", path, line)
		}
		t = append(t, n)
	}
	if err := sc.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(t) == 0 {
		return nil, fmt.Errorf("%s: no requests in it", path)
	}
	return t, nil
}

// Sizes are the values' lengths by key: mean bytes, up to a half more or less, the same
// for every server.
func (t Trace) Sizes(mean int, seed uint64) (size map[int]int, total int) {
	size = map[int]int{}
	for _, k := range t {
		if _, ok := size[k]; !ok {
			size[k] = mean/2 + rand.New(rand.NewPCG(seed, uint64(k))).IntN(mean+1)
			total += size[k]
		}
	}
	return size, total
}

// together is how many keys are asked for at once. What of them is missing is stored
// before the next are asked for.
const together = 16

const noMemory = "SERVER_ERROR out of memory storing object\r\n"

// HitRatio plays a trace to the server, which should be empty: each key is asked for, and
// stored when it is missing. The ratio is of 1.
func (s Server) HitRatio(ctx context.Context, t Trace, size map[int]int) (float64, error) {
	nc, err := net.Dial("tcp", s.Addr)
	if err != nil {
		return 0, err
	}
	defer nc.Close()
	stop := context.AfterFunc(ctx, func() { nc.Close() })
	defer stop()
	largest := 0
	for _, n := range size {
		largest = max(largest, n)
	}
	value := strings.Repeat("v", largest)
	br := bufio.NewReader(nc)
	hits := 0
	var req []byte
	for at := 0; at < len(t); at += together {
		batch := t[at:min(at+together, len(t))]
		req = req[:0]
		for _, k := range batch {
			req = fmt.Appendf(req, "mg k%08d\r\n", k)
		}
		if _, err := nc.Write(req); err != nil {
			return 0, err
		}
		req = req[:0]
		for _, k := range batch {
			line, err := br.ReadSlice('\n')
			// The only answer to a set: a memcached whose slab classes have no page for
			// it. The key stays missing.
			for err == nil && string(line) == noMemory {
				line, err = br.ReadSlice('\n')
			}
			switch {
			case err != nil:
				return 0, err
			case string(line) == "HD\r\n":
				hits++
			case string(line) == "EN\r\n":
				req = fmt.Appendf(req, "ms k%08d %d q\r\n%s\r\n", k, size[k], value[:size[k]])
			default:
				return 0, fmt.Errorf("%s answered %q", s.Name, line)
			}
		}
		if _, err := nc.Write(req); err != nil {
			return 0, err
		}
	}
	return float64(hits) / float64(len(t)), nil
}

// ExactLRU is the hit ratio of a list of so many bytes of values, which has no overhead
// and is asked in the same way.
func (t Trace) ExactLRU(size map[int]int, bytes int) float64 {
	order, at, used, hits := list.New(), map[int]*list.Element{}, 0, 0
	for from := 0; from < len(t); from += together {
		var missing []int
		for _, k := range t[from:min(from+together, len(t))] {
			if e, ok := at[k]; ok {
				order.MoveToFront(e)
				hits++
			} else {
				missing = append(missing, k)
			}
		}
		for _, k := range missing {
			if e, ok := at[k]; ok { // twice in one batch
				order.MoveToFront(e)
				continue
			}
			at[k] = order.PushFront(k)
			for used += size[k]; used > bytes; {
				last := order.Remove(order.Back()).(int)
				delete(at, last)
				used -= size[last]
			}
		}
	}
	return float64(hits) / float64(len(t))
}
