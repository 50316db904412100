package hotkey

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/cespare/xxhash/v2"
	"github.com/stretchr/testify/require"
)

func (n *Near) look(key string) (Seen, bool) { return n.Look(xxhash.Sum64String(key), key) }

// What is kept beside a value ends with its bytes, whatever ends them.
func TestKeptEndsWithItsBytes(t *testing.T) {
	for name, end := range map[string]func(n *Near){
		"put again": func(n *Near) { require.True(t, n.put("k", "v")) },
		"drop":      func(n *Near) { n.Drop(xxhash.Sum64String("k"), "k") },
		"drop node": func(n *Near) { n.DropNode("") },
		"drop all":  func(n *Near) { n.DropAll() },
		"expiry":    func(*Near) { time.Sleep(time.Minute) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNear(t, Config{Staleness: time.Minute})
				require.True(t, n.put("k", "v"))
				old, ok := n.look("k")
				require.True(t, ok)
				require.Equal(t, "v", string(old.Bytes))
				require.Nil(t, old.Kept.Load())
				made := any("made of v")
				require.True(t, old.Kept.CompareAndSwap(nil, &made))
				again, ok := n.look("k")
				require.True(t, ok)
				require.Same(t, &made, again.Kept.Load())
				end(n)
				if seen, ok := n.look("k"); ok {
					require.Nil(t, seen.Kept.Load(), "kept beyond its bytes")
				}
				require.True(t, n.put("k", "w"))
				seen, ok := n.look("k")
				require.True(t, ok)
				require.Nil(t, seen.Kept.Load())
				// A reader that is late fills the old room, which nobody looks into.
				late := any("made of v, late")
				old.Kept.Store(&late)
				seen, ok = n.look("k")
				require.True(t, ok)
				require.Nil(t, seen.Kept.Load())
				n.check(t)
			})
		})
	}
}

// A renewal is of the same bytes.
func TestKeptOutlivesARenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		n := newNear(t, Config{Staleness: 50 * time.Millisecond})
		time.Sleep(time.Second)
		h := xxhash.Sum64String("k")
		require.True(t, n.Put(h, "k", Value{Bytes: []byte("v"), CAS: 7}, n.Generation(h), time.Now()))
		seen, ok := n.look("k")
		require.True(t, ok)
		require.Equal(t, time.Since(began), seen.At)
		made := any(1)
		seen.Kept.Store(&made)
		time.Sleep(40 * time.Millisecond)
		use := n.InUse(1)
		require.Len(t, use, 1)
		require.True(t, n.Renew(use[0], n.Generation(h), time.Now()))
		time.Sleep(40 * time.Millisecond)
		seen, ok = n.look("k")
		require.True(t, ok)
		require.Same(t, &made, seen.Kept.Load())
		require.Equal(t, time.Since(began), seen.At)
		require.EqualValues(t, 2, n.Stats().Hits)
		time.Sleep(10 * time.Millisecond)
		_, ok = n.look("k")
		require.False(t, ok)
		_, ok = (*Near)(nil).Look(h, "k")
		require.False(t, ok)
	})
}

// However readers and writers of a key meet, what is kept was made of the bytes it stands beside, and a read that
// starts after a write returned sees neither of the older. Run with -race.
func TestKeptIsOfTheBytesBesideIt(t *testing.T) {
	n := newNear(t, Config{Staleness: time.Hour})
	s := newVersions(n)
	s.race(t, func() (uint64, error) {
		seen, ok := n.Look(s.hash, s.key)
		if !ok {
			gen, sent := n.Generation(s.hash), time.Now()
			v := s.store.Load()
			n.Put(s.hash, s.key, Value{Bytes: []byte{byte(v), byte(v >> 8), byte(v >> 16)}}, gen, sent)
			return v, nil
		}
		v := uint64(seen.Bytes[0]) | uint64(seen.Bytes[1])<<8 | uint64(seen.Bytes[2])<<16
		if p := seen.Kept.Load(); p == nil {
			made := any(v)
			seen.Kept.CompareAndSwap(nil, &made)
		} else if *p != any(v) {
			return v, fmt.Errorf("kept %v beside %d", *p, v)
		}
		return v, nil
	})
}

// A hit reads the first two of an entry's three lines of memory.
func TestEntryLayout(t *testing.T) {
	if unsafe.Sizeof(uintptr(0)) != 8 {
		t.Skip("reckoned for 64 bits")
	}
	var e entry
	require.EqualValues(t, 64, unsafe.Offsetof(e.value)+unsafe.Sizeof(e.value.Bytes))
	require.Zero(t, unsafe.Offsetof(e.value.Bytes))
	require.Less(t, unsafe.Offsetof(e.reads), uintptr(128))
	require.EqualValues(t, 3*64, unsafe.Sizeof(e)-unsafe.Sizeof(e.seal))
}
