package fleet

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/memherd/memherd/ring"
)

// ErrRemote is what External and CheckLocal return for a server that is not on this machine.
var ErrRemote = errors.New("not on this machine")

// External checks a list of servers somebody else runs: names that can be used, no
// name twice, on this machine unless remote is set, and each answering. It returns
// the nodes, or an error about the first bad one that says what to do.
func External(ctx context.Context, servers []string, remote bool) ([]ring.Node, error) {
	var nodes []ring.Node
	seen := map[string]bool{}
	for _, s := range servers {
		if s = strings.TrimSpace(s); s == "" {
			continue
		}
		n, err := ring.Node{Addr: s}.Canonical()
		if err != nil {
			return nil, err
		}
		if seen[n.Name] {
			return nil, fmt.Errorf("server %s is given twice: name each once", s)
		}
		seen[n.Name] = true
		nodes = append(nodes, n)
	}
	if len(nodes) == 0 {
		return nil, errors.New("no servers: give -servers host:port,… or -embedded N")
	}
	if !remote {
		var addrs []string
		for _, n := range nodes {
			addrs = append(addrs, n.Addr)
		}
		if err := CheckLocal(ctx, addrs...); err != nil {
			return nil, fmt.Errorf("%w: a load generator can take a production cache down; if these servers are yours, say so with -i-own-these-servers and give a -max-rate", err)
		}
	}
	at := map[string]string{}
	for _, n := range nodes {
		_, peer, err := greet(ctx, n.Addr)
		if err != nil {
			return nil, fmt.Errorf("cannot reach server %s: %w: start it, or name one that runs", n.Name, err)
		}
		// Two names of one server would put both copies of a key into one memory.
		if other, ok := at[peer]; ok {
			return nil, fmt.Errorf("servers %s and %s are one server: name it once", other, n.Name)
		}
		at[peer] = n.Name
	}
	return nodes, nil
}

// Network is the network of a node's address: unix for a path, tcp otherwise.
func Network(addr string) string {
	if strings.HasPrefix(addr, "/") {
		return "unix"
	}
	return "tcp"
}

// CheckLocal returns an error that wraps ErrRemote and names the first of the addresses that is not of this machine, if
// there is one: of its loopback, by number or as localhost, with a port or without, or a Unix socket.
func CheckLocal(ctx context.Context, addrs ...string) error {
	for _, addr := range addrs {
		if !local(ctx, addr) {
			return fmt.Errorf("server %s is %w", addr, ErrRemote)
		}
	}
	return nil
}

// local says whether every address behind addr is of this machine's loopback.
func local(ctx context.Context, addr string) bool {
	if Network(addr) == "unix" {
		return true
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil { // it has no port
		host = strings.Trim(addr, "[]")
	}
	if ip := net.ParseIP(host); ip != nil {
		return ip.IsLoopback()
	}
	if host != "localhost" {
		return false
	}
	ips, err := net.DefaultResolver.LookupIPAddr(ctx, host)
	if err != nil {
		return false
	}
	for _, ip := range ips {
		if !ip.IP.IsLoopback() {
			return false
		}
	}
	return true
}

// patience is how long a server may take to be reached and to say its version.
const patience = 2 * time.Second

// Version asks the server at addr for its version, and so finds out whether a
// memcached, or something that speaks like one, is there.
func Version(ctx context.Context, addr string) (string, error) {
	version, _, err := greet(ctx, addr)
	return version, err
}

// greet is Version and tells also which address, behind whatever name, answered.
func greet(ctx context.Context, addr string) (version, peer string, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, Network(addr), addr)
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) {
			err = op.Err // without the address again
		}
		return "", "", err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return "", "", err
	}
	if _, err := conn.Write([]byte("version\r\n")); err != nil {
		return "", "", err
	}
	line, err := bufio.NewReaderSize(conn, 256).ReadSlice('\n')
	if err != nil {
		return "", "", errors.New("it took the connection but does not answer like memcached")
	}
	version, ok := strings.CutPrefix(string(line), "VERSION ")
	if !ok {
		return "", "", errors.New("it does not answer like memcached")
	}
	return strings.TrimSpace(version), conn.RemoteAddr().String(), nil
}
