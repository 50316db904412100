//go:build !unix

package pipe

import "net"

// socket would be read and written past its net.Conn; here it can't.
type socket struct{ net.Conn }

func newSocket(net.Conn) *socket { return nil }

func (*socket) poll([]byte) int { return 0 }
