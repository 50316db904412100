package client_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/nodeserver"
)

// hostile are keys that no node takes as they are, and plain ones that look like what
// those travel as: every one is an item of its own.
func hostile() []string {
	long := strings.Repeat("long", 63)
	out := []string{
		" ", "a b", "a", "a\x00b", "a\x00c", "a\x00", "\x00", "\t", "\x7f", "a\r\nflush_all\r\n", "a\nb", "\xff\x00\xfe", "ключ и ключ",
		long, long + "x", long + " x", strings.Repeat("k", 250), strings.Repeat(" ", 185), strings.Repeat(" ", 186), strings.Repeat("\x00", 187),
	}
	for _, key := range out {
		if text := base64.StdEncoding.EncodeToString([]byte(key)); len(text) <= 250 {
			out = append(out, text)
		}
	}
	return out
}

func (h *herd) anyKeys() *client.Client {
	return newClient(h.t, client.Config{Nodes: h.nodes, ReplicationFactor: 2, DialContext: h.dial, Keys: client.AnyKeys,
		Hooks: client.Hooks{ConnLost: func(node string, cause error) {
			if !errors.Is(cause, client.ErrClosed) {
				h.t.Errorf("connection to %s lost: %v", node, cause)
			}
		}}})
}

func TestAnyKeysAreItemsOfTheirOwn(t *testing.T) {
	onBothHerds(t, func(t *testing.T, h *herd) {
		c, other := h.anyKeys(), h.anyKeys()
		ctx := context.Background()
		all := hostile()
		var items []client.Item
		for i, key := range all {
			items = append(items, client.Item{Key: key, Value: fmt.Append(nil, i), TTL: time.Hour})
		}
		for _, it := range items[:len(items)/2] {
			out, err := c.Set(ctx, it)
			require.NoError(t, err)
			require.Equal(t, 2, out.Confirmed)
		}
		_, err := c.SetMulti(ctx, items[len(items)/2:])
		require.NoError(t, err)
		found, err := other.GetMulti(ctx, all)
		require.NoError(t, err)
		require.Len(t, found, len(all))
		for i, key := range all {
			require.Equal(t, fmt.Sprint(i), get(t, other, key))
			require.Equal(t, fmt.Sprint(i), string(found[key].Value))
			require.Equal(t, key, found[key].Key)
			info, err := c.Inspect(ctx, key)
			require.NoError(t, err)
			require.Equal(t, len(fmt.Sprint(i)), info.Size)
		}
		plain := newClient(t, client.Config{Nodes: h.nodes, ReplicationFactor: 2, DialContext: h.dial})
		require.Equal(t, "2", get(t, plain, "a"), "a plain key is the same with either setting")

		outs, err := c.DeleteMulti(ctx, all[:10])
		require.NoError(t, err)
		for _, o := range outs {
			require.Equal(t, client.Outcome{Copies: 2, Confirmed: 2, Found: true}, o)
		}
		for i, key := range all {
			_, err := other.Get(ctx, key)
			if i < 10 {
				require.ErrorIs(t, err, client.ErrCacheMiss)
			} else {
				require.NoError(t, err)
			}
		}
	})
}

// Every operation does to such a key what it does to a plain one.
func TestEveryOperationTakesAnyKey(t *testing.T) {
	onBothHerds(t, func(t *testing.T, h *herd) {
		c := h.anyKeys()
		ctx := context.Background()
		for _, key := range []string{"a b", "a\x00b", "a\r\n", strings.Repeat("long ", 100), strings.Repeat("k", 251)} {
			for name, call := range calls(c, ctx, key) {
				err := call()
				if err != nil && !client.SafeToRetry(err) {
					var failure *client.Error
					require.False(t, errors.As(err, &failure) && !errors.Is(err, client.ErrLeaseLost), "%s: %v", name, err)
				}
				require.NotErrorIs(t, err, client.ErrMalformedKey, name)
			}
			_, err := c.Delete(ctx, key)
			require.NoError(t, err)
			n, err := c.Count(ctx, client.Counter{Key: key, Create: true, Initial: 5, Delta: 1})
			require.NoError(t, err)
			require.EqualValues(t, 5, n)
			n, err = c.Increment(ctx, key, 2)
			require.NoError(t, err)
			require.EqualValues(t, 7, n)
			_, err = c.Append(ctx, client.Item{Key: key, Value: []byte("0")})
			require.NoError(t, err)
			it, err := c.Gets(ctx, key)
			require.NoError(t, err)
			require.Equal(t, "70", string(it.Value))
			it.Value = []byte("swapped")
			_, err = c.CompareAndSwap(ctx, it)
			require.NoError(t, err)
			it, err = c.GetAndTouch(ctx, key, time.Hour)
			require.NoError(t, err)
			require.Equal(t, "swapped", string(it.Value))
			_, err = c.Delete(ctx, key)
			require.NoError(t, err)

			l := won(t, c, key)
			require.NoError(t, c.Release(ctx, l))
			for l = (client.Lease{}); l.State.String() != "won"; { // Release does not wait
				l, err = c.Lease(ctx, key, client.LeaseOptions{})
				require.NoError(t, err)
			}
			_, err = c.Fill(ctx, l, client.Item{Value: []byte("filled")})
			require.NoError(t, err)
			require.Equal(t, "filled", get(t, c, key))
			l, err = c.LeaseWrite(ctx, key)
			require.NoError(t, err)
			_, err = c.Fill(ctx, l, client.Item{Value: []byte("written")})
			require.NoError(t, err)
			require.Equal(t, "written", get(t, c, key))
		}
	})
}

