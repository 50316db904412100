package pipe

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/client/memproto"
)

// A value longer than MaxValue fails the call that asked for it and nothing else: not its neighbours, not the other
// keys of its burst or of the classic get that it shares, not the connection.
func TestAValueThatIsTooLongFailsItsOwnCallOnly(t *testing.T) {
	for _, most := range []int{10, readBuffer, firstBody} {
		for _, over := range []int{1, directRead, 2 * readBuffer} {
			long := strings.Repeat("x", most+over)
			synctest.Test(t, func(t *testing.T) {
				g := newSharingRig(t)
				g.c.cfg.MaxValue = most
				// The whole of it, and cut where a line, a data block and its end meet.
				head := fmt.Sprintf("VA %d f1 O2\r\n", len(long))
				g.replies(3, []string{"VA 2 f1 O1\r\nhi\r\n" + head[:5], head[5:] + long[:7], long[7:], "\r", "\nVA 2 f1 O3\r\nho\r\n"})
				ks := []*Call{g.call(get()), g.call(get()), g.call(get())}
				ks[1].Borrow = over == directRead
				require.NoError(t, g.c.StartAll(context.Background(), ks))
				for i, k := range ks {
					require.True(t, g.c.Wait(context.Background(), k))
					if i == 1 {
						require.Equal(t, item.ErrTooLarge, k.Err)
						require.Equal(t, item.Answered, k.Sent)
						require.Empty(t, k.Value)
						continue
					}
					require.NoError(t, k.Err)
					require.Equal(t, []string{"hi", "", "ho"}[i], string(k.Value))
				}

				// Of a burst, in its classic get and behind a token of its own.
				g.replies(2, []string{
					fmt.Sprintf("VALUE a 1 2\r\nva\r\nVALUE b 1 %d\r\n%s\r\nVALUE c 1 2\r\nvc\r\nEND\r\nVA 2 f1 O4.3\r\nvd\r\n", len(long), long),
				})
				k := g.call(get()).asking([]string{"a", "b", "c", "d"})
				require.True(t, g.do(context.Background(), k))
				require.NoError(t, k.Err)
				require.Len(t, k.Answers(), 4)
				for i, a := range k.Answers() {
					require.Equal(t, i == 1, a.TooLarge())
					if i != 1 {
						require.Equal(t, "v"+k.Asked()[i], string(a.Value))
					}
				}
				g.replies(2, []string{fmt.Sprintf("END\r\nVA %d f1 O5.1\r\n%s\r\n", len(long), long)})
				k = g.call(get()).asking([]string{"a", "b"})
				require.True(t, g.do(context.Background(), k))
				require.NoError(t, k.Err)
				require.Equal(t, memproto.StatusEN, k.Answers()[0].Resp.Status)
				require.True(t, k.Answers()[1].TooLarge())

				// Of a classic get that calls share.
				g.replies(2, []string{
					"VALUE b 1 2\r\nvb\r\n", fmt.Sprintf("VALUE c 1 %d\r\n%s\r\n", len(long), long), "END\r\nVA 2 f1 O6\r\nvd\r\n",
				})
				ks = g.sharingAll("a", "b", "c", "d")
				require.NoError(t, g.c.StartAll(context.Background(), ks))
				for i, k := range ks {
					require.True(t, g.c.Wait(context.Background(), k))
					require.Equal(t, i == 2, k.Err != nil, "%d: %v", i, k.Err)
				}
				require.Equal(t, item.ErrTooLarge, ks[2].Err)
				require.Equal(t, "vb", string(ks[1].Value))
				require.Equal(t, "vd", string(ks[3].Value))
				require.False(t, g.c.Dead())
				g.close()
			})
		}
	}
}

// The same of a server that takes classic commands only; and what is not at the end of its data block is out of step
// here as elsewhere.
func TestAClassicValueThatIsTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newClassicRig(t)
		g.c.cfg.MaxValue = 10
		g.replies(2, []string{"VALUE key 1 11\r\nabc", "defghijk\r\nEND\r\nVALUE key 1 2\r\nhi\r\nEND\r\n"})
		ks := []*Call{g.call(get()), g.call(get())}
		require.NoError(t, g.c.StartAll(context.Background(), ks))
		for _, k := range ks {
			require.True(t, g.c.Wait(context.Background(), k))
		}
		require.Equal(t, item.ErrTooLarge, ks[0].Err)
		require.NoError(t, ks[1].Err)
		require.Equal(t, "hi", string(ks[1].Value))
		g.close()
	})
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		g.c.cfg.MaxValue = 10
		g.replies(1, []string{"VA 11 f1 O1\r\nabcdefghijklm\r\n"})
		k := g.call(get())
		require.True(t, g.do(context.Background(), k))
		require.ErrorIs(t, k.Err, item.ErrDesync)
		g.close()
	})
}
