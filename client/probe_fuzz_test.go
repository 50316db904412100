package client

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Whatever a server answers to the probe, in whatever pieces it comes: it is read the
// same, never half, and what is kept of it is fit to be shown.
func FuzzReadProbe(f *testing.F) {
	for _, s := range []string{
		"VERSION 1.5.16\r\nERROR\r\n", "VERSION 1.6.18\r\nMN\r\n", "VERSION 1.6.40-memherd\nMN\n", "VERSION\r\nMN\r\n",
		"ERROR Too many open connections\r\n", "VERSION 1.6.18\r\nMN\r\nMN\r\n", "VERSION 1.6\r\nSTORED\r\n", "HTTP/1.1 400 Bad Request\r\n",
		"VERSION 1.6.99999999999999999999\r\nMN\r\n", "VERSION \x00\xff\r\nMN\r\n", "VALUE a 0 99999999\r\n", "\r\n\r\n", "",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, whole, err := readProbe(b)
		require.False(t, whole && err != nil)
		if whole {
			require.NotEqual(t, TierUnknown, c.tier)
			require.LessOrEqual(t, len(c.version), 64)
			for i := range len(c.version) {
				require.True(t, c.version[i] >= ' ' && c.version[i] <= '~')
			}
		}
		for n := range b {
			part, done, bad := readProbe(b[:n])
			switch {
			case whole:
				require.False(t, done || bad != nil, "a part of a whole answer is neither")
			case err == nil && len(b) <= maxProbeReply:
				require.False(t, done || bad != nil, "more may come")
			case done:
				// What came behind it is what is wrong with the whole.
				require.NotEqual(t, TierUnknown, part.tier)
			}
		}
	})
}
