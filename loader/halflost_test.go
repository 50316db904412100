package loader_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/loader/internal/fakecache"
)

// halfLost is a cache whose stores under tokens are refused, and whose deletes behind them did not get everywhere: one copy
// has neither confirmed nor is it owed.
type halfLost struct{ *fakecache.Cache }

func (c halfLost) lost() (item.Outcome, error) {
	return item.Outcome{Copies: 2, Refused: 1}, item.ErrLeaseLost
}

func (c halfLost) Fill(context.Context, item.Lease, item.Item) (item.Outcome, error) {
	return c.lost()
}

func (c halfLost) SetKeep(context.Context, item.Item) (item.Lease, item.Outcome, error) {
	o, err := c.lost()
	return item.Lease{}, o, err
}

// A refused store whose delete is not known to have reached every copy is followed by another delete.
func TestAHalfLostStoreIsDeleted(t *testing.T) {
	for policy, mod := range map[loader.WritePolicy]func(*loader.Config[string]){
		loader.WriteThrough: writeThrough, loader.WriteBack: writeBack(newMemJournal()),
	} {
		t.Run(policy.String(), func(t *testing.T) {
			c, o := fakecache.New(2), newOrigin("k", "old")
			other := open(t, c, o)
			mustGet(t, other, "old")
			deletes := c.Calls("Delete")
			before := 0 // the origin was written
			o.onStore = func(string, string) error {
				before = c.Calls("Delete") - deletes
				return nil
			}
			l := open(t, halfLost{c}, o, mod)
			require.NoError(t, l.Put(t.Context(), "k", "new"))
			require.NoError(t, l.Flush(t.Context()))
			if policy == loader.WriteBack { // the copies hear of it before the origin, and once more after it
				require.Equal(t, 1, before)
			}
			require.Equal(t, 1, c.Calls("Delete")-deletes-before)
			mustGet(t, other, "new")
		})
	}
}
