package client_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/memproto"
	"github.com/memherd/memherd/nodeserver"
)

// rmws are what may run on the owner of a key alone, and what is at a key then that held "1".
var rmws = map[string]struct {
	run   func(t *testing.T, c *client.Client, key string) error
	fails error  // what it says of a key that is there
	after string // what is there then
}{
	"add": {func(t *testing.T, c *client.Client, key string) error {
		_, err := c.Add(t.Context(), client.Item{Key: key, Value: []byte("2")})
		return err
	}, client.ErrNotStored, "1"},
	"replace": {func(t *testing.T, c *client.Client, key string) error {
		_, err := c.Replace(t.Context(), client.Item{Key: key, Value: []byte("2")})
		return err
	}, nil, "2"},
	"append": {func(t *testing.T, c *client.Client, key string) error {
		_, err := c.Append(t.Context(), client.Item{Key: key, Value: []byte("2")})
		return err
	}, nil, "12"},
	"prepend": {func(t *testing.T, c *client.Client, key string) error {
		_, err := c.Prepend(t.Context(), client.Item{Key: key, Value: []byte("2")})
		return err
	}, nil, "21"},
	"increment": {func(t *testing.T, c *client.Client, key string) error {
		_, err := c.Increment(t.Context(), key, 4)
		return err
	}, nil, "5"},
	"gets and compare": {func(t *testing.T, c *client.Client, key string) error {
		it, err := c.Gets(t.Context(), key)
		if err != nil {
			return err
		}
		it.Value = append(it.Value, '3')
		_, err = c.CompareAndSwap(t.Context(), it)
		return err
	}, nil, "13"},
}

// An owner that turns out to be gone costs the other copy nothing: nothing was sent, and the value is where it was.
func TestRule10AnOwnerThatIsGoneCostsTheOtherCopyNothing(t *testing.T) {
	for name, op := range rmws {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLogged(t, 2)
				c := l.client(client.Config{ReplicationFactor: 2})
				defer l.closeAll(c)
				set(t, c, "k", "1")
				owner := l.placed(2, "k")[0]
				l.decide(func(node string, _ *memproto.Request) (v nodeserver.Verdict) {
					if node == owner {
						v.Delay = 100 * time.Millisecond
					}
					return v
				})
				read := make(chan string)
				go func() { read <- get(t, c, "k") }()
				synctest.Wait()
				l.kill(owner) // who reads there finds out that the connection is lost, and nobody yet that the node is
				require.Equal(t, "1", <-read, "from the other copy")
				for _, s := range c.Nodes() {
					require.Equal(t, "up", s.State)
				}
				err := op.run(t, c, "k")
				require.ErrorIs(t, err, client.ErrOwnerDown)
				require.ErrorIs(t, err, client.ErrNodeDown)
				require.True(t, client.SafeToRetry(err))
				require.Equal(t, "1", get(t, c, "k"))
			})
		})
	}
}

// An owner that has lost its memory is given what the other copy has before anything runs there that deletes it on that: also if it
// is this very call that meets the new process.
func TestRule10AnOwnerThatWasRestartedIsGivenTheValueFirst(t *testing.T) {
	for name, op := range rmws {
		for _, met := range []bool{true, false} {
			t.Run(fmt.Sprint(name, ", met before ", met), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l := newLogged(t, 2)
					c := l.client(client.Config{ReplicationFactor: 2})
					defer l.closeAll(c)
					set(t, c, "k", "1")
					set(t, c, "gone", "1")
					_, err := c.Delete(t.Context(), "gone")
					require.NoError(t, err)
					owner := l.placed(2, "k")[0]
					l.decide(func(node string, _ *memproto.Request) (v nodeserver.Verdict) {
						v.Delay = 100 * time.Millisecond
						return v
					})
					read := make(chan string)
					go func() { read <- get(t, c, "k") }()
					synctest.Wait()
					l.kill(owner)
					require.Equal(t, "1", <-read)
					l.restart(owner)
					l.decide(func(string, *memproto.Request) (v nodeserver.Verdict) { return v })
					if met {
						time.Sleep(3 * time.Second)
					}
					if err := op.run(t, c, "k"); op.fails != nil {
						require.ErrorIs(t, err, op.fails)
					} else {
						require.NoError(t, err)
					}
					require.Equal(t, op.after, get(t, c, "k"))
					err = op.run(t, c, "gone")
					if name == "add" {
						require.NoError(t, err)
					} else {
						require.Error(t, err, "no copy has it")
					}
				})
			})
		}
	}
}

