package loader_test

import (
	"context"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/memherd/memherd/loader"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// scaled returns n times MEMHERD_SCALE, at least 1.
func scaled(n int) int {
	f, err := strconv.ParseFloat(os.Getenv("MEMHERD_SCALE"), 64)
	if err != nil || f <= 0 {
		f = 1
	}
	return max(1, int(float64(n)*f))
}

// origin is a database of strings that counts its loads and can be slow or broken.
type origin struct {
	mu   sync.Mutex
	rows map[string]string

	loads   atomic.Int64
	slow    time.Duration             // each load reads, then takes this long
	hook    func(key string) error    // runs before a load reads
	after   func(key string)          // runs between a load's read and its return
	onStore func(key, v string) error // runs before a write
}

func newOrigin(kv ...string) *origin {
	o := &origin{rows: make(map[string]string)}
	for i := 0; i < len(kv); i += 2 {
		o.rows[kv[i]] = kv[i+1]
	}
	return o
}

func (o *origin) set(k, v string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.rows[k] = v
}

func (o *origin) load(ctx context.Context, key string) (string, error) {
	o.loads.Add(1)
	if o.hook != nil {
		if err := o.hook(key); err != nil {
			return "", err
		}
	}
	o.mu.Lock()
	v, ok := o.rows[key]
	o.mu.Unlock()
	if o.after != nil {
		o.after(key)
	}
	if o.slow > 0 {
		select {
		case <-time.After(o.slow):
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
	if !ok {
		return "", loader.ErrNotFound
	}
	return v, nil
}

func (o *origin) store(_ context.Context, key, v string) error {
	if o.onStore != nil {
		if err := o.onStore(key, v); err != nil {
			return err
		}
	}
	o.set(key, v)
	return nil
}

func (o *origin) remove(_ context.Context, key string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.rows, key)
	return nil
}

// open makes a loader of strings over c and o and closes it with the test.
func open(t testing.TB, c loader.Cache, o *origin, mod ...func(*loader.Config[string])) *loader.Loader[string] {
	t.Helper()
	cfg := loader.Config[string]{Load: o.load, Store: o.store, Remove: o.remove, Codec: loader.String{}}
	for _, m := range mod {
		m(&cfg)
	}
	l, err := loader.New(c, cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func writeThrough(c *loader.Config[string]) { c.Write = loader.WriteThrough }
