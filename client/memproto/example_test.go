package memproto_test

import (
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
