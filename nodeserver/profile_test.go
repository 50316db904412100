package nodeserver

import (
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/nodeserver/stock"
)

// dialogue sends each command to addr and returns what is answered to it, told apart by
// a version after it, which every profile knows.
func dialogue(t *testing.T, addr, version string, cmds []string) []string {
	t.Helper()
	d := newDuel(t, addr)
	var got []string
	for _, cmd := range cmds {
		_, err := io.WriteString(d.nc, cmd+"\r\nversion\r\n")
		require.NoError(t, err)
		var out strings.Builder
		for {
			line, err := d.br.ReadString('\n')
			require.NoErrorf(t, err, "%q answered %q", cmd, out.String())
			if line == "VERSION "+version+"\r\n" {
				break
			}
			out.WriteString(line)
		}
		got = append(got, masked(out.String()))
	}
	return got
}

// features are commands that tell one memcached from the next.
var features = []string{
	"mn", "mg a v", "ms a 1 c\r\nx", "mg a s v c", "mg a v c E5", "mg e N5 E9 c", "ms b 3 E9\r\nget", "get b",
	"ms c 1 s\r\ny", "ms d 2 MA N0\r\nzz", "mg d v", "md a x", "md a x I T30 E4", "mg a s v", "ma n N0 J5 v", "ma n E7 v",
	"me nothing", "gets n", "touch n 0", "gats 0 n", "ms bad 1 !\r\nx", "ms set 9 T0\r\nset q 0 0",
}

// What each profile answers where it differs from the one before it.
func TestProfiles(t *testing.T) {
	ask := func(p Profile, cmd ...string) string {
		s := startNode(t, Config{Profile: p})
		return strings.Join(dialogue(t, s.Addr().String(), p.Version(), cmd), "|")
	}
	const invalid = "CLIENT_ERROR invalid flag\r\n"
	for _, c := range []struct {
		name, t0, t1, t2, t3, t4 string
		cmds                     []string
	}{
		{"a noop", "ERROR\r\n", "MN\r\n", "MN\r\n", "MN\r\n", "MN\r\n", []string{"mn"}},
		{"a data block becomes a command", "ERROR\r\nEND\r\n", "HD\r\n", "HD\r\n", "HD\r\n", "HD\r\n", []string{"ms a 11\r\nget nothing"}},
		{"E", "ERROR\r\n", invalid, invalid, "HD c# W\r\n", "HD c# W\r\n", []string{"mg a N5 c E9"}},
		{"x", "ERROR\r\n", invalid, invalid, "NF\r\n", "NF\r\n", []string{"md a x I T5"}},
		{"N on an appending ms", "ERROR\r\nERROR\r\n", "NS\r\n", "HD\r\n", "HD\r\n", "HD\r\n", []string{"ms a 4 MA N0\r\nbody"}},
		{"s on ms", "ERROR\r\nERROR\r\n", "HD\r\n", "HD s4\r\n", "HD s4\r\n", "HD s4\r\n", []string{"ms a 4 s\r\nbody"}},
		{"conditional mg", "STORED\r\n|ERROR\r\n", "STORED\r\n|VA 1\r\nx\r\n", "STORED\r\n|VA 1\r\nx\r\n", "STORED\r\n|VA 1\r\nx\r\n", "STORED\r\n|HD\r\n", []string{"set a 0 0 1\r\nx", "mg a v C1"}},
		{"watch deletions", "ERROR\r\n", "ERROR\r\n", "", "", "", []string{"watch deletions"}},
		{"classic", "STORED\r\n|TOUCHED\r\n|VALUE a 0 1 #\r\nx\r\nEND\r\n", "", "", "", "", []string{"set a 0 0 1\r\nx", "touch a 9", "gats 9 a"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for p, want := range map[Profile]string{Profile15: c.t0, Profile1618: c.t1, Profile1622: c.t2, Profile1627: c.t3, ProfileNewest: c.t4} {
				if want == "" {
					continue
				}
				require.Equal(t, want, ask(p, c.cmds...), p)
			}
		})
	}
	_, err := New(Config{Profile: numProfiles})
	require.Error(t, err)
}

// A node of profile 1.6.18 answers the features as that memcached does.
func TestProfile1618IsLikeMemcached(t *testing.T) {
	stock.Need(t)
	need1618(t)
	version := stockVersion(t)
	real := dialogue(t, stock.ForTest(t).Addr(), version, features)
	node := dialogue(t, startNode(t, Config{Profile: Profile1618}).Addr().String(), Profile1618.Version(), features)
	for i, cmd := range features {
		if node[i] == real[i] {
			continue
		}
		expected := false
		for _, d := range expectedDifferences {
			expected = expected || d.same(cmd, node[i], real[i])
		}
		require.Truef(t, expected, "%q: %q, memcached %q", cmd, node[i], real[i])
	}
}
