package workload

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestFlashComesAndGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		base, err := NewUniform(1_000_000)
		require.NoError(t, err)
		f, err := NewFlash(base, 1_000_000, 3, .5, time.Second, 2*time.Second, 7)
		require.NoError(t, err)
		r := Rand(1, 0)
		for _, want := range []float64{0, 5000, 5000, 0} { // in the seconds from 0, 1, 2, 3
			n := 0.0
			for range 10_000 {
				if k := f.Next(r); (k-f.first+1_000_000)%1_000_000 < 3 {
					n++
				}
			}
			assert.InDelta(t, want, n, 250)
			time.Sleep(time.Second)
		}
	})
	base, err := NewUniform(5)
	require.NoError(t, err)
	for name, f := range map[string]func() error{
		"no keys":  func() error { _, err := NewFlash(base, 0, 1, 1, 0, 1, 1); return err },
		"too few":  func() error { _, err := NewFlash(base, 5, 0, 1, 0, 1, 1); return err },
		"too many": func() error { _, err := NewFlash(base, 5, 6, 1, 0, 1, 1); return err },
		"share":    func() error { _, err := NewFlash(base, 5, 1, 2, 0, 1, 1); return err },
		"early":    func() error { _, err := NewFlash(base, 5, 1, 1, -1, 1, 1); return err },
		"never":    func() error { _, err := NewFlash(base, 5, 1, 1, 0, 0, 1); return err },
	} {
		assert.Error(t, f(), name)
	}
}
