package top

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/memherd/memherd/bench/internal/report"
	"github.com/memherd/memherd/hotkey"
	"github.com/memherd/memherd/ring"
)

// Key is one line of the list.
type Key struct {
	Key            string  `json:"key"`
	Share          float64 `json:"share"` // of all gets that were seen, 0 to 1
	PerSecond      float64 `json:"per_second"`
	BytesPerSecond float64 `json:"bytes_per_second"`
}

// Sample is what a fleet was asked for in one moment.
type Sample struct {
	At      time.Time     `json:"at"`
	Watched time.Duration `json:"watched_ns"`
	// PerSecond is the gets of all nodes that were seen, Lost how many events got lost, so that the rates, not the
	// shares, are too low by that.
	PerSecond float64  `json:"per_second"`
	Lost      uint64   `json:"lost"`
	Nodes     int      `json:"nodes"`            // that could be watched
	Keys      []Key    `json:"keys"`             // never null
	Failed    []string `json:"failed,omitempty"` // why others could not
}

// Take watches all nodes at once, for so long, and returns the n keys they were asked for most.
func Take(ctx context.Context, addrs []string, lasts time.Duration, n int) (Sample, error) {
	// Every event counts: one in many has been left out already if there were too many.
	d, err := hotkey.NewDetector(&hotkey.Config{Budget: -1, HeavyBytes: 1 << 20, SketchBytes: 1 << 20, Window: 1 << 30}, len(addrs))
	if err != nil {
		return Sample{}, err
	}
	r, err := ring.New(ring.Config{Nodes: ring.Addrs(addrs...)})
	if err != nil {
		return Sample{}, err
	}
	s := Sample{At: time.Now(), Watched: lasts, Keys: []Key{}}
	var mu sync.Mutex // guards s.Lost, s.Nodes, s.Failed, seen, early and, for order's sake, the detector
	var seen uint64
	var wg sync.WaitGroup
	early := map[string]*tally{}
	for _, node := range r.Nodes() {
		addr := node.Addr // with its port
		wg.Go(func() {
			lost, err := Watch(ctx, addr, lasts, func(e Event) {
				mu.Lock()
				d.Observe(r.Hash(e.Key), e.Key, e.Size)
				seen++
				if early[e.Key] == nil && len(early) < n {
					early[e.Key] = &tally{}
				}
				early[e.Key].count(e)
				mu.Unlock()
			})
			mu.Lock()
			defer mu.Unlock()
			s.Lost += lost
			if err != nil {
				s.Failed = append(s.Failed, err.Error())
				return
			}
			s.Nodes++
		})
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return s, err
	}
	slices.Sort(s.Failed)
	s.PerSecond = float64(seen) / lasts.Seconds()
	for _, h := range d.Top(n) {
		share := float64(h.Count) / float64(max(1, seen))
		k := Key{Key: h.Key, Share: min(1, share), PerSecond: float64(h.Count) / lasts.Seconds()}
		if h.PerSecond > 0 {
			k.BytesPerSecond = k.PerSecond * h.BytesPerSecond / h.PerSecond // times the mean size
		}
		s.Keys = append(s.Keys, k)
		delete(early, h.Key)
	}
	// The detector learns a key's name from its second get. Where few keys come twice, the first that came fill the list.
	for key, t := range early {
		s.Keys = append(s.Keys, Key{Key: key, Share: float64(t.gets) / float64(seen), PerSecond: float64(t.gets) / lasts.Seconds(),
			BytesPerSecond: float64(t.bytes) / lasts.Seconds()})
	}
	slices.SortFunc(s.Keys, func(a, b Key) int {
		return cmp.Or(cmp.Compare(b.PerSecond, a.PerSecond), cmp.Compare(a.Key, b.Key))
	})
	s.Keys = s.Keys[:min(n, len(s.Keys))]
	return s, nil
}

// tally is what one key was asked for. A nil one counts nothing.
type tally struct{ gets, bytes uint64 }

func (t *tally) count(e Event) {
	if t != nil {
		t.gets++
		t.bytes += uint64(e.Size)
	}
}

// Print writes the sample as a table for people.
func (s *Sample) Print(w io.Writer) {
	fmt.Fprintf(w, "%s  %s gets a second on %d nodes", s.At.Format(time.TimeOnly), report.Count(int64(s.PerSecond)), s.Nodes)
	if s.Lost > 0 {
		fmt.Fprintf(w, ", %s events lost", report.Count(int64(s.Lost)))
	}
	fmt.Fprintln(w)
	for _, f := range s.Failed {
		fmt.Fprintln(w, "  not watched:", f)
	}
	if s.Nodes == 0 {
		return
	}
	if len(s.Keys) == 0 {
		fmt.Fprint(w, "  no key was asked for\n\n")
		return
	}
	rows := [][]string{{"key", "share", "gets/s", "KB/s"}}
	for _, k := range s.Keys {
		rows = append(rows, []string{fmt.Sprintf("%q", k.Key), fmt.Sprintf("%.1f %%", 100*k.Share), report.Count(int64(k.PerSecond)), fmt.Sprintf("%.1f", k.BytesPerSecond/1e3)})
	}
	report.Align(w, rows)
	fmt.Fprintln(w)
}
