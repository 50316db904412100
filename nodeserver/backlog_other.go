//go:build !unix

package nodeserver

import "net"

func (*Server) setBacklog(net.Listener) {}
