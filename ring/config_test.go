package ring

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNewRefuses(t *testing.T) {
	two := Addrs("a", "b")
	many := make([]Node, MaxNodes+1)
	for i := range many {
		many[i].Addr = fmt.Sprint("n", i)
	}
	for name, tc := range map[string]struct {
		cfg  Config
		want error
		says string
	}{
		"no nodes":          {Config{}, ErrNoNodes, "Config.Nodes"},
		"all drained":       {Config{Nodes: []Node{{Addr: "a", Drain: true}}}, ErrNoNodes, "drained"},
		"too many nodes":    {Config{Nodes: many}, ErrTooManyNodes, "65536"},
		"same name":         {Config{Nodes: Addrs("a", "b", "A:11211")}, ErrDuplicateNode, `"a" is listed twice`},
		"same address":      {Config{Nodes: []Node{{Name: "x", Addr: "a"}, {Name: "y", Addr: "a:11211"}}}, ErrDuplicateNode, `"x" and "y"`},
		"bad address":       {Config{Nodes: Addrs("a", "b:c")}, ErrBadAddress, `"b:c"`},
		"bad name":          {Config{Nodes: []Node{{Name: "x\n", Addr: "a"}}}, ErrBadName, "control"},
		"negative weight":   {Config{Nodes: []Node{{Addr: "a", Weight: -1}}}, ErrBadWeight, "Drain"},
		"zone missing":      {Config{Nodes: []Node{{Addr: "a", Zone: "z"}, {Addr: "b"}}}, ErrMissingZone, `"b"`},
		"zone missing last": {Config{Nodes: []Node{{Addr: "a"}, {Addr: "b", Zone: "z"}}}, ErrMissingZone, `"a"`},
		"too many copies":   {Config{Nodes: two, Copies: 3}, ErrTooFewNodes, "3 copies of every key, but 2"},
		"copies of drained": {Config{Nodes: []Node{{Addr: "a"}, {Addr: "b", Drain: true}}, Copies: 2}, ErrTooFewNodes, "1 nodes"},
		"negative copies":   {Config{Nodes: two, Copies: -1}, ErrBadCopies, "-1"},
		"absurd copies":     {Config{Nodes: many[:100], Copies: 33}, ErrBadCopies, "32"},
		"unknown placement": {Config{Nodes: two, Placement: 200}, ErrBadPlacement, "Placement(200)"},
		"half a tag":        {Config{Nodes: two, KeyTag: "{"}, ErrBadKeyTag, `"{": want two`},
		"long tag":          {Config{Nodes: two, KeyTag: "{{}}"}, ErrBadKeyTag, "two printable"},
		"blank tag":         {Config{Nodes: two, KeyTag: "{\n"}, ErrBadKeyTag, "two printable"},
		"tag outside ASCII": {Config{Nodes: two, KeyTag: "ä"}, ErrBadKeyTag, "two printable"},
		"negative points":   {Config{Nodes: two, Placement: Classic, VirtualNodes: -1}, ErrBadVirtualNodes, "-1"},
		"too many points":   {Config{Nodes: []Node{{Addr: "a", Weight: 30000}}, Placement: Classic}, ErrBadVirtualNodes, "smaller weights"},
		"overflow":          {Config{Nodes: []Node{{Addr: "a", Weight: MaxWeight}}, Placement: Classic, VirtualNodes: 1 << 30}, ErrBadVirtualNodes, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := New(tc.cfg)
			require.ErrorIs(t, err, tc.want)
			require.ErrorContains(t, err, tc.says)
			require.Nil(t, r)
		})
	}
}

func TestNewCopiesConfig(t *testing.T) {
	nodes := Addrs("b", "a")
	r := mustNew(t, Config{Nodes: nodes})
	nodes[0].Addr = "changed"
	require.Equal(t, []Node{{Name: "a", Addr: "a:11211", Weight: 1}, {Name: "b", Addr: "b:11211", Weight: 1}}, r.Nodes())
	r.Nodes()[0].Name = "changed"
	require.Equal(t, "a", r.Nodes()[0].Name)
}

func TestPlacementText(t *testing.T) {
	for _, p := range []Placement{Rendezvous, Classic, Ketama, KetamaHostPort} {
		text, err := json.Marshal(p)
		require.NoError(t, err)
		var back Placement
		require.NoError(t, json.Unmarshal(text, &back))
		require.Equal(t, p, back)
	}
	var p Placement
	require.ErrorIs(t, p.UnmarshalText([]byte("modulo")), ErrBadPlacement)
	_, err := Placement(9).MarshalText()
	require.ErrorIs(t, err, ErrBadPlacement)
}
