package nodeserver_test

import (
	"bufio"
	"fmt"
	"net"
	"strings"

	"github.com/memherd/memherd/nodeserver"
)

// ask sends a line to a node and returns the first line of the answer.
func ask(srv *nodeserver.Server, line string) string {
	nc, err := net.Dial("tcp", srv.Addr().String())
	if err != nil {
		return err.Error()
	}
	defer nc.Close()
	fmt.Fprint(nc, line, "\r\n")
	answer, _ := bufio.NewReader(nc).ReadString('\n')
	return strings.TrimSpace(answer)
}

// A node as old as 1.5.22, which knows no meta commands: for tests of clients.
func ExampleProfile() {
	srv, err := nodeserver.Start(nodeserver.Config{Profile: nodeserver.Profile15})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer srv.Close()
	fmt.Println(nodeserver.Profile15, ask(srv, "mn"))
	// Output: 1.5.22 ERROR
}

func ExampleAdmin() {
	srv, err := nodeserver.Start(nodeserver.Config{Admin: nodeserver.Admin{NoFlush: true}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer srv.Close()
	fmt.Println(ask(srv, "flush_all"))
	// Output: CLIENT_ERROR flush_all not allowed
}

// The file of memcached's -Y: a name and a password a line.
func ExampleReadUsers() {
	users, err := nodeserver.ReadUsers(strings.NewReader("app:correct-horse\n"))
	if err != nil {
		fmt.Println(err)
		return
	}
	srv, err := nodeserver.Start(nodeserver.Config{Users: users})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer srv.Close()
	fmt.Println(ask(srv, "get k"))
	// Output: CLIENT_ERROR unauthenticated
}
