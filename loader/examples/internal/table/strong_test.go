package table_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/loader/examples/internal/table"
)

// register is what a row is: the last text written, "" for none.
var register = porcupine.Model{
	Init: func() any { return "" },
	Step: func(state, in, out any) (bool, any) {
		if in != nil {
			return true, in
		}
		return out == state, state
	},
}

// Two Strong processes put, delete and read one row, in transactions of several statements.
// Each history is that of one register.
func TestStrongOverTransactions(t *testing.T) {
	onBoth(t, func(t *testing.T, db *table.Table) {
		strong := func(c *loader.Config[string]) {
			c.Consistency = loader.Strong
			c.Store = func(ctx context.Context, key, body string) error {
				return db.Locked(ctx, key, body, runtime.Gosched)
			}
		}
		nodes := fleet(t)
		processes := []*loader.Loader[string]{process(t, nodes, db, strong), process(t, nodes, db, strong)}
		for n := range scaled(40) {
			h := playStrong(t, processes, fmt.Sprintf("k%d", n))
			require.True(t, porcupine.CheckOperations(register, h), "history %d: %v", n, h)
		}
	})
}

func playStrong(t *testing.T, processes []*loader.Loader[string], key string) (ops []porcupine.Operation) {
	var clock atomic.Int64
	var mu sync.Mutex // guards ops
	var wg sync.WaitGroup
	ctx := context.Background()
	for who := range 4 {
		wg.Go(func() {
			l := processes[who%len(processes)]
			for n := range 4 {
				op := porcupine.Operation{ClientId: who, Call: clock.Add(1)}
				var err error
				switch rand.IntN(5) {
				case 0:
					op.Input, err = "", l.Delete(ctx, key)
				case 1, 2:
					v := fmt.Sprintf("%d.%d", who, n)
					op.Input, err = v, l.Put(ctx, key, v)
				default:
					var v string
					if v, err = l.Get(ctx, key); errors.Is(err, loader.ErrNotFound) {
						err = nil
					}
					op.Output = v
				}
				op.Return = clock.Add(1)
				if err != nil { // all copies are up, and so is the table
					t.Error(err)
				}
				mu.Lock()
				ops = append(ops, op)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return ops
}
