package versus

// Bound is what a ratio is held against: Floor must be reached, Aim is hoped for.
// Zero means that there is none.
type Bound struct {
	Floor float64 `json:"floor,omitempty"`
	Aim   float64 `json:"aim,omitempty"`
}

// Verdict is what a ratio comes to.
type Verdict string

// The verdicts. Even is a ratio inside the noise, good enough for a floor of up to 1;
// Noisy one inside a noise so wide that it says nothing; Unmeasured one that could not
// be taken.
const (
	None       Verdict = ""
	Even       Verdict = "even"
	Noisy      Verdict = "noisy"
	Below      Verdict = "below"
	Reached    Verdict = "ok"
	Aimed      Verdict = "aim"
	Unmeasured Verdict = "not measured"
)

// tooWide is how many times the least of the noise's ratios its most may be for a ratio
// inside to be called even.
const tooWide = 1.5

// Judge holds the ratio of a contender against b. noise is the same ratio of the base
// to itself: a ratio within it is not told apart from 1 and counts as 1, whatever it
// happens to be.
func (b Bound) Judge(ratio, noise Spread) Verdict {
	v, even := ratio.Mid, noise.Holds(ratio.Mid)
	if even {
		v = 1
	}
	switch {
	case ratio.Mid == 0:
		if b == (Bound{}) {
			return None
		}
		return Unmeasured
	case even && noise.Max > tooWide*noise.Min:
		return Noisy
	case b == (Bound{}):
		if even {
			return Even
		}
		return None
	case v < b.Floor:
		return Below
	case b.Aim > 0 && v >= b.Aim:
		return Aimed
	case even:
		return Even
	}
	return Reached
}

// Holds says whether the floor is reached.
func (v Verdict) Holds() bool { return v == Even || v == Reached || v == Aimed }
