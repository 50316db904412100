package nodeserver

import (
	"maps"
	"slices"
	"strconv"

	"github.com/memherd/memherd/nodeserver/store"
)

// sizeStep is how wide the ranges are, in bytes, by which stats sizes counts items:
// memcached's. A range is named by its upper end.
const sizeStep = 32

// enableSizes has stats sizes count the items stored from now on, as memcached does; it
// changes nothing where they are counted already.
func (s *Server) enableSizes() { s.sizesFrom.CompareAndSwap(0, s.nextCAS()) }

// statsSizes answers stats sizes. memcached keeps the counts up to date with every store and
// delete; here that costs nothing, and the items are looked through when somebody asks. An
// item counts if its version is as new as sizesFrom, which is memcached's rule, too: so one
// that was there before, or was given a lower version by E, does not. Nor does one whose time
// is over, which memcached counts until it has noticed.
func (c *conn) statsSizes() {
	from := c.srv.sizesFrom.Load()
	if from == 0 {
		c.stat("sizes_status", "disabled")
		return
	}
	if !c.leave() { // it takes long, and others need not wait
		return
	}
	counts := map[int]uint64{}
	c.srv.store.Each(c.now, func(i store.Info) bool {
		if i.CAS >= from {
			size := store.Size(len(i.Key), i.ClientFlags, i.ValueLen)
			counts[(size+sizeStep-1)/sizeStep*sizeStep]++
		}
		return true
	})
	for _, upTo := range slices.Sorted(maps.Keys(counts)) {
		c.statNum(strconv.Itoa(upTo), counts[upTo])
	}
}

// switchSizes answers stats sizes_enable and sizes_disable: with one line and no END, as
// memcached does.
func (c *conn) switchSizes(on bool) {
	if on {
		c.srv.enableSizes()
		c.stat("sizes_status", "enabled")
		return
	}
	c.srv.sizesFrom.Store(0)
	c.stat("sizes_status", "disabled")
}
