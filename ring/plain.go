package ring

import "math/bits"

// plain is rendezvous for fleets with neither weights nor zones. A node's draw
// and the node itself fit in one word, which makes keeping the best few a matter of
// minima and maxima without branches; a mispredicted branch per draw is what costs most
// in a small fleet. The lists are those that rendezvous makes of the same fleet.
type plain struct {
	members []member
	copies  int
}

// branchless is how many nodes are cheaper to take in unasked than to ask first
// whether they can be among the best.
const branchless = 16

func (p plain) fill(out []uint16, first, last int) {
	if p.copies <= 3 {
		p.fill3(out, first, last)
		return
	}
	var buf [MaxCopies]uint64
	best := buf[:p.copies]
	for slot := first; slot < last; slot++ {
		sa, sb := slotSeeds(slot)
		clear(best)
		for i := range p.members {
			d := draw(&p.members[i], sa, sb)
			if d < best[len(best)-1] {
				continue
			}
			for j, b := range best {
				best[j], d = max(b, d), min(b, d)
			}
		}
		for i, d := range best {
			out[i] = ^uint16(d)
		}
		out = out[p.copies:]
	}
}

// fill3 is fill for lists of up to three, which stay in registers.
func (p plain) fill3(out []uint16, first, last int) {
	early := p.members[:min(branchless, len(p.members))]
	late := p.members[len(early):]
	for slot := first; slot < last; slot++ {
		sa, sb := slotSeeds(slot)
		a, b, c := bestThree(early, sa, sb)
		if len(late) > 0 {
			a, b, c = betterThree(late, sa, sb, a, b, c)
		}
		best := [3]uint64{a, b, c}
		for i := range p.copies {
			out[i] = ^uint16(best[i])
		}
		out = out[p.copies:]
	}
}

// bestThree returns the three best draws, best first. It and betterThree are
// functions of their own because the compiler then has registers for all they use. They
// share nothing with anybody (compile.go).
//
//go:noinline
//go:norace
func bestThree(members []member, sa, sb uint64) (a, b, c uint64) {
	for i := range members {
		d := draw(&members[i], sa, sb)
		a, d = max(a, d), min(a, d)
		b, d = max(b, d), min(b, d)
		c = max(c, d)
	}
	return a, b, c
}

// betterThree goes on where bestThree has stopped with a, b and c. By now few draws
// are better than c, and a score below c's without its node can't be: most nodes cost no more
// than that comparison. It is what a fleet of 1,000 spends its time on.
//
//go:noinline
//go:norace
func betterThree(members []member, sa, sb, a, b, c uint64) (uint64, uint64, uint64) {
	least := c &^ 0xffff
	for i := range members {
		m := &members[i]
		hi, lo := bits.Mul64(m.a^sa, m.b^sb)
		if hi^lo < least {
			continue
		}
		if d := draw(m, sa, sb); d > c {
			a, d = max(a, d), min(a, d)
			b, d = max(b, d), min(b, d)
			c = max(c, d)
			least = c &^ 0xffff
		}
	}
	return a, b, c
}

// draw is the score above the node's complement, so that of two equal scores the
// earlier name has the larger word. It is never zero: node 65535 doesn't exist.
func draw(m *member, sa, sb uint64) uint64 {
	return score(m, sa, sb) | uint64(^m.node)
}
