package nodeserver

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
)

// prefixStats counts classic commands by what stands before the first end of a key, while
// stats detail is on.
type prefixStats struct {
	on  atomic.Bool
	end byte

	mu     sync.Mutex // guards counts
	counts map[string]*prefixCount
}

type prefixCount struct{ get, hit, set, del uint64 }

// maxPrefixes bounds what keys can make a node remember; further prefixes are not
// counted.
const maxPrefixes = 10_000

func (p *prefixStats) init(end byte) {
	p.on.Store(end != 0)
	p.end = cmp.Or(end, ':')
}

// note counts; nothing is done for a key without an end.
func (p *prefixStats) note(key []byte, count func(*prefixCount)) {
	i := bytes.IndexByte(key, p.end)
	if i < 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.counts[string(key[:i])]
	if n == nil {
		if len(p.counts) >= maxPrefixes {
			return
		}
		if p.counts == nil {
			p.counts = map[string]*prefixCount{}
		}
		n = new(prefixCount)
		p.counts[string(key[:i])] = n
	}
	count(n)
}

func (p *prefixStats) noteGet(key []byte, hit bool) {
	if p.on.Load() {
		p.note(key, func(n *prefixCount) {
			n.get++
			if hit {
				n.hit++
			}
		})
	}
}

func (p *prefixStats) noteSet(key []byte) {
	if p.on.Load() {
		p.note(key, func(n *prefixCount) { n.set++ })
	}
}

func (p *prefixStats) noteDelete(key []byte) {
	if p.on.Load() {
		p.note(key, func(n *prefixCount) { n.del++ })
	}
}

// statsDetail answers stats detail on|off|dump.
func (c *conn) statsDetail(what []byte) {
	p := &c.srv.prefixes
	switch string(what) {
	case "on":
		p.on.Store(true)
		c.line("OK")
	case "off":
		p.on.Store(false)
		c.line("OK")
	case "dump":
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, name := range slices.Sorted(maps.Keys(p.counts)) {
			n := p.counts[name]
			c.out.buf = fmt.Appendf(c.out.buf, "PREFIX %s get %d hit %d set %d del %d\r\n", name, n.get, n.hit, n.set, n.del)
		}
		c.line("END")
	default:
		c.line("CLIENT_ERROR usage: stats detail on|off|dump")
	}
}
