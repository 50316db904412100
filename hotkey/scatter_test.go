package hotkey

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestScatterDefaults(t *testing.T) {
	s, err := Scatter{}.WithDefaults()
	require.NoError(t, err)
	require.Equal(t, Scatter{Copies: 8, Staleness: 3 * time.Second}, s)
	s, err = Scatter{Copies: 64, Share: 1, Staleness: time.Hour}.WithDefaults()
	require.NoError(t, err)
	require.Equal(t, Scatter{Copies: 64, Share: 1, Staleness: time.Hour}, s)
}

func TestScatterRefusesBadInput(t *testing.T) {
	for field, bad := range map[string][]Scatter{
		"Config.Scatter.Copies": {{Copies: -1}, {Copies: 65}},
		"Config.Scatter.Share":  {{Share: -0.1}, {Share: 1.1}, {Share: math.NaN()}},
		"Config.Scatter.Staleness": {{Staleness: -1}, {Staleness: 2 * time.Second}, {Staleness: 3500 * time.Millisecond},
			{Staleness: time.Hour + time.Second}},
	} {
		for _, s := range bad {
			_, err := s.WithDefaults()
			require.ErrorContains(t, err, field)
			_, err = NewDetector(&Config{Scatter: &s}, 3)
			require.ErrorContains(t, err, field, "at New, before anything is done")
		}
	}
}

func TestMayScatter(t *testing.T) {
	var none *Config
	require.False(t, none.MayScatter("k"))
	require.False(t, (&Config{}).MayScatter("k"))
	c := &Config{Scatter: &Scatter{}, Prefixes: []Prefix{{"exact:", -1}, {"exact:but:", time.Second}, {"a", 0}}}
	for key, may := range map[string]bool{"k": true, "exact:1": false, "exact:but:1": true, "a1": true} {
		require.Equal(t, may, c.MayScatter(key), key)
	}
}
