package nodeserver_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/memherd/memherd/client/memproto"
	"github.com/memherd/memherd/nodeserver"
)

func ExampleStart() {
	srv, err := nodeserver.Start(nodeserver.Config{MaxBytes: 16 << 20})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer srv.Close()

	nc, err := net.Dial("tcp", srv.Addr().String())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer nc.Close()
	fmt.Fprint(nc, "set greeting 0 60 5\r\nhello\r\nget greeting\r\n")
	in := bufio.NewScanner(nc)
	for range 4 {
		in.Scan()
		fmt.Println(in.Text())
	}
	// Output:
	// STORED
	// VALUE greeting 0 5
	// hello
	// END
}

// A node on an in-memory network that delays every delete: for tests of clients.
func ExampleMemNetwork() {
	mem := nodeserver.NewMemNetwork()
	srv, err := nodeserver.Start(nodeserver.Config{
		Addr: "node1:11211", Network: mem,
		Intercept: func(_ net.Addr, r *memproto.Request) nodeserver.Verdict {
			if r.Cmd == memproto.CmdMetaDelete {
				return nodeserver.Verdict{Delay: time.Millisecond}
			}
			return nodeserver.Verdict{}
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer srv.Close()

	nc, err := mem.DialContext(context.Background(), "tcp", "node1:11211")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer nc.Close()
	fmt.Fprint(nc, "md nothing\r\n")
	line, _ := bufio.NewReader(nc).ReadString('\n')
	fmt.Println(strings.TrimSpace(line))

	mem.Kill("node1:11211")
	_, err = mem.DialContext(context.Background(), "tcp", "node1:11211")
	fmt.Println(err != nil)
	// Output:
	// NF
	// true
}
