package memproto

import (
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Whatever a request was, if its fields were those that its flags ask for, nothing of it is left.
func TestResetLeavesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		number := rapid.Uint64Range(1, 1<<40)
		r := Request{
			Cmd: rapid.SampledFrom([]Cmd{CmdMetaGet, CmdMetaSet, CmdMetaDelete, CmdMetaArith, CmdMetaNoop, CmdGet, CmdSet, CmdStats}).Draw(t, "cmd"),
			Key: []byte("key"), Opaque: []byte("7"),
			ClientFlags: uint32(number.Draw(t, "client flags")), Mode: 'E', NoReply: true, HasDelay: true,
		}
		for _, f := range []struct {
			flag Flags
			set  func(n uint64)
		}{
			{FlagC, func(n uint64) { r.CAS = n }},
			{FlagE, func(n uint64) { r.NewCAS = n }},
			{FlagT, func(n uint64) { r.Exptime = int64(n) }},
			{FlagN, func(n uint64) { r.Vivify = int64(n) }},
			{FlagR, func(n uint64) { r.Recache = int64(n) }},
			{FlagD, func(n uint64) { r.Delta = n }},
			{FlagJ, func(n uint64) { r.Initial = n }},
			{FlagLv | FlagLf | FlagLt | FlagO, func(uint64) {}},
		} {
			if rapid.Bool().Draw(t, "flag") {
				r.Flags |= f.flag
				f.set(number.Draw(t, "argument"))
			}
		}
		if r.Cmd != CmdMetaGet {
			r.Value, r.More, r.Meta, r.Args, r.BodyLen = []byte("v"), []byte("m"), []byte("f"), []byte("a"), 1
		}
		r.Reset()
		if !isZero(&r) {
			t.Fatalf("left: %+v", r)
		}
	})
}

func isZero(r *Request) bool {
	for _, b := range unsafe.Slice((*byte)(unsafe.Pointer(r)), unsafe.Sizeof(*r)) {
		if b != 0 {
			return false
		}
	}
	return true
}

// A meta get without arguments is one cache line.
func TestAPlainGetIsOneLine(t *testing.T) {
	var r Request
	for _, end := range []uintptr{
		unsafe.Offsetof(r.ClientFlags) + unsafe.Sizeof(r.ClientFlags), unsafe.Offsetof(r.Key) + unsafe.Sizeof(r.Key),
		unsafe.Offsetof(r.Flags) + unsafe.Sizeof(r.Flags), unsafe.Offsetof(r.Opaque) + unsafe.Sizeof(r.Opaque),
	} {
		require.LessOrEqual(t, end, uintptr(64))
	}
}
