package client

import (
	"bytes"
	"compress/flate"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/memherd/memherd/ring"
)

func someLists(rt *rapid.T) listing {
	l := listing{At: rapid.Int64Range(0, 1<<42).Draw(rt, "at"), TTL: rapid.Int64Range(1, 1<<20).Draw(rt, "ttl")}
	n := rapid.IntRange(1, 5).Draw(rt, "lists")
	for i := range n {
		e := listed{Fingerprint: fmt.Sprintf("%016x", i), Learned: int64(n - i), Left: -1, Settled: -1, Since: -1}
		for j := range rapid.IntRange(1, 5).Draw(rt, "nodes") {
			node, err := ring.Node{Addr: fmt.Sprintf("10.0.%d.%d", i, j), Weight: 1 + j, Zone: "z"}.Canonical()
			if err != nil {
				rt.Fatal(err)
			}
			e.Nodes = append(e.Nodes, node)
		}
		l.Lists = append(l.Lists, e)
	}
	l.Now = rapid.IntRange(0, n-1).Draw(rt, "now")
	return l
}

// What was encoded is decoded by who knows the same password, and by nobody else.
func TestListsAreSigned(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		l := someLists(rt)
		auths := []*Auth{nil, {Username: "a", Password: "p"}, {Username: "a", Password: "q"}, {Username: "b", Password: "p"}}
		writer := rapid.IntRange(0, len(auths)-1).Draw(rt, "writer")
		b, err := encodeLists(l, auths[writer])
		require.NoError(rt, err)
		for i, a := range auths {
			got, err := decodeLists(b, a)
			if i != writer {
				require.ErrorIs(rt, err, errLists)
				continue
			}
			require.NoError(rt, err)
			require.Equal(rt, l, got)
		}
		at := rapid.IntRange(0, len(b)-1).Draw(rt, "at")
		b[at] ^= byte(rapid.IntRange(1, 255).Draw(rt, "change"))
		_, err = decodeLists(b, auths[writer])
		require.ErrorIs(rt, err, errLists)
	})
}

// Lists that are too long lose the oldest first, and the one in force last.
func TestLongLists(t *testing.T) {
	l := listing{TTL: 1, Now: 3}
	random := rand.NewChaCha8([32]byte{})
	for i := range 5 {
		e := listed{Fingerprint: fmt.Sprint(i)}
		for j := range 5000 {
			// Names that don't compress, as far as names can be so.
			name := make([]byte, 120)
			_, _ = random.Read(name)
			e.Nodes = append(e.Nodes, ring.Node{Name: fmt.Sprintf("%x", name), Addr: fmt.Sprintf("10.%d.%d.%d:11211", i, j/256, j%256)})
		}
		l.Lists = append(l.Lists, e)
	}
	_, err := encodeLists(l, nil)
	require.ErrorIs(t, err, errLists, "not even what is in force has room")
	for i := range l.Lists {
		l.Lists[i].Nodes = l.Lists[i].Nodes[:1500]
	}
	b, err := encodeLists(l, nil)
	require.NoError(t, err)
	require.Less(t, len(b), maxListsBytes)
	got, err := decodeLists(b, nil)
	require.NoError(t, err)
	require.Less(t, len(got.Lists), 5)
	require.Equal(t, "3", got.Lists[got.Now].Fingerprint)
	require.Equal(t, "4", got.Lists[len(got.Lists)-1].Fingerprint)
}

// How old lists are both clocks say, and the node's is believed when they differ.
func TestTheAgeOfLists(t *testing.T) {
	now := time.Now()
	l := listing{At: now.UnixMilli(), TTL: 100}
	for _, test := range []struct{ later, left, age time.Duration }{
		{0, 100 * time.Second, 0},
		{2500 * time.Millisecond, 98 * time.Second, 2500 * time.Millisecond},
		{time.Hour, 98 * time.Second, 2 * time.Second},
		{-time.Hour, 90 * time.Second, 10 * time.Second},
		{0, 200 * time.Second, 0},
	} {
		require.InDelta(t, float64(test.age), float64(l.age(now.Add(test.later), test.left)), float64(time.Millisecond))
	}
}

// FuzzDecodeLists: whatever lies there, it is lists or it is not, and takes no more memory than it may.
func FuzzDecodeLists(f *testing.F) {
	b, err := encodeLists(listing{TTL: 1, Lists: []listed{{Fingerprint: "0", Nodes: ring.Addrs("a")}}}, nil)
	require.NoError(f, err)
	f.Add(b[len(listsMagic)+32:], true)
	var bomb bytes.Buffer
	w, _ := flate.NewWriter(&bomb, flate.BestCompression)
	_, _ = w.Write(make([]byte, maxListsText+1))
	_ = w.Close()
	f.Add(bomb.Bytes(), true)
	f.Add([]byte("mhl1"), false)
	f.Fuzz(func(t *testing.T, b []byte, sign bool) {
		if sign {
			var none *Auth
			b = append(append([]byte(listsMagic), none.signature(b)...), b...)
		}
		l, err := decodeLists(b, nil)
		if err != nil {
			require.ErrorIs(t, err, errLists)
			return
		}
		require.Less(t, l.Now, len(l.Lists))
		again, err := encodeLists(l, nil)
		require.NoError(t, err)
		back, err := decodeLists(again, nil)
		require.NoError(t, err)
		require.Equal(t, l.Lists[l.Now], back.Lists[back.Now])
	})
}
