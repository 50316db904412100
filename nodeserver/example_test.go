package nodeserver_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
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

// A node that lets in only who logs in, as memcached's -Y does.
func ExampleReadUsers() {
	users, err := nodeserver.ReadUsers(strings.NewReader("reporting:not-a-real-secret\n"))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(converse(nodeserver.Config{Users: users},
		"get k\r\nset auth 0 0 27\r\nreporting not-a-real-secret\r\nget k\r\n"))
	// Output:
	// CLIENT_ERROR unauthenticated
	// STORED
	// END
}

// A node that speaks the protocol of an older memcached, for tests of clients.
func ExampleProfile() {
	old, err := nodeserver.ParseProfile("1.5.22")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(converse(nodeserver.Config{Profile: old}, "version\r\nmg k v\r\n"))
	// Output:
	// VERSION 1.5.22-memherd
	// ERROR
}

// A node that tells clients of a cluster, and lets tests move its clock.
func ExampleAdmin() {
	fmt.Println(converse(nodeserver.Config{Admin: nodeserver.Admin{
		DebugTime: true, Cluster: []string{"a.example|10.0.0.1|11211", "b.example|10.0.0.2|11211"},
	}}, "set k 0 60 1\r\nv\r\ndebugtime 61\r\nget k\r\nconfig get cluster\r\n"))
	// Output:
	// STORED
	// OK
	// END
	// CONFIG cluster 0 52
	// 1
	// a.example|10.0.0.1|11211 b.example|10.0.0.2|11211
	//
	// END
}

// A node that loses the reply to a set, and answers a get with an error.
func ExampleVerdict() {
	fmt.Println(converse(nodeserver.Config{Intercept: func(_ net.Addr, r *memproto.Request) nodeserver.Verdict {
		switch r.Cmd {
		case memproto.CmdGet:
			return nodeserver.Verdict{Reply: []byte("SERVER_ERROR out of order\r\n")}
		case memproto.CmdSet:
			return nodeserver.Verdict{DropAfter: true}
		}
		return nodeserver.Verdict{}
	}}, "get k\r\nset k 0 0 1\r\nv\r\nget k\r\n"))
	// Output:
	// SERVER_ERROR out of order
}

// A server that stops as a process should: no new connections, what was asked is
// answered.
func ExampleServer_Shutdown() {
	srv, err := nodeserver.Start(nodeserver.Config{Addr: "127.0.0.1:0"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer srv.Close() // whatever Shutdown could not end in time
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	fmt.Println(srv.Shutdown(ctx))
	_, err = net.Dial("tcp", srv.Addr().String())
	fmt.Println(err != nil)
	// Output:
	// <nil>
	// true
}

// converse starts a node, says the lines to it, and returns what it answers until it
// has closed the connection.
func converse(cfg nodeserver.Config, lines string) string {
	mem := nodeserver.NewMemNetwork()
	cfg.Addr, cfg.Network = "node", mem
	srv, err := nodeserver.Start(cfg)
	if err != nil {
		return err.Error()
	}
	defer srv.Close()
	nc, err := mem.DialContext(context.Background(), "tcp", "node")
	if err != nil {
		return err.Error()
	}
	defer nc.Close()
	fmt.Fprint(nc, lines+"quit\r\n")
	answer, err := io.ReadAll(nc)
	if err != nil {
		return err.Error()
	}
	return strings.ReplaceAll(string(answer), "\r\n", "\n")
}
