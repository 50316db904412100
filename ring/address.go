package ring

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// DefaultPort is memcached's port, assumed where an address names none.
const DefaultPort = 11211

// maxHostLen is the longest host name DNS can carry (RFC 1035, section 2.3.4).
const maxHostLen = 253

// address is a parsed Node.Addr: a path, or a host and a port.
type address struct {
	path string // absolute path of a Unix socket; then host and port are unset
	host string // name as given, or an IP address in netip's canonical form
	port int    // 1 to 65535
}

// long is the form that is dialled: always with a port.
func (a address) long() string {
	if a.path != "" {
		return a.path
	}
	return net.JoinHostPort(a.host, strconv.Itoa(a.port))
}

// short is the form that serves as a name: the default port is left out, as in
// libmemcached's labels.
func (a address) short() string {
	if a.path == "" && a.port == DefaultPort {
		return a.host
	}
	return a.long()
}

// fold is the address as the network sees it: host names compare without case.
// IP addresses are canonical already, and their zones do have case.
func (a address) fold() address {
	if strings.IndexByte(a.host, ':') < 0 {
		a.host = strings.ToLower(a.host)
	}
	return a
}

func badAddress(s, why string) error {
	return fmt.Errorf("%w %q: %s; want host, host:port or the absolute path of a Unix socket", ErrBadAddress, s, why)
}

// brokenIPv4 tells a mistyped IPv4 address, which no name server has, from the name of a host.
func (a address) brokenIPv4() bool {
	_, ok := parseIP(a.host)
	return !ok && strings.Contains(a.host, ".") && strings.Trim(a.host, "0123456789.") == ""
}

// parseAddr reads every form that Node.Addr documents. It doesn't change the
// case of a host name: that is right for an address, not for a label.
func parseAddr(s string) (address, error) {
	bad := func(why string) (address, error) { return address{}, badAddress(s, why) }
	if s == "" {
		return bad("it is empty")
	}
	if s[0] == '/' {
		if strings.IndexByte(s, 0) >= 0 {
			return bad("the path has a zero byte")
		}
		return address{path: s}, nil
	}
	if strings.IndexByte(s, ',') >= 0 {
		return bad("it has a comma, and each server is an address of its own")
	}
	// An IPv6 address without a port is told from host:port by parsing it.
	if ip, ok := parseIP(s); ok {
		return address{host: ip.String(), port: DefaultPort}, nil
	}
	host, port := s, DefaultPort
	if strings.HasSuffix(s, "]") && s[0] == '[' {
		host = s[1 : len(s)-1]
	} else if strings.IndexByte(s, ':') >= 0 {
		h, p, err := net.SplitHostPort(s)
		if err != nil {
			return bad("it is not host:port")
		}
		if port = parsePort(p); port == 0 {
			return bad("the port is not a number from 1 to 65535")
		}
		host = h
	}
	if ip, ok := parseIP(host); ok && (ip.Is4() || s[0] == '[') {
		return address{host: ip.String(), port: port}, nil
	}
	if s[0] == '[' {
		return bad("there is no IPv6 address between the brackets")
	}
	if why := checkHost(host); why != "" {
		return bad(why)
	}
	return address{host: host, port: port}, nil
}

// parseIP refuses zones ("fe80::1%eth0") with brackets, which would not survive
// being joined with a port and split again.
func parseIP(s string) (netip.Addr, bool) {
	ip, err := netip.ParseAddr(s)
	return ip, err == nil && !strings.ContainsAny(ip.Zone(), "[]")
}

// parsePort returns 0 for anything but plain digits in range.
func parsePort(s string) int {
	if s == "" || len(s) > 5 {
		return 0
	}
	n := 0
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return 0
		}
		n = n*10 + int(s[i]-'0')
	}
	if n > 65535 {
		return 0
	}
	return n
}

// checkHost is loose on purpose: names in use break the letter of the RFCs
// (underscores in container networks), and the resolver has the last word.
func checkHost(h string) string {
	if h == "" {
		return "the host is empty"
	}
	if len(h) > maxHostLen {
		return "the host is longer than 253 bytes"
	}
	for i := 0; i < len(h); i++ {
		switch c := h[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_', c == '.':
		default:
			return fmt.Sprintf("the host has the character %q", rune(c))
		}
	}
	return ""
}
