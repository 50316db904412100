package workload

import (
	"errors"
	"fmt"
	"math"
	"strings"
)

// Mix is a distribution of sizes or times: what each key gets of it follows from the key's number. The zero Mix has no
// values. It is immutable.
type Mix struct {
	parts []part
	mean  float64 // of an exponential distribution, instead of parts
	least float64 // of all values
	most  float64
}

// part is a share of a Mix: values between lo and hi, each as likely.
type part struct{ lo, hi, upTo float64 } // upTo is this part's share and those before it

// ParseMix reads a distribution, its values by unit, within least and most:
//
//	100                  one value
//	100-2000             any value between, all alike
//	64:0.7,1000-9000:0.3 some of each, by weight
//	exp:300              exponential around that mean
//
// The error says what is wrong with text.
func ParseMix(text string, unit func(string) (float64, error), least, most float64) (Mix, error) {
	m := Mix{least: least, most: most}
	value := func(s string) (float64, error) {
		v, err := unit(strings.TrimSpace(s))
		if err != nil {
			return 0, err
		}
		if !(v >= least && v <= most) {
			return 0, fmt.Errorf("%s is out of range", strings.TrimSpace(s))
		}
		return v, nil
	}
	var err error
	if mean, ok := strings.CutPrefix(text, "exp:"); ok {
		if m.mean, err = value(mean); err == nil && m.mean <= 0 {
			err = errors.New("the mean must be positive")
		}
		return m, err
	}
	sum := 0.0
	for item := range strings.SplitSeq(text, ",") {
		p, weight := part{}, 1.0
		values, share, weighted := strings.Cut(item, ":")
		if weighted {
			if _, err := fmt.Sscanf(strings.TrimSpace(share)+"\n", "%g\n", &weight); err != nil || !(weight > 0 && weight < 1e12) {
				return Mix{}, fmt.Errorf("%q is no weight", strings.TrimSpace(share))
			}
		}
		lo, hi, span := strings.Cut(values, "-")
		if lo == "" {
			lo, span = values, false // a negative value, not a span
		}
		if p.lo, err = value(lo); err != nil {
			return Mix{}, err
		}
		p.hi = p.lo
		if span {
			if p.hi, err = value(hi); err != nil {
				return Mix{}, err
			}
			if p.hi < p.lo {
				return Mix{}, fmt.Errorf("%s ends before it begins", strings.TrimSpace(values))
			}
		}
		sum += weight
		p.upTo = sum
		m.parts = append(m.parts, p)
	}
	for i := range m.parts {
		m.parts[i].upTo /= sum
	}
	return m, nil
}

// At is the value that belongs to u: with every u from 0 to 1 as likely, each value is as likely as the distribution
// says.
func (m Mix) At(u float64) float64 {
	if m.mean > 0 {
		return min(max(-m.mean*math.Log1p(-min(u, 1-1e-15)), m.least), m.most)
	}
	before := 0.0
	for i, p := range m.parts {
		if u < p.upTo || i == len(m.parts)-1 {
			if p.upTo <= before { // its weight is nothing beside the others
				return p.hi
			}
			return p.lo + (p.hi-p.lo)*min(1, max(0, (u-before)/(p.upTo-before)))
		}
		before = p.upTo
	}
	return 0
}

// Of is what key i gets: of many keys each value as many as the distribution says, the same for the same seed.
func (m Mix) Of(seed uint64, i int) float64 { return m.At(draw(seed, i)) }

// StepOf is Of in no more than n different values: where there are more, one stands for those around it.
func (m Mix) StepOf(seed uint64, i, n int) float64 {
	return m.At((math.Floor(draw(seed, i)*float64(n)) + .5) / float64(n))
}

// draw is a number from 0 to 1 that belongs to key i.
func draw(seed uint64, i int) float64 {
	return float64(mix(seed^mix(uint64(i)))>>11) / (1 << 53)
}

// Single says whether all keys get the same value.
func (m Mix) Single() bool {
	return m.mean == 0 && len(m.parts) == 1 && m.parts[0].lo == m.parts[0].hi
}

// String says what the distribution has, for errors of the bench and its notes.
func (m Mix) String() string {
	switch {
	case m.mean > 0:
		return fmt.Sprintf("exponential, mean %g", m.mean)
	case len(m.parts) == 0:
		return "nothing"
	case m.Single():
		return fmt.Sprintf("%g", m.parts[0].lo)
	}
	lo, hi := m.parts[0].lo, m.parts[0].hi
	for _, p := range m.parts {
		lo, hi = min(lo, p.lo), max(hi, p.hi)
	}
	return fmt.Sprintf("%g to %g", lo, hi)
}