// Another program's stale mark: the win that a plain read draws goes back under the
// key's own name, so that the next reader may win it.
func TestAWinOfAnyKeyIsHandedBack(t *testing.T) {
	onBothHerds(t, func(t *testing.T, h *herd) {
		c := h.anyKeys()
		key := "a b"
		set(t, c, key, "v")
		for _, n := range h.placed(key) {
			line, _ := h.ask(n, "md YSBi b I T60\r\n")
			require.Equal(t, "HD", line)
		}
		require.Equal(t, "v", get(t, c, key))
		for l := (client.Lease{}); l.State.String() != "won"; {
			var err error
			l, err = c.Lease(context.Background(), key, client.LeaseOptions{})
			require.NoError(t, err)
			require.True(t, l.Stale)
		}
	})
}

// What a node missed it hears under the same name, and until then nobody reads it.
func TestDebtOfAnyKeyIsPaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newMemFleet(t, 2, nodeserver.Config{})
		c := f.client(client.Config{ReplicationFactor: 2, Timeout: 50 * time.Millisecond, RejoinDelay: soon, Keys: client.AnyKeys})
		ctx := context.Background()
		for _, key := range hostile() {
			set(t, c, key, "old")
		}
		f.network.Partition("node0", true)
		for _, key := range hostile() {
			_, err := c.Delete(ctx, key)
			require.NoError(t, err)
		}
		require.Equal(t, len(hostile()), c.Nodes()[0].Debt)
		f.network.Partition("node0", false)
		for stateOf(c, "node0") != "up" || c.Nodes()[0].Debt > 0 {
			for _, key := range hostile() {
				_, err := c.Get(ctx, key)
				require.ErrorIs(t, err, client.ErrCacheMiss)
			}
			time.Sleep(time.Millisecond)
		}
		alone := f.client(client.Config{Nodes: f.nodes()[:1], Keys: client.AnyKeys})
		found, err := alone.GetMulti(ctx, hostile())
		require.NoError(t, err)
		require.Empty(t, found, "the node itself has heard every delete")
		closeFleet(t, f, c, alone)
	})
}

func TestAnyKeyGetsHot(t *testing.T) {
	f := newMemFleet(t, 2, nodeserver.Config{})
	c := f.client(client.Config{ReplicationFactor: 2, HotKeys: hot(), Keys: client.AnyKeys})
	key := "a\x00b" + strings.Repeat(" long", 100)
	set(t, c, key, "1")
	heat(t, c, key)
	require.Equal(t, key, c.HotKeys(1)[0].Key)
	set(t, c, key, "2")
	require.Equal(t, "2", get(t, c, key), "own writes are seen at once")
}

// What stays refused.
func TestAnyKeysRefusesTheEmptyKey(t *testing.T) {
	f := newMemFleet(t, 1, nodeserver.Config{})
	c := f.client(client.Config{Keys: client.AnyKeys})
	for name, call := range calls(c, context.Background(), "") {
		err := call()
		require.ErrorIs(t, err, client.ErrMalformedKey, name)
		require.True(t, client.SafeToRetry(err), name)
	}
	require.ErrorIs(t, c.CheckKey(""), client.ErrMalformedKey)
	require.NoError(t, c.CheckKey("a b"))
	require.ErrorIs(t, f.client(client.Config{}).CheckKey("a b"), client.ErrMalformedKey)
	_, err := client.New(client.Config{Nodes: f.nodes(), Keys: client.AnyKeys + 1})
	require.ErrorIs(t, err, client.ErrConfig)
}

// A server without the flag b would keep what stands for a binary key as a plain key,
// perhaps another's: it is not used.
func TestAnyKeysNeedTheFlagB(t *testing.T) {
	f := newMemFleet(t, 1, nodeserver.Config{Profile: nodeserver.Profile15})
	plain := f.client(client.Config{})
	set(t, plain, "k", "v")
	c := f.client(client.Config{Keys: client.AnyKeys})
	require.ErrorContains(t, c.Ping(t.Context()), "AnyKeys")
	for _, key := range []string{"k", "binary \x00"} {
		_, err := c.Set(t.Context(), client.Item{Key: key, Value: []byte("w")})
		require.ErrorIs(t, err, client.ErrNodeDown)
		require.True(t, client.SafeToRetry(err))
	}
	require.Equal(t, "v", get(t, plain, "k"))
	require.NoError(t, c.Close())
}
