package memproto

import "testing"

// BenchmarkDecodeResponse is the decoder on the replies of the hot path.
func BenchmarkDecodeResponse(b *testing.B) {
	for _, line := range []string{"VA 100 f0 O1a2b t-1\r\n", "VA 100 f0 O1a2b t300 c123456\r\n", "HD O1a2b\r\n", "VALUE key:000012345 0 100\r\n"} {
		b.Run(line[:len(line)-2], func(b *testing.B) {
			buf := []byte(line)
			var r Response
			b.ReportAllocs()
			for b.Loop() {
				if _, err := DecodeResponse(buf, nil, &r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkDecodeValue is the same line as the decoder's last.
func BenchmarkDecodeValue(b *testing.B) {
	buf := []byte("VALUE key:000012345 0 100\r\n")
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := DecodeValue(buf, nil); !ok {
			b.Fatal("not taken")
		}
	}
}
