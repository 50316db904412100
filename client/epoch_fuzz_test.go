package client

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Whatever a server says of its epoch, in whatever pieces it comes: what is read of the
// whole is not read of a part.
func FuzzReadEpoch(f *testing.F) {
	for _, s := range []string{
		"HD\r\nVA 16\r\n0123456789abcdef\r\nMN\r\n", "NS\r\nVA 3\r\nabc\r\nMN\r\n", "SERVER_ERROR out of memory storing object\r\nEN\r\nMN\r\n",
		"STORED\r\nVALUE k 1073741824 2\r\nab\r\nEND\r\nVERSION 1.5.22\r\n", "NOT_STORED\r\nEND\r\nVERSION 1\r\n", "ERROR\r\nERROR\r\nERROR\r\nMN\r\n",
		"HD\r\nVA 99999999999\r\n", "HD\r\nVA 2\r\nab\r\nMN\r\nMN\r\n", "VA 4\r\nMN\r\n\r\nMN\r\n", "", "\r\n",
		"HD\r\nVA 2\r\nab\r\nSTAT pid 7\r\nSTAT uptime 9\r\nEND\r\nMN\r\n", "STAT\r\nMN\r\n",
		"HD\r\nVA 2 v\r\nab\r\nVA 3 t9 kmemherd:epoch:lists\r\nxyz\r\nMN\r\n", "HD\r\nVA 2 v\r\nab\r\nEN\r\nMN\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, whole, err := readEpoch(b)
		require.False(t, whole && err != nil)
		require.True(t, whole || s.sentinel == "" && s.stats == nil && s.lists == nil)
		size := len(s.sentinel) + len(s.lists)
		for _, stat := range s.stats {
			size += len(stat)
		}
		require.LessOrEqual(t, size, len(b))
		for n := range b {
			if _, done, bad := readEpoch(b[:n]); whole {
				require.False(t, done || bad != nil, "a part of a whole answer is neither")
			}
		}
	})
}
