package ring

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCanonical(t *testing.T) {
	for _, tc := range []struct{ name, addr, wantName, wantAddr string }{
		{"", "cache1", "cache1", "cache1:11211"},
		{"", "cache1:11211", "cache1", "cache1:11211"},
		{"", "Cache1.Example.NET:11212", "cache1.example.net:11212", "cache1.example.net:11212"},
		{"cache1", "", "cache1", "cache1:11211"},
		{"Cache1:11211", "", "cache1", "cache1:11211"},
		{"", "10.0.0.1", "10.0.0.1", "10.0.0.1:11211"},
		{"", "10.0.0.1:0080", "10.0.0.1:80", "10.0.0.1:80"},
		{"", "::1", "::1", "[::1]:11211"},
		{"", "[::1]", "::1", "[::1]:11211"},
		{"", "[0:0::1]:11211", "::1", "[::1]:11211"},
		{"", "[2001:DB8::1]:21211", "[2001:db8::1]:21211", "[2001:db8::1]:21211"},
		{"", "fe80::1%Eth0", "fe80::1%Eth0", "[fe80::1%Eth0]:11211"},
		{"", "/run/Memcached 1.sock", "/run/Memcached 1.sock", "/run/Memcached 1.sock"},
		{"/run/a:11211", "", "/run/a:11211", "/run/a:11211"},
		{"shard-A", "10.0.0.1", "shard-A", "10.0.0.1:11211"},
		{"Shard-A:11211", "10.0.0.1:5000", "Shard-A", "10.0.0.1:5000"},
		{"shard-a:11212", "10.0.0.1:5000", "shard-a:11212", "10.0.0.1:5000"},
		{"rack 7, node ü", "host_1", "rack 7, node ü", "host_1:11211"},
		{"a:11211:11211", "h", "a:11211:11211", "h:11211"},
	} {
		n, err := Node{Name: tc.name, Addr: tc.addr, Zone: "z"}.Canonical()
		require.NoError(t, err, "%+v", tc)
		want := Node{Name: tc.wantName, Addr: tc.wantAddr, Weight: 1, Zone: "z"}
		require.Equal(t, want, n)
		again, err := n.Canonical()
		require.NoError(t, err)
		require.Equal(t, want, again)
	}
}

func TestCanonicalRefuses(t *testing.T) {
	for addr, says := range map[string]string{
		"":                           "empty",
		":11211":                     "host is empty",
		"cache1:":                    "port",
		"cache1:0":                   "port",
		"cache1:65536":               "port",
		"cache1:+80":                 "port",
		"cache1:memcache":            "port",
		"a:b:c":                      "not host:port",
		"cache1:1,cache2:1":          "has a comma",
		"cache1,cache2":              "has a comma",
		"10.0.0.256":                 "no IPv4 address",
		"10.0.0:11211":               "no IPv4 address",
		"10.0.0.1.11211":             "no IPv4 address",
		"010.0.0.1":                  "no IPv4 address",
		"[::1":                       "not host:port",
		"[cache1]:11211":             "no IPv6",
		"[]":                         "no IPv6",
		"[10.0.0.1:5":                "not host:port",
		"cache 1":                    "character ' '",
		"user@cache1":                "character '@'",
		"cache1/x":                   "character '/'",
		"run/sock":                   "character '/'",
		"cäche":                      "character",
		"/run/\x00":                  "zero byte",
		strings.Repeat("a", 254):     "253",
		"fe80::1%a]":                 "",
		"memcached://10.0.0.1:11211": "",
	} {
		_, err := Node{Addr: addr}.Canonical()
		require.ErrorIs(t, err, ErrBadAddress, "%q", addr)
		require.ErrorContains(t, err, says, "%q", addr)
	}
	for _, name := range []string{"a\nb", "\xff", strings.Repeat("x", 256), "a\x00"} {
		_, err := Node{Name: name, Addr: "cache1"}.Canonical()
		require.ErrorIs(t, err, ErrBadName, "%q", name)
		_, err = Node{Addr: "cache1", Zone: name}.Canonical()
		require.ErrorIs(t, err, ErrBadName, "zone %q", name)
	}
	_, err := Node{Addr: "/" + strings.Repeat("x", 300)}.Canonical()
	require.ErrorIs(t, err, ErrBadName)
}

// FuzzRingConfig: any text is either refused or canonical for good, and a fleet that
// is accepted is accepted again from what the ring shows of it, as the same fleet.
func FuzzRingConfig(f *testing.F) {
	for _, s := range []string{"cache1", "Cache1:11211", "[::1]:5", "fe80::1%eth0", "/tmp/s", "a:b:c", "shard a", "[a]:1", ""} {
		f.Add(s, "10.0.0.1:11211", "", 1, 1)
		f.Add("", s, "zone", -1, 2)
	}
	f.Fuzz(func(t *testing.T, name, addr, zone string, weight, copies int) {
		cfg := Config{Nodes: []Node{{Name: name, Addr: addr, Zone: zone, Weight: weight}, {Addr: "other:1", Zone: "z"}}, Copies: copies}
		p, err := cfg.plan()
		if err != nil {
			require.ErrorContains(t, err, "ring: ")
			require.Nil(t, p)
			require.NotContains(t, err.Error(), "\n")
			return
		}
		cfg.Nodes = p.nodes
		again, err := cfg.plan()
		require.NoError(t, err)
		require.Equal(t, p, again)
	})
}
