package rival

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/bench/internal/fleet"
)

func TestBareGivesEverybodyHisOwn(t *testing.T) {
	f, err := fleet.Start(1, 0)
	require.NoError(t, err)
	defer f.Close()
	b, err := NewBare(f.Nodes()[0].Addr)
	require.NoError(t, err)
	ctx := context.Background()
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			for i := range 60 {
				key := fmt.Sprint(w, ":", i)
				// Some values are larger than the reader's memory.
				value := bytes.Repeat([]byte(key), 1+i%3*i*100)
				if err := b.Set(ctx, key, value); err != nil {
					t.Error(err)
					return
				}
				got, err := b.Get(ctx, key)
				if err != nil || !bytes.Equal(got, value) {
					t.Errorf("%s: %d bytes for %d, %v", key, len(got), len(value), err)
					return
				}
			}
		})
	}
	wg.Wait()
	_, err = b.Get(ctx, "nothing")
	require.ErrorIs(t, err, ErrMiss)
	found := map[string]bool{}
	keys := []string{"0:1", "nothing", "0:2"}
	require.NoError(t, b.GetMulti(ctx, keys, func(i int, value []byte) { found[keys[i]] = true }))
	require.Equal(t, map[string]bool{"0:1": true, "0:2": true}, found)
	// All who wait are told when the server goes.
	require.NoError(t, f.Kill(0))
	for range 8 {
		wg.Go(func() {
			if _, err := b.Get(ctx, "0:1"); err == nil {
				t.Error("who answered?")
			}
		})
	}
	wg.Wait()
	require.NoError(t, b.Close())
	_, err = b.Get(ctx, "0:1")
	require.Error(t, err)
	_, err = NewBare("127.0.0.1:1")
	require.Error(t, err)
}

func TestBareGetsManyFromAll(t *testing.T) {
	f, err := fleet.Start(3, 0)
	require.NoError(t, err)
	defer f.Close()
	var addrs []string
	for _, n := range f.Nodes() {
		addrs = append(addrs, n.Addr)
	}
	b, err := NewBare(addrs...)
	require.NoError(t, err)
	ctx := t.Context()
	var keys []string
	for i := range 200 {
		keys = append(keys, fmt.Sprint("many:", i))
		if i%7 > 0 {
			require.NoError(t, b.Set(ctx, keys[i], bytes.Repeat([]byte(keys[i]), 1+i%5*300)))
		}
	}
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			for i := range 60 {
				at := (w*31 + i*17) % 150
				asked, found := keys[at:at+1+i%50], 0
				err := b.GetMulti(ctx, asked, func(j int, value []byte) {
					found++
					if want := bytes.Repeat([]byte(asked[j]), 1+(at+j)%5*300); !bytes.Equal(value, want) {
						t.Errorf("%s: %.40q", asked[j], value)
					}
				})
				there := 0
				for j := range asked {
					if (at+j)%7 > 0 {
						there++
					}
				}
				if err != nil || found != there {
					t.Errorf("%d of %d, %v", found, there, err)
					return
				}
			}
		})
	}
	wg.Wait()
	require.NoError(t, f.Kill(1))
	for range 8 {
		wg.Go(func() {
			if err := b.GetMulti(ctx, keys, func(int, []byte) {}); err == nil {
				t.Error("who answered?")
			}
		})
	}
	wg.Wait()
	require.NoError(t, b.Close())
	_, err = NewBare(addrs[0], "127.0.0.1:1")
	require.Error(t, err)
}
