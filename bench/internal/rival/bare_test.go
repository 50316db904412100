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
