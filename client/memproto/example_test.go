package memproto_test

import (
	"errors"
	"fmt"

	"github.com/memherd/memherd/client/memproto"
)

func ExampleRequest_Append() {
	r := memproto.Request{
		Cmd: memproto.CmdMetaSet, Key: []byte("greeting"), Value: []byte("hello"),
		Flags: memproto.FlagF | memproto.FlagT, ClientFlags: 1, Exptime: 60,
	}
	fmt.Printf("%q\n", r.Append(nil))
	// Output: "ms greeting 5 F1 T60\r\nhello\r\n"
}

func ExampleDecodeResponse() {
	stream := []byte("VA 5 f1 O7\r\nhello\r\n")
	var r memproto.Response
	n, err := memproto.DecodeResponse(stream, nil, &r)
	fmt.Println(r.Status, r.ClientFlags, string(r.Opaque), err)
	fmt.Printf("%s\n", stream[n:n+r.BodyLen])
	// Output:
	// VA 1 7 <nil>
	// hello
}

func ExampleDecodeRequest() {
	var r memproto.Request
	n, err := memproto.DecodeRequest([]byte("mg greeting v t\r\nmn\r\n"), nil, &r)
	fmt.Println(r.Cmd, string(r.Key), r.Flags, n, err)
	// Output: mg greeting tv 17 <nil>
}

// A bound on what a peer may announce; what is refused says what to answer, and how to read on.
func ExampleLimits() {
	var r memproto.Request
	_, err := memproto.DecodeRequest([]byte("ms k 4096\r\n"), &memproto.Limits{MaxValue: 1024}, &r)
	var refused memproto.RequestError
	fmt.Println(errors.As(err, &refused), refused.Reply(), refused.Close(), r.BodyLen)
	// Output: true SERVER_ERROR object too large for cache false 4096
}

// An add, in meta words.
func ExampleMode() {
	r := memproto.Request{Cmd: memproto.CmdMetaSet, Key: []byte("k"), Value: []byte("v"), Flags: memproto.FlagM, Mode: memproto.Mode('E')}
	fmt.Printf("%q\n", r.Append(nil))
	// Output: "ms k 1 ME\r\nv\r\n"
}

// Values of a get are taken by DecodeValue for as long as it says that it can.
func ExampleValue() {
	reply := []byte("VALUE a 0 2\r\nhi\r\nVALUE b 7 5\r\nthere\r\nEND\r\n")
	for {
		v, ok := memproto.DecodeValue(reply, nil)
		if !ok {
			break
		}
		block := reply[v.LineLen:][:v.BodyLen]
		fmt.Printf("%s: %s, flags %d\n", v.Key, block, v.Flags)
		reply = reply[v.LineLen+v.BodyLen+2:]
	}
	fmt.Printf("%q\n", reply)
	// Output:
	// a: hi, flags 0
	// b: there, flags 7
	// "END\r\n"
}
