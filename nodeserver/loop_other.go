//go:build !linux

package nodeserver

import "net"

// loops serve connections where there is epoll; here every connection has a goroutine.
type loops struct{}

func (*loops) init(*Server) {}

func (*loops) adopt(*conn, net.Conn) bool { return false }

func (*loops) wake() {}
