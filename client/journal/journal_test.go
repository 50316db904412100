package journal_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/journal"
	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/ring"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t testing.TB, path string) *journal.Journal {
	j, err := journal.Open(path)
	require.NoError(t, err)
	return j
}

// What is loaded is what was written, however often the file is closed in between.
func TestJournalAgainstAModel(t *testing.T) {
	dir := t.TempDir()
	file := 0
	rapid.Check(t, func(rt *rapid.T) {
		file++
		path := filepath.Join(dir, fmt.Sprint(file))
		j := open(t, path)
		model := map[client.DebtRecord]bool{}
		record := rapid.Custom(func(rt *rapid.T) client.DebtRecord {
			return client.DebtRecord{
				Node: rapid.SampledFrom([]string{"a", "b:1", "/c d"}).Draw(rt, "node"),
				Key:  rapid.SampledFrom([]string{"", "k", "k\x00\xff", "kk", "o"}).Draw(rt, "key"),
				Paid: rapid.Bool().Draw(rt, "paid"),
			}
		})
		for range rapid.IntRange(1, 6).Draw(rt, "writes") {
			changes := rapid.SliceOfN(record, 0, 8).Draw(rt, "changes")
			require.NoError(t, j.Write(changes))
			for _, r := range changes {
				owed := !r.Paid
				r.Paid = false
				if owed {
					model[r] = true
				} else {
					delete(model, r)
				}
			}
			if rapid.Bool().Draw(rt, "reopen") {
				require.NoError(t, j.Close())
				j = open(t, path)
			}
			got, err := j.Load()
			require.NoError(t, err)
			require.Len(t, got, len(model))
			for _, r := range got {
				require.True(t, model[r], r)
			}
		}
		require.NoError(t, j.Close())
	})
}

// A key that is longer than the file's own keys may be (client.AnyKeys takes such) keeps neither itself nor others out of it.
func TestKeysOfAnyLength(t *testing.T) {
	path := filepath.Join(t.TempDir(), "debt")
	j := open(t, path)
	at := time.UnixMilli(1_700_000_000_000)
	want := []client.DebtRecord{{Node: "a", Key: "short", At: at}}
	for _, n := range []int{bbolt.MaxKeySize - 1, bbolt.MaxKeySize, 100_000} {
		want = append(want, client.DebtRecord{Node: "a", Key: strings.Repeat("k", n), At: at})
	}
	require.NoError(t, j.Write(want))
	require.NoError(t, j.Close())
	j = open(t, path)
	got, err := j.Load()
	require.NoError(t, err)
	require.ElementsMatch(t, want, got)
	for i := range want {
		want[i].Paid = true
	}
	require.NoError(t, j.Write(want))
	got, err = j.Load()
	require.NoError(t, err)
	require.Empty(t, got)
	require.NoError(t, j.Close())
}

func TestOpenRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "debt")
	j := open(t, path)
	_, err := journal.Open(path)
	require.ErrorContains(t, err, "in use by another process")
	require.NoError(t, j.Close())
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.EqualValues(t, 0o600, info.Mode().Perm(), "keys are user data")

	text := filepath.Join(t.TempDir(), "text")
	require.NoError(t, os.WriteFile(text, []byte("no database at all, but long enough to be looked at"), 0o600))
	_, err = journal.Open(text)
	require.Error(t, err)

	foreign := filepath.Join(t.TempDir(), "foreign")
	db, err := bbolt.Open(foreign, 0o600, nil)
	require.NoError(t, err)
	require.NoError(t, db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucket([]byte("something"))
		if err != nil {
			return err
		}
		return b.Put([]byte("else"), []byte("1"))
	}))
	require.NoError(t, db.Close())
	j = open(t, foreign)
	_, err = client.New(client.Config{Nodes: ring.Addrs("a"), DebtJournal: j})
	require.ErrorIs(t, err, client.ErrConfig)
	require.ErrorContains(t, err, "no journal wrote")
	require.NoError(t, j.Close())
}

// fleet is two nodes on a network that can be cut.
func fleet(t *testing.T) (*nodeserver.MemNetwork, []ring.Node) {
	network := nodeserver.NewMemNetwork()
	var nodes []ring.Node
	for _, name := range []string{"node0", "node1"} {
		s, err := nodeserver.Start(nodeserver.Config{Network: network, Addr: name + ":1"})
		require.NoError(t, err)
		t.Cleanup(func() { s.Close() })
		nodes = append(nodes, ring.Node{Name: name, Addr: name + ":1"})
	}
	return network, nodes
}

