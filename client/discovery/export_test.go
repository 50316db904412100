package discovery

import (
	"net"
	"testing"
)

// NewNameserver, SetHost and Resolver are for the tests from outside.
func NewNameserver(t *testing.T) *nameserver { return newNameserver(t) }

func (s *nameserver) SetHost(name string, addrs ...string) { s.setHost(name, addrs...) }

func (s *nameserver) Resolver() *net.Resolver { return s.resolver() }
