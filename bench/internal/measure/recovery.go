package measure

import (
	"slices"
	"time"
)

// Median returns the median of the slices' operations, 0 if there are none.
func Median(s []uint32) float64 {
	if len(s) == 0 {
		return 0
	}
	s = slices.Clone(s)
	slices.Sort(s)
	if n := len(s); n%2 == 0 {
		return (float64(s[n/2-1]) + float64(s[n/2])) / 2
	}
	return float64(s[len(s)/2])
}

// Recovery is what a fault did to the throughput.
type Recovery struct {
	Dip       float64       // the lowest slice's share of the steady throughput
	After     time.Duration // from the fault to the end of the dip; 0 if there was none
	Recovered bool          // false if it was still down when the measurement ended
}

// hold is how many slices in a row must be back, on average, for a dip to be over:
// one good slice among bad ones is no recovery.
const hold = 3

// Recover looks at the slices since a fault. The throughput has dipped in the first
// slice below share of the steady one, if that comes within a second of the fault
// (later ones are noise, not the fault), and is back at the first slice from which
// on it and the mean of the following ones reach share again.
func Recover(since []uint32, steady, share float64) Recovery {
	want := steady * share
	out := Recovery{Dip: 1, Recovered: true}
	if steady <= 0 || len(since) == 0 {
		return out
	}
	out.Dip = float64(slices.Min(since)) / steady
	dip := slices.IndexFunc(since[:min(len(since), int(time.Second/Slice))], func(n uint32) bool { return float64(n) < want })
	if dip < 0 {
		return out
	}
	for i := dip + 1; i < len(since); i++ {
		next, sum := since[i:min(i+hold, len(since))], 0.0
		for _, n := range next {
			sum += float64(n)
		}
		if float64(since[i]) >= want && sum/float64(len(next)) >= want {
			out.After = time.Duration(i) * Slice
			return out
		}
	}
	out.After, out.Recovered = time.Duration(len(since))*Slice, false
	return out
}
