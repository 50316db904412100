package memproto

import "testing"

func BenchmarkDecodeRequest(b *testing.B) {
	for _, line := range []string{"mg key:000012345 v f O1a2b\r\n", "mg key:000012345 v f k t c O1a2b\r\n", "get key:000012345\r\n", "ms key:000012345 100 T300 F1 O1a2b\r\n", "set key:000012345 0 300 100\r\n"} {
		b.Run(line[:len(line)-2], func(b *testing.B) {
			buf := []byte(line)
			var r Request
			b.ReportAllocs()
			for b.Loop() {
				if _, err := DecodeRequest(buf, nil, &r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkAppendLine is the encoder on the requests of the hot path.
func BenchmarkAppendLine(b *testing.B) {
	key, opaque := []byte("key:000012345"), []byte("1a2b")
	for name, r := range map[string]Request{
		"get":   {Cmd: CmdMetaGet, Key: key, Opaque: opaque, Flags: FlagLv | FlagLf | FlagLt | FlagO},
		"lease": {Cmd: CmdMetaGet, Key: key, Opaque: opaque, Flags: FlagLv | FlagLf | FlagLt | FlagLc | FlagO | FlagN, Vivify: 11},
		"set":   {Cmd: CmdMetaSet, Key: key, Opaque: opaque, Flags: FlagF | FlagT | FlagO, ClientFlags: 1, Exptime: 300},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var line []byte
			for b.Loop() {
				line = r.AppendLine(line[:0])
			}
		})
	}
}
