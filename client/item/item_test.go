package item_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/memherd/memherd/client/item"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Another field makes the map of a GetMulti of 50 keys a third larger, and each read that returns an Item slower.
func TestAnItemIsSmall(t *testing.T) {
	require.LessOrEqual(t, unsafe.Sizeof(item.Item{}), uintptr(88))
}

func TestCheckKey(t *testing.T) {
	for name, key := range map[string]string{
		"one byte": "k", "longest": strings.Repeat("k", 250), "UTF-8": "ключ", "0x80 and up": "\x80\xff", "0x21": "!",
	} {
		require.NoError(t, item.CheckKey(key), name)
	}
	for name, key := range map[string]string{
		"empty": "", "too long": strings.Repeat("k", 251), "space": "a b", "CRLF": "a\r\nflush_all\r\n", "LF": "a\n",
		"NUL": "a\x00b", "tab": "\ta", "DEL": "a\x7f", "0x1f": "\x1f",
	} {
		require.ErrorIs(t, item.CheckKey(key), item.ErrMalformedKey, name)
	}
}

// Whatever passes can't end a command line or split into two tokens.
func TestCheckKeyLetsNothingThatSplitsALine(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := string(rapid.SliceOf(rapid.Byte()).Draw(t, "key"))
		bad := len(key) == 0 || len(key) > item.MaxKeyLen
		for _, b := range []byte(key) {
			bad = bad || b <= 0x20 || b == 0x7f
		}
		assert.Equal(t, bad, item.CheckKey(key) != nil)
	})
}

func TestErrorNamesOperationAndNode(t *testing.T) {
	err := error(&item.Error{Op: "set", Node: "cache1", Sent: item.NotSent, Err: item.ErrNodeDown})
	require.EqualError(t, err, "memherd: set on cache1: memherd: node is down (not sent)")
	require.ErrorIs(t, err, item.ErrNodeDown)
	require.EqualError(t, &item.Error{Op: "get", Err: item.ErrClosed}, "memherd: get: memherd: client is closed (outcome unknown)")
}

func TestTimeoutIsADeadlineToo(t *testing.T) {
	err := error(&item.Error{Op: "get", Node: "n", Err: item.ErrTimeout})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	var timeout interface{ Timeout() bool }
	require.ErrorAs(t, err, &timeout)
	require.True(t, timeout.Timeout())
	require.False(t, (&item.Error{Err: item.ErrBusy}).Timeout())
}

func TestSafeToRetry(t *testing.T) {
	notSent := &item.Error{Op: "incr", Node: "a", Sent: item.NotSent, Err: item.ErrBusy}
	unknown := &item.Error{Op: "incr", Node: "b", Err: item.ErrConnLost}
	answered := &item.Error{Op: "set", Node: "c", Sent: item.Answered, Err: item.ErrTooLarge}
	for _, c := range []struct {
		err  error
		want bool
	}{
		{nil, false}, {item.ErrCacheMiss, false}, {notSent, true}, {unknown, false}, {answered, false},
		{fmt.Errorf("wrapped: %w", notSent), true},
		{&item.Error{Sent: item.NotSent, Err: fmt.Errorf("%w: %w", item.ErrNodeDown, context.Canceled)}, true},
		{errors.Join(notSent, notSent), true}, {errors.Join(notSent, unknown), false},
		{errors.New("other"), false}, {&item.Error{}, false},
	} {
		require.Equal(t, c.want, item.SafeToRetry(c.err), "%v", c.err)
	}
}

func TestStatesHaveNames(t *testing.T) {
	for s := item.LeaseHit; s <= item.LeaseRefresh; s++ {
		require.NotEqual(t, "unknown", s.String())
	}
	require.Equal(t, "unknown", item.LeaseState(99).String())
	require.Equal(t, "outcome unknown", item.Sent(0).String())
	require.Equal(t, "answered", item.Answered.String())
}

func ExampleSafeToRetry() {
	err := error(&item.Error{Op: "increment", Node: "cache1", Sent: item.NotSent, Err: item.ErrBusy})
	fmt.Println(item.SafeToRetry(err))
	// Output: true
}

func ExampleCheckKey() {
	fmt.Println(item.CheckKey("user:42"))
	fmt.Println(item.CheckKey("user 42\r\n") != nil)
	// Output:
	// <nil>
	// true
}
