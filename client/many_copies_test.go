package client_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/nodeserver"
)

// With more copies than calls have room for on their stack everything goes on as with few.
func TestMoreCopiesThanFour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newMemFleet(t, 6, nodeserver.Config{})
		c := f.client(client.Config{ReplicationFactor: 6})
		defer closeFleet(t, f, c)
		ctx := t.Context()
		all := client.Outcome{Copies: 6, Confirmed: 6}
		l, err := c.Lease(ctx, "k", client.LeaseOptions{})
		require.NoError(t, err)
		require.Len(t, l.Tokens, 6)
		out, err := c.Fill(ctx, l, client.Item{Value: []byte("1")})
		require.NoError(t, err)
		require.Equal(t, all, out)
		require.Equal(t, "1", get(t, c, "k"))
		l, err = c.LeaseWrite(ctx, "k")
		require.NoError(t, err)
		l, out, err = c.FillKeep(ctx, l, client.Item{Value: []byte("2")})
		require.NoError(t, err)
		require.Equal(t, all, out)
		ls, outs, errs := c.FillKeepMulti(ctx, []client.Lease{l}, []client.Item{{Value: []byte("3")}})
		require.NoError(t, errs[0])
		require.Equal(t, all, outs[0])
		require.Len(t, ls[0].Tokens, 6)
		many, errs := c.LeaseMulti(ctx, []string{"a", "b"}, client.LeaseOptions{})
		for i := range many {
			require.NoError(t, errs[i])
			_, err = c.Fill(ctx, many[i], client.Item{Value: []byte("1")})
			require.NoError(t, err)
		}
		_, out, err = c.SetKeep(ctx, client.Item{Key: "k", Value: []byte("4")})
		require.NoError(t, err)
		require.Equal(t, all, out)
		require.NoError(t, c.Touch(ctx, "k", time.Hour))
		n, err := c.Increment(ctx, "k", 1)
		require.NoError(t, err)
		require.EqualValues(t, 5, n)
		outs, err = c.SetMulti(ctx, []client.Item{{Key: "k", Value: []byte("6")}})
		require.NoError(t, err)
		require.Equal(t, all, outs[0])
		for _, name := range f.names[:5] {
			f.kill(name)
			time.Sleep(2 * time.Second)
			require.Equal(t, "6", get(t, c, "k"))
			found, err := c.GetMulti(ctx, []string{"k"})
			require.NoError(t, err)
			require.Len(t, found, 1)
		}
		out, err = c.Delete(ctx, "k")
		require.NoError(t, err)
		require.Equal(t, client.Outcome{Copies: 6, Confirmed: 1, Owed: 5, Found: true}, out)
		for _, name := range f.names[:5] {
			f.restart(name)
		}
		time.Sleep(20 * time.Second)
		outs, err = c.DeleteMulti(ctx, []string{"k"})
		require.NoError(t, err)
		require.Equal(t, all, outs[0])
	})
}