// A node is cut off while keys are deleted, and the process ends before the node is back. The
// next one, on the same file, pays before it reads what it owes; without the file the
// old values come back.
func TestDebtOutlivesTheProcess(t *testing.T) {
	ctx := context.Background()
	for _, kept := range []bool{true, false} {
		t.Run(fmt.Sprint("kept=", kept), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network, nodes := fleet(t)
				path := filepath.Join(t.TempDir(), "debt")
				process := func() (c *client.Client, end func()) {
					cfg := client.Config{Nodes: nodes, DialContext: network.DialContext, Timeout: 50 * time.Millisecond}
					var j *journal.Journal
					if kept {
						j = open(t, path)
						cfg.DebtJournal = j
					}
					c, err := client.New(cfg)
					require.NoError(t, err)
					return c, func() {
						require.NoError(t, c.Close())
						if kept {
							require.NoError(t, j.Close())
						}
					}
				}
				c, end := process()
				const keys = 300
				for i := range keys {
					_, err := c.Set(ctx, client.Item{Key: fmt.Sprint("k", i), Value: []byte("old")})
					require.NoError(t, err)
				}
				network.Partition("node0:1", true)
				owed := 0
				for i := range keys {
					out, _ := c.Delete(ctx, fmt.Sprint("k", i))
					owed += out.Owed
				}
				require.Greater(t, owed, keys/4)
				end()
				network.Partition("node0:1", false)

				c, end = process()
				old := 0
				for i := range keys {
					if _, err := c.Get(ctx, fmt.Sprint("k", i)); err == nil {
						old++
					}
				}
				if !kept {
					require.Greater(t, old, owed/2) // a delete on its way during the partition arrives after it
					end()
					return
				}
				require.Zero(t, old)
				require.Eventually(t, func() bool {
					for _, s := range c.Nodes() {
						if s.Debt > 0 {
							return false
						}
					}
					return true
				}, time.Minute, time.Millisecond)
				other, err := client.New(client.Config{Nodes: nodes, DialContext: network.DialContext})
				require.NoError(t, err)
				for i := range keys {
					_, err := other.Get(ctx, fmt.Sprint("k", i))
					require.ErrorIs(t, err, client.ErrCacheMiss)
				}
				require.NoError(t, other.Close())
				end()
				j := open(t, path)
				left, err := j.Load()
				require.NoError(t, err)
				require.Empty(t, left, "what is paid is struck out")
				require.NoError(t, j.Close())
			})
		})
	}
}

// An overflow is remembered, too: the node is not read until somebody says so.
func TestOverflowOutlivesTheProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		network, nodes := fleet(t)
		j := open(t, filepath.Join(t.TempDir(), "debt"))
		cfg := client.Config{Nodes: nodes[:1], DialContext: network.DialContext, Timeout: 50 * time.Millisecond, DebtLimit: 10, DebtJournal: j}
		c, err := client.New(cfg)
		require.NoError(t, err)
		require.NoError(t, c.Ping(ctx))
		network.Partition("node0:1", true)
		for i := range 50 {
			_, _ = c.Delete(ctx, fmt.Sprint("k", i))
		}
		require.True(t, c.Nodes()[0].DebtOverflow)
		require.NoError(t, c.Close())
		network.Partition("node0:1", false)
		c, err = client.New(cfg)
		require.NoError(t, err)
		require.True(t, c.Nodes()[0].DebtOverflow)
		_, err = c.Get(ctx, "k")
		require.ErrorIs(t, err, client.ErrNodeDown)
		require.NoError(t, c.Readmit("node0"))
		require.Eventually(t, func() bool { return c.Nodes()[0].State == "up" }, time.Minute, time.Millisecond)
		require.NoError(t, c.Close())
		left, err := j.Load()
		require.NoError(t, err)
		require.Empty(t, left)
		require.NoError(t, j.Close())
	})
}

// failing is a journal that takes nothing for a while.
type failing struct {
	mu      sync.Mutex // guards what follows
	fails   int
	written []client.DebtRecord
}

var errFull = errors.New("no space left on device")

func (f *failing) Load() ([]client.DebtRecord, error) { return nil, nil }

func (f *failing) Write(changes []client.DebtRecord) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fails > 0 {
		f.fails--
		return errFull
	}
	f.written = append(f.written, changes...)
	return nil
}

// A journal that fails is told of by a hook, and what it missed is written later; if it fails
// to the last, Close says so.
func TestAJournalThatFails(t *testing.T) {
	ctx := context.Background()
	for _, fails := range []int{1, 1000} {
		synctest.Test(t, func(t *testing.T) {
			network, nodes := fleet(t)
			j, told := &failing{fails: fails}, make(chan error, 100)
			c, err := client.New(client.Config{Nodes: nodes[:1], DialContext: network.DialContext, Timeout: 50 * time.Millisecond, DebtJournal: j,
				Hooks: client.Hooks{JournalFailed: func(err error) { told <- err }}})
			require.NoError(t, err)
			network.Partition("node0:1", true)
			for i := range 20 {
				out, _ := c.Delete(ctx, fmt.Sprint("k", i))
				require.Equal(t, 1, out.Owed)
			}
			require.ErrorIs(t, <-told, errFull)
			err = c.Close()
			if fails > 1 {
				require.ErrorIs(t, err, errFull)
				return
			}
			require.NoError(t, err)
			require.Len(t, j.written, 20)
		})
	}
}

func Example() {
	dir, err := os.MkdirTemp("", "debt")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	j, err := journal.Open(filepath.Join(dir, "cache-debt"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer j.Close() // after the client
	c, err := client.New(client.Config{Nodes: ring.Addrs("10.0.0.1", "10.0.0.2"), DebtJournal: j})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	fmt.Println(len(c.Nodes()), "nodes")
	// Output: 2 nodes
}
