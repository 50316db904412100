package client_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/nodeserver/stock"
	"github.com/memherd/memherd/ring"
)

// soak is a client under load from many callers, some of whom leave.
type soak struct {
	t    *testing.T
	c    *client.Client
	left int // one caller in so many does not wait for its answer
	keys int

	ops, hits, cancelled, failed atomic.Int64
	mu                           sync.Mutex // guards down
	down                         chan struct{}
	lost                         sync.Map // *atomic.Int64 by the cause of a connection's death
}

// hooks count the deaths of connections and let callers wait for a node that is down.
func (s *soak) hooks() client.Hooks {
	return client.Hooks{
		ConnLost: func(_ string, cause error) {
			kind := "another cause"
			for _, known := range []error{client.ErrDesync, client.ErrTimeout, client.ErrServer, client.ErrClosed} {
				if errors.Is(cause, known) {
					kind = known.Error()
				}
			}
			n, _ := s.lost.LoadOrStore(kind, new(atomic.Int64))
			n.(*atomic.Int64).Add(1)
		},
		NodeDown: func(string, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.down == nil {
				s.down = make(chan struct{})
			}
		},
		NodeUp: func(string, int) {
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.down != nil {
				close(s.down)
				s.down = nil
			}
		},
	}
}

// requireShared sees to it that gets went out together: that there were more values in classic gets than the GetMultis among them bring. A run of a
// thousand operations is over before its callers have found together.
func (s *soak) requireShared(m *meddler) {
	if s.ops.Load() > 5000 {
		require.Greater(s.t, m.shared.Load(), s.ops.Load()/20)
	}
}

func (s *soak) deaths() map[string]int64 {
	out := map[string]int64{}
	s.lost.Range(func(k, v any) bool { out[k.(string)] = v.(*atomic.Int64).Load(); return true })
	return out
}

// run has 192 callers complete n operations, by turns of all kinds and gets alone, which go out together then. What fails because the node is down is not
// counted, and its caller waits until it is up again.
func (s *soak) run(n int64) {
	var callers sync.WaitGroup
	for id := range 192 {
		callers.Go(func() {
			rng := rand.New(rand.NewPCG(9, uint64(id)))
			for s.ops.Load() < n {
				ctx, cancel := context.Background(), func() {}
				if rng.IntN(s.left) == 0 {
					ctx, cancel = context.WithTimeout(ctx, time.Duration(rng.IntN(200_000)))
				}
				err := s.one(ctx, rng)
				cancel()
				switch {
				case errors.Is(err, context.DeadlineExceeded):
					s.cancelled.Add(1)
				case errors.Is(err, client.ErrNodeDown) || errors.Is(err, client.ErrOwnerDown):
					s.mu.Lock()
					down := s.down
					s.mu.Unlock()
					if down != nil {
						<-down
					}
					continue
				case err != nil:
					s.failed.Add(1)
				}
				s.ops.Add(1)
			}
		})
	}
	callers.Wait()
}

// one is one operation. Every value says whose it is, and a counter whose number.
func (s *soak) one(ctx context.Context, rng *rand.Rand) error {
	i := rng.IntN(s.keys)
	key := fmt.Sprint("k", i)
	kind := rng.IntN(20)
	if s.ops.Load()%2000 >= 1000 {
		kind = 19
	}
	switch kind {
	case 0, 1, 2:
		_, err := s.c.Set(ctx, client.Item{Key: key, Value: fmt.Appendf(nil, "%s#%0*d", key, rng.IntN(200), i)})
		return err
	case 3:
		found, err := s.c.GetMulti(ctx, []string{key, fmt.Sprint("k", (i+1)%s.keys), fmt.Sprint("k", (i+2)%s.keys)})
		for k, it := range found {
			s.check(k, it)
		}
		return err
	case 4:
		n, err := s.c.Count(ctx, client.Counter{Key: fmt.Sprint("n", i), Delta: 1000, Create: true, Initial: 1000 + uint64(i)})
		if err == nil && n%1000 != uint64(i%1000) {
			s.t.Errorf("the counter %d came to %d", i, n)
		}
		return err
	case 5:
		_, err := s.c.Delete(ctx, key)
		return err
	}
	it, err := s.c.Get(ctx, key)
	if errors.Is(err, client.ErrCacheMiss) {
		return nil
	}
	if err == nil {
		s.check(key, it)
	}
	return err
}

func (s *soak) check(key string, it client.Item) {
	s.hits.Add(1)
	var n int
	if _, err := fmt.Sscanf(string(it.Value), key+"#%d", &n); err != nil || fmt.Sprint("k", n) != key {
		s.t.Errorf("%s holds %.60q", key, it.Value)
	}
}

// One reply in a hundred of a real memcached is late, one caller in a hundred does not
// wait for its own: nobody gets another's, nothing else fails, and no connection is
// lost. make soak-late runs it with 10,000,000 operations.
func TestSoakLateReplies(t *testing.T) {
	t.Parallel() // it mostly waits
	m := &meddler{lateEvery: 100, lateBy: 2 * time.Millisecond}
	m.start(t, stock.ForTest(t).Addr())
	s := &soak{t: t, left: 90, keys: 1000}
	// Timeouts are for nodes that fail, and this machine may be busy.
	s.c = newClient(t, client.Config{Nodes: ring.Addrs(m.addr()), Timeout: 10 * time.Second, DialTimeout: 10 * time.Second, Hooks: s.hooks()})
	s.run(int64(scaled(t, 100_000)))
	t.Logf("%d operations, %d hits checked, %d cancelled, %d of %d replies late, %d values in shared gets, %d connections, lost %v",
		s.ops.Load(), s.hits.Load(), s.cancelled.Load(), m.late.Load(), m.replies.Load(), m.shared.Load(), m.conns.Load(), s.deaths())
	require.Zero(t, s.failed.Load())
	require.Empty(t, s.deaths())
	require.Positive(t, s.cancelled.Load())
	require.Positive(t, m.late.Load())
	require.Positive(t, s.hits.Load())
	s.requireShared(m)
}

// A peer sends one stray reply in a thousand, a copy of an earlier one: nobody gets a
// wrong value; the connections die of it. make soak-stray runs it at length.
func TestSoakStrayReplies(t *testing.T) {
	t.Parallel() // it mostly waits
	m := &meddler{strayEvery: 1000}
	m.start(t, stock.ForTest(t).Addr())
	s := &soak{t: t, left: 100, keys: 1000}
	s.c = newClient(t, client.Config{Nodes: ring.Addrs(m.addr()), Timeout: 10 * time.Second, DialTimeout: 10 * time.Second, Hooks: s.hooks()})
	s.run(int64(scaled(t, 10_000)))
	t.Logf("%d operations, %d hits checked, %d failed, %d of %d replies stray, %d values in shared gets, %d connections, lost %v",
		s.ops.Load(), s.hits.Load(), s.failed.Load(), m.stray.Load(), m.replies.Load(), m.shared.Load(), m.conns.Load(), s.deaths())
	require.Positive(t, s.hits.Load())
	s.requireShared(m)
	if m.stray.Load() > 5 {
		require.Positive(t, s.deaths()[client.ErrDesync.Error()])
	}
}
