package discovery

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/ring"
)

func TestParse(t *testing.T) {
	two := []ring.Node{
		{Name: "10.0.0.1", Addr: "10.0.0.1:11211", Weight: 1, Zone: "a"},
		{Name: "two", Addr: "cache2:11311", Weight: 3, Zone: "b", Drain: true},
	}
	for name, c := range map[string]struct {
		text string
		want []ring.Node
	}{
		"lines":              {"10.0.0.1 zone=a\ncache2:11311 name=two weight=3 zone=b drain\n", two},
		"comments and blank": {"# the fleet\n\n  10.0.0.1 zone=a # first\n\t\ncache2:11311 drain zone=b weight=3 name=two", two},
		"other line ends":    {"10.0.0.1 zone=a\r\ncache2:11311 name=two weight=3 zone=b drain\r\n", two},
		"byte order mark":    {"\ufeff10.0.0.1 zone=a\ncache2:11311 name=two weight=3 zone=b drain", two},
		"JSON": {`[{"addr": "10.0.0.1", "zone": "a"},
			{"name": "two", "addr": "cache2:11311", "weight": 3, "zone": "b", "drain": true}]`, two},
		"JSON of strings":  {` [ "cache1", "cache2:11311" ] `, ring.Addrs("cache1", "cache2:11311")},
		"JSON of both":     {`["cache1",{"name":"cache2:11311"}]`, ring.Addrs("cache1", "cache2:11311")},
		"IPv6 is no JSON":  {"[fd00::1]:11311\n[::1]\n", ring.Addrs("[fd00::1]:11311", "[::1]:11211")},
		"a Unix socket":    {"/run/memcached#1.sock", ring.Addrs("/run/memcached#1.sock")},
		"without its port": {"Cache1\ncache1:11212", ring.Addrs("cache1:11211", "cache1:11212")},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Parse([]byte(c.text))
			require.NoError(t, err)
			want, _, err := checkList(c.want)
			require.NoError(t, err)
			require.Equal(t, want, got)
		})
	}
}

func TestParseErrors(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		line int
		want error
		says string
	}{
		"negative weight":       {"a\nb weight=-1", 2, ring.ErrBadWeight, "-1"},
		"weight of no number":   {"a weight=much", 1, ring.ErrBadWeight, "much"},
		"weight out of range":   {"a weight=99999999999999999999", 1, ring.ErrBadWeight, ""},
		"weight 0":              {"a weight=0", 1, ring.ErrBadWeight, "drained"},
		"weight twice":          {"a weight=1 weight=2", 1, ErrMalformed, "twice"},
		"no value":              {"a zone=", 1, ErrMalformed, "no value"},
		"two on a line":         {"a b", 1, ErrMalformed, `"b"`},
		"misspelt":              {"\n\na wieght=2", 3, ErrMalformed, "wieght"},
		"no port after a colon": {"a:", 1, ring.ErrBadAddress, "port"},
		"port out of range":     {"# x\na:70000", 2, ring.ErrBadAddress, "70000"},
		"no host":               {":11211", 1, ring.ErrBadAddress, "host"},
		"listed twice":          {"a\nb\nA:11211", 3, ring.ErrDuplicateNode, `"a"`},
		"two names, one server": {"a name=x\na name=y", 2, ring.ErrDuplicateNode, "a:11211"},
		"a zone missing":        {"a zone=1\nb zone=2\nc", 3, ring.ErrMissingZone, `"c"`},
		"the first has no zone": {"a\nb zone=2", 1, ring.ErrMissingZone, `"a"`},
		"all drained":           {"a drain\nb drain", 0, ring.ErrNoNodes, "drained"},
		"binary":                {"a\n\x00\x01", 2, ring.ErrBadAddress, ""},
		"JSON cut":              {"[\"a\",\n\"b\"", 2, ErrMalformed, "too soon"},
		"JSON cut in a string":  {"[\"a\",\n\"b", 2, ErrMalformed, "too soon"},
		"JSON barely begun":     {"[", 1, ErrMalformed, "too soon"},
		"JSON with a comma":     {"[\"a\",\n\"b\",\n]", 2, ErrMalformed, ""},
		"JSON with no colon":    {"[\"a\",\n\"b\",\n{\"addr\" \"c\"}]", 3, ErrMalformed, ""},
		"JSON with more":        {`["a"] ["b"]`, 1, ErrMalformed, "follows"},
		"JSON object":           {`{"nodes": ["a"]}`, 1, ErrMalformed, "no list"},
		"JSON of numbers":       {"[\n\"a\",\n7]", 3, ErrMalformed, `"7"`},
		"JSON misspelt":         {"[\n\n{\"addr\": \"a\", \"wieght\": 2}]", 3, ErrMalformed, "wieght"},
		"JSON negative weight":  {"[\"a\",\n{\"addr\": \"b\",\n\"weight\": -2}]", 2, ring.ErrBadWeight, "-2"},
		"JSON weight 0":         {`[{"addr": "a", "weight": 0}]`, 1, ring.ErrBadWeight, "drained"},
		"JSON weight 1.5":       {`[{"addr": "a", "weight": 1.5}]`, 1, ErrMalformed, "1.5"},
		"JSON empty object":     {`["a",{}]`, 1, ring.ErrBadAddress, "neither"},
		"JSON zone missing":     {"[{\"addr\": \"a\", \"zone\": \"z\"},\n\"b\"]", 2, ring.ErrMissingZone, `"b"`},
		"JSON twice":            {"[\"a\",\n\"a:11211\"]", 2, ring.ErrDuplicateNode, `"a"`},
	} {
		t.Run(name, func(t *testing.T) {
			nodes, err := Parse([]byte(c.text))
			require.Nil(t, nodes)
			require.ErrorIs(t, err, ErrMalformed)
			require.ErrorIs(t, err, c.want)
			require.ErrorContains(t, err, c.says)
			var at *LineError
			require.ErrorAs(t, err, &at)
			require.Equal(t, c.line, at.Line, "%v", err)
		})
	}
	for _, text := range []string{"", "\n \n# nothing\n", "[]", " [ ] "} {
		_, err := Parse([]byte(text))
		require.ErrorIs(t, err, ErrEmpty, "%q", text)
		require.NotErrorIs(t, err, ErrMalformed)
	}
}

