package client_test

import (
	"context"
	"net"
)

// dial maps the address of a ring.Node to the name the in-memory network knows.
func (f *memFleet) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	return f.network.DialContext(ctx, network, host)
}
