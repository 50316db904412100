package client

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/ring"
)

// What follows our newest list in what others have written, when lists come back.
func TestListsAfterOurs(t *testing.T) {
	lists := map[string]*placement{}
	at := func(name string) *placement {
		if lists[name] == nil {
			r, err := rings.compile(ring.Config{Nodes: []ring.Node{{Name: name, Addr: "h:1"}}, Copies: 1})
			require.NoError(t, err)
			lists[name] = &placement{ring: r, print: fmt.Sprintf("%016x", r.Fingerprint())}
		}
		return lists[name]
	}
	for _, test := range []struct{ ours, theirs, after string }{
		{"abc", "abcd", "d"},
		{"abc", "abcdce", "dce"},    // c again, and it is not our c
		{"abcdc", "abcdce", "e"},    // it is
		{"c", "abcdce", "e"},        // nobody knows: the newest
		{"bc", "abcd", "d"},         // ours have forgotten a
		{"abc", "bcd", "d"},         // theirs have
		{"abx", "abcd", "cd"},       // x is ours alone
		{"x", "abc", "abc"},         // nothing in common
		{"abc", "abc", ""},          // the same
		{"abcabc", "abcabcabc", ""}, // nobody knows this either
	} {
		var ours []*placement
		for _, name := range test.ours {
			ours = append(ours, at(string(name)))
		}
		var theirs listing
		for _, name := range test.theirs {
			theirs.Lists = append(theirs.Lists, listed{Fingerprint: at(string(name)).print})
		}
		after := test.theirs[theirs.after(ours):]
		require.Equal(t, test.after, after, test)
	}
}
