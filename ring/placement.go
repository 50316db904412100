package ring

import (
	"crypto/fips140"
	"fmt"
	"slices"
)

// Placement is an algorithm that orders the nodes for a key.
type Placement uint8

const (
	// Rendezvous ranks the nodes of each slot by highest random weight
	// (Thaler and Ravishankar 1998), weighted as in Schindelhauer and
	// Schomaker 2005. It spreads keys most evenly and moves fewest.
	Rendezvous Placement = iota

	// Classic is consistent hashing with virtual nodes (Karger et al. 1997).
	Classic

	// Ketama places keys as libmemcached's weighted ketama and twemproxy do. A
	// node's label is its Name, without the port if that is 11211.
	Ketama

	// KetamaHostPort places keys as the original libketama does: a node's label has
	// its port always.
	KetamaHostPort
)

var placementNames = []string{Rendezvous: "rendezvous", Classic: "classic", Ketama: "ketama", KetamaHostPort: "ketama-hostport"}

// String returns "rendezvous", "classic", "ketama" or "ketama-hostport".
func (p Placement) String() string {
	if int(p) < len(placementNames) {
		return placementNames[p]
	}
	return fmt.Sprintf("Placement(%d)", uint8(p))
}

// MarshalText is String, for configuration files; unknown placements are
// ErrBadPlacement.
func (p Placement) MarshalText() ([]byte, error) {
	if int(p) >= len(placementNames) {
		return nil, fmt.Errorf("%w: %v", ErrBadPlacement, p)
	}
	return []byte(p.String()), nil
}

// UnmarshalText reads what MarshalText writes, so that a Placement can stand in
// a configuration file or behind a flag.
func (p *Placement) UnmarshalText(text []byte) error {
	i := slices.Index(placementNames, string(text))
	if i < 0 {
		return fmt.Errorf("%w %q, want one of %q", ErrBadPlacement, text, placementNames)
	}
	*p = Placement(i)
	return nil
}

// checkPlacement completes the plan with what its placement needs. vnodes is
// Config.VirtualNodes as given.
func (p *plan) checkPlacement(vnodes int) error {
	switch p.placement {
	case Rendezvous:
		return nil
	case Classic:
		return p.checkPoints(vnodes)
	case Ketama, KetamaHostPort:
		return p.planKetama(vnodes)
	}
	return fmt.Errorf("%w: %v, want one of %q", ErrBadPlacement, p.placement, placementNames)
}

// checkPoints keeps a ring with a fixed number of points per unit of weight within
// MaxPoints.
func (p *plan) checkPoints(vnodes int) error {
	if vnodes < 0 {
		return fmt.Errorf("%w: %d, want 0 (meaning %d) or more", ErrBadVirtualNodes, vnodes, DefaultVirtualNodes)
	}
	var points int64 // can't overflow: the loop ends at the limit
	for i := range p.active {
		points += int64(p.node(i).Weight)
		if points > MaxPoints/int64(p.vnodes) {
			return fmt.Errorf("%w: %d for each unit of weight makes more than %d in all; use smaller weights or fewer virtual nodes",
				ErrBadVirtualNodes, p.vnodes, MaxPoints)
		}
	}
	return nil
}

// planKetama counts every node's points. The C libraries round a node of very little weight
// down to none.
func (p *plan) planKetama(vnodes int) error {
	if fips140.Enforced() {
		return fmt.Errorf("%w: %v needs MD5, which GODEBUG=fips140=only forbids", ErrBadPlacement, p.placement)
	}
	if vnodes%ketamaPerHash != 0 {
		return fmt.Errorf("%w: %d, want 0 or a multiple of %d: each hash makes so many", ErrBadVirtualNodes, vnodes, ketamaPerHash)
	}
	if vnodes != 0 {
		if err := p.checkPoints(vnodes); err != nil {
			return err
		}
	}
	var weight int64
	for i := range p.active {
		weight += int64(p.node(i).Weight)
	}
	sum, placed := 0, 0
	p.points = make([]int, len(p.active))
	for i := range p.active {
		if w := p.node(i).Weight; vnodes != 0 {
			p.points[i] = vnodes * w
		} else {
			p.points[i] = ketamaCount(p.placement, int64(w), weight, len(p.active))
		}
		sum += p.points[i]
		if p.points[i] > 0 {
			placed++
		}
	}
	if sum > MaxPoints {
		return fmt.Errorf("%w: %d nodes have %d in all, want at most %d", ErrBadVirtualNodes, len(p.active), sum, MaxPoints)
	}
	if placed < p.copies {
		return fmt.Errorf("%w: %d copies of every key, but the weights leave only %d nodes with a point on the ketama ring; use weights that differ less",
			ErrTooFewNodes, p.copies, placed)
	}
	return nil
}
