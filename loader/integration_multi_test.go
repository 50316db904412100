package loader_test

import (
	"sync"
	"testing"

	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/ring"
)

// Two processes ask real nodes for overlapping lists: every key is loaded once, by few
// queries, and all get all.
func TestGetMultiOnNodes(t *testing.T) {
	onBoth(t, func(t *testing.T, nodes []ring.Node) {
		r := &rows{}
		cfg := loader.Config[string]{Prefix: "rows:", Load: r.load, LoadMany: r.loadMany}
		a, _ := newProcess(t, nodes, cfg)
		b, _ := newProcess(t, nodes, cfg)
		var wg sync.WaitGroup
		for i := range 40 {
			l := []*loader.Loader[string]{a, b}[i%2]
			wg.Go(func() { readAll(t, l, span(i%10, i%10+50)) })
		}
		wg.Wait()
		r.loadedOnce(t, 59)
	})
}