func TestLineErrorText(t *testing.T) {
	err := errors.New("cause")
	for want, e := range map[string]*LineError{
		"nodes:3: cause": {"nodes", 3, err}, "nodes: cause": {"nodes", 0, err}, "line 3: cause": {"", 3, err}, "cause": {"", 0, err},
	} {
		require.EqualError(t, e, want)
	}
}

// More nodes than a ring can have are refused before anything is built of them.
func TestTooManyNodes(t *testing.T) {
	var text strings.Builder
	for i := range ring.MaxNodes + 1 {
		fmt.Fprintf(&text, "n%d\n", i)
	}
	_, err := Parse([]byte(text.String()))
	require.ErrorIs(t, err, ring.ErrTooManyNodes)
	require.ErrorIs(t, err, ErrMalformed)
}

// What Parse takes is a fleet that a ring takes, and is the same written out again.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"a\nb weight=2 zone=x # c\n", "[fd00::1]:1\n", `["a",{"name":"n","addr":"b:1","weight":2,"zone":"z","drain":true}]`,
		"[", "{}", "[\"a\",", "a weight=-1", "a zone=\xff", "\ufeffa", `[{"addr":"a","weight":1e3}]`, "[1]", "/x.sock name=y drain\nz",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		nodes, err := Parse(text)
		if err != nil {
			require.Nil(t, nodes)
			var at *LineError
			require.True(t, errors.Is(err, ErrEmpty) || errors.As(err, &at) && errors.Is(err, ErrMalformed), "%v", err)
			return
		}
		list, _, err := checkList(nodes)
		require.NoError(t, err)
		require.Equal(t, nodes, list, "canonical")
		if slices.ContainsFunc(nodes, func(n ring.Node) bool { return strings.ContainsAny(n.Name+n.Addr+n.Zone, " \t\v\f\u0085\u00a0#=") }) {
			return // JSON may name what a line can't
		}
		var lines strings.Builder
		for _, n := range nodes {
			fmt.Fprintf(&lines, "%s name=%s weight=%d", n.Addr, n.Name, n.Weight)
			if n.Zone != "" {
				fmt.Fprintf(&lines, " zone=%s", n.Zone)
			}
			if n.Drain {
				lines.WriteString(" drain")
			}
			lines.WriteByte('\n')
		}
		again, err := Parse([]byte(lines.String()))
		require.NoError(t, err, "%s", lines.String())
		require.Equal(t, nodes, again)
	})
}
