package discovery

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// nameserver is a DNS server on loopback that says what the test tells it.
type nameserver struct {
	conn net.PacketConn
	wg   sync.WaitGroup

	mu    sync.Mutex // guards what follows
	hosts map[string][]netip.Addr
	srv   map[string][]net.SRV
	rcode byte // of every answer; 3 is NXDOMAIN, 2 SERVFAIL
}

func newNameserver(t *testing.T) *nameserver {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &nameserver{conn: conn, hosts: map[string][]netip.Addr{}, srv: map[string][]net.SRV{}}
	s.wg.Go(s.serve)
	t.Cleanup(func() {
		conn.Close()
		s.wg.Wait()
	})
	return s
}

// resolver is the standard library's, asking this server.
func (s *nameserver) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", s.conn.LocalAddr().String())
	}}
}

func (s *nameserver) setHost(name string, addrs ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hosts[name] = nil
	for _, a := range addrs {
		s.hosts[name] = append(s.hosts[name], netip.MustParseAddr(a))
	}
}

func (s *nameserver) setService(name string, records ...net.SRV) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.srv[name] = records
}

func (s *nameserver) fail(rcode byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rcode = rcode
}

func (s *nameserver) serve() {
	buf := make([]byte, 4096)
	for {
		n, from, err := s.conn.ReadFrom(buf)
		if err != nil {
			return
		}
		if reply := s.answer(buf[:n]); reply != nil {
			_, _ = s.conn.WriteTo(reply, from)
		}
	}
}

// answer makes the reply to a query of one question (RFC 1035, section 4).
func (s *nameserver) answer(q []byte) []byte {
	var labels []string
	at := 12
	for at < len(q) && q[at] != 0 {
		end := at + 1 + int(q[at])
		if end >= len(q) {
			return nil
		}
		labels = append(labels, string(q[at+1:end]))
		at = end
	}
	if at+5 > len(q) {
		return nil
	}
	kind, question := binary.BigEndian.Uint16(q[at+1:]), q[12:at+5]
	records, known := s.records(strings.ToLower(strings.Join(labels, ".")), kind)

	s.mu.Lock()
	rcode := s.rcode
	s.mu.Unlock()
	if rcode == 0 && !known {
		rcode = 3
	}
	if rcode != 0 {
		records = nil
	}
	out := append([]byte{q[0], q[1], 0x81, 0x80 | rcode, 0, 1, 0, byte(len(records)), 0, 0, 0, 0}, question...)
	for _, data := range records {
		out = append(out, 0xc0, 12) // the question's name
		out = binary.BigEndian.AppendUint16(out, kind)
		out = append(out, 0, 1, 0, 0, 0, 0)
		out = binary.BigEndian.AppendUint16(out, uint16(len(data)))
		out = append(out, data...)
	}
	return out
}

func (s *nameserver) records(name string, kind uint16) (data [][]byte, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch kind {
	case 1, 28: // A, AAAA
		addrs, ok := s.hosts[name]
		for _, a := range addrs {
			if a.Is4() == (kind == 1) {
				data = append(data, a.AsSlice())
			}
		}
		return data, ok && len(addrs) > 0
	case 33: // SRV
		records, ok := s.srv[name]
		for _, r := range records {
			var d []byte
			for _, n := range []uint16{r.Priority, r.Weight, r.Port} {
				d = binary.BigEndian.AppendUint16(d, n)
			}
			for _, label := range strings.Split(strings.TrimSuffix(r.Target, "."), ".") {
				if label != "" {
					d = append(append(d, byte(len(label))), label...)
				}
			}
			data = append(data, append(d, 0))
		}
		return data, ok
	}
	return nil, false
}
