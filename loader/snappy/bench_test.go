package snappy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/loader/snappy"
	"github.com/memherd/memherd/loader/zstd"
)

// BenchmarkAgainstZstd writes and reads rows of about 8 KB of JSON-like text, and says how much of it is left.
func BenchmarkAgainstZstd(b *testing.B) {
	var text strings.Builder
	for i := range 100 {
		fmt.Fprintf(&text, `{"id":%d,"name":"user %x","tags":["a%d","b%d"],"score":%d.5},`, i*7919, i*i*104729, i%7, i%11, i*31%97)
	}
	v := text.String()
	s, err := snappy.New(snappy.Config[string]{Inner: loader.String{}})
	require.NoError(b, err)
	z, err := zstd.New(zstd.Config[string]{Inner: loader.String{}})
	require.NoError(b, err)
	for _, c := range []struct {
		name  string
		codec loader.Codec[string]
	}{{"snappy", s}, {"zstd", z}} {
		packed, err := c.codec.Encode(nil, v)
		require.NoError(b, err)
		b.Run("write/"+c.name, func(b *testing.B) {
			b.SetBytes(int64(len(v)))
			dst := make([]byte, 0, 2*len(v))
			for b.Loop() {
				if _, err := c.codec.Encode(dst, v); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(100*float64(len(packed))/float64(len(v)), "%left")
		})
		b.Run("read/"+c.name, func(b *testing.B) {
			b.SetBytes(int64(len(v)))
			for b.Loop() {
				if _, err := c.codec.Decode(packed); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