// So it is on memcached, and who gets a value there gets one that can be compared.
func TestRule10GetsFromARestartedOwner(t *testing.T) {
	onRestartable(t, func(t *testing.T, r *restartable) {
		c := newClient(t, client.Config{Nodes: r.nodes, DialContext: r.dial, ReplicationFactor: 2})
		for i := range 40 {
			set(t, c, fmt.Sprint("k", i), "1")
		}
		r.restart(0)
		back(t, c)
		for i := range 40 {
			require.NoError(t, rmws["gets and compare"].run(t, c, fmt.Sprint("k", i)))
			require.Equal(t, "13", get(t, c, fmt.Sprint("k", i)))
		}
		_, err := c.Gets(t.Context(), "absent")
		require.ErrorIs(t, err, client.ErrCacheMiss)
	})
}

// Nor is the value lost with a call that can't look at the other copy, because that takes no more requests or its caller leaves.
func TestRule10AValueThatCannotBeSeenStays(t *testing.T) {
	for _, busy := range []bool{true, false} {
		for name, op := range map[string]func(ctx context.Context, c *client.Client) error{
			"append": func(ctx context.Context, c *client.Client) error {
				_, err := c.Append(ctx, client.Item{Key: "k", Value: []byte("2")})
				return err
			},
			"increment": func(ctx context.Context, c *client.Client) error { _, err := c.Increment(ctx, "k", 1); return err },
		} {
			t.Run(fmt.Sprint(name, ", busy ", busy), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l := newLogged(t, 2)
					c := l.client(client.Config{ReplicationFactor: 2, MaxInFlight: 1, Timeout: time.Second})
					defer l.closeAll(c)
					set(t, c, "k", "1")
					owner, other := l.placed(2, "k")[0], l.placed(2, "k")[1]
					l.renew(t, c, owner)
					slow := onNode(t, []string{other}, l.nodes())
					l.decide(func(node string, r *memproto.Request) (v nodeserver.Verdict) {
						if node == other && (string(r.Key) == slow || !busy && r.Cmd == memproto.CmdMetaGet) {
							v.Delay = 200 * time.Millisecond
						}
						return v
					})
					var read chan error
					if busy {
						read = make(chan error, 1)
						go func() { _, err := c.Get(context.Background(), slow); read <- err }()
						synctest.Wait()
					}
					ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
					defer cancel()
					err := op(ctx, c)
					require.Error(t, err)
					require.True(t, client.SafeToRetry(err), "%v", err)
					if busy {
						<-read
					}
					time.Sleep(time.Second)
					require.Equal(t, "1", get(t, c, "k"))
				})
			})
		}
	}
}

// What a read-modify-write itself comes to owe a node that is down is no reason to refuse it when it has deleted the rest: with the owner or,
// with FailoverRMW, its stand-in cold, and another copy down.
func TestRule10ItsOwnDebtDoesNotRefuseIt(t *testing.T) {
	for name, failover := range map[string]bool{"the owner is cold": false, "the stand-in is cold": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLogged(t, 3)
				c := l.client(client.Config{ReplicationFactor: 3, FailoverRMW: failover})
				defer l.closeAll(c)
				set(t, c, "k", "1")
				restarted, down := l.placed(3, "k")[0], l.placed(3, "k")[1]
				if failover {
					restarted, down = down, restarted
				}
				l.renew(t, c, restarted)
				l.kill(down)
				time.Sleep(3 * time.Second)
				out, err := c.Append(t.Context(), client.Item{Key: "k", Value: []byte("2")})
				require.NoError(t, err)
				require.Equal(t, 1, out.Owed)
				other := l.client(client.Config{ReplicationFactor: 3})
				defer other.Close()
				require.Equal(t, "12", get(t, other, "k"))
			})
		})
	}
}
