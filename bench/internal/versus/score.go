package versus

import "slices"

// Score is how one contender did in all its turns.
type Score struct {
	Name       string  `json:"name"`
	Goroutines int     `json:"goroutines"`
	OpsPerS    float64 `json:"ops_per_s"` // this and the next four: median of the rounds
	P50        float64 `json:"p50_us"`
	P99        float64 `json:"p99_us"`
	ClientCPU  float64 `json:"client_cpu_us"` // an operation
	ServerCPU  float64 `json:"server_cpu_us"`
	// Ratio is how many times as many operations as Base, P50Ratio how many times as
	// short the median latency, CPURatio how many times as little client CPU an
	// operation: more is better in all of them.
	Ratio    Spread `json:"ratio"`
	P50Ratio Spread `json:"p50_ratio"`
	CPURatio Spread `json:"cpu_ratio"`
}

// Spread is the median, the least and the most of the rounds' ratios; all 0 if there
// was nothing to divide.
type Spread struct {
	Mid float64 `json:"mid"`
	Min float64 `json:"min"`
	Max float64 `json:"max"`
}

// Holds says whether v lies within the spread.
func (s Spread) Holds(v float64) bool { return s.Min <= v && v <= s.Max }

func score(name string, goroutines int, turns, base []Turn) Score {
	column := func(f func(t Turn) float64) float64 {
		var v []float64
		for _, t := range turns {
			v = append(v, f(t))
		}
		return median(v)
	}
	return Score{Name: name, Goroutines: goroutines,
		OpsPerS:   column(func(t Turn) float64 { return t.OpsPerS }),
		P50:       column(func(t Turn) float64 { return t.P50 }),
		P99:       column(func(t Turn) float64 { return t.P99 }),
		ClientCPU: column(func(t Turn) float64 { return t.ClientCPU }),
		ServerCPU: column(func(t Turn) float64 { return t.ServerCPU }),
		Ratio:     spread(turns, base, func(t, b Turn) (float64, float64) { return t.OpsPerS, b.OpsPerS }),
		P50Ratio:  spread(turns, base, func(t, b Turn) (float64, float64) { return b.P50, t.P50 }),
		CPURatio:  spread(turns, base, func(t, b Turn) (float64, float64) { return b.ClientCPU, t.ClientCPU }),
	}
}

// spread divides within each round. A round in which either side has no figure gives
// no ratio.
func spread(turns, base []Turn, f func(t, b Turn) (over, under float64)) Spread {
	var v []float64
	for i := range turns {
		if over, under := f(turns[i], base[i]); over > 0 && under > 0 {
			v = append(v, over/under)
		}
	}
	if len(v) == 0 {
		return Spread{}
	}
	return Spread{Mid: median(v), Min: slices.Min(v), Max: slices.Max(v)}
}

func median(v []float64) float64 {
	v = slices.Clone(v)
	slices.Sort(v)
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}
