package loader_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/loader/internal/fakecache"
)

// counting is a Cache that stands between loader and client. By embedding the client it offers all that a
// loader makes use of where it is there.
type counting struct {
	*client.Client
	leases atomic.Int64
}

func (c *counting) Lease(ctx context.Context, key string, o item.LeaseOptions) (item.Lease, error) {
	c.leases.Add(1)
	return c.Client.Lease(ctx, key, o)
}

func ExampleCache() {
	var c loader.Cache = &counting{}
	_, batch := c.(loader.BatchDeleter)
	_, multi := c.(loader.MultiLeaser)
	_, keeps := c.(loader.Keeper)
	_, sets := c.(loader.SetKeeper)
	_, fills := c.(loader.MultiKeeper)
	_, checks := c.(loader.KeyChecker)
	_, near := c.(loader.NearReader)
	_, holds := c.(loader.NearHolder)
	_, reads := c.(loader.Reader)
	_, ttls := c.(loader.TTLReader)
	fmt.Println(batch, multi, keeps, sets, fills, checks, near, holds, reads, ttls)
	// Output: true true true true true true true true true true
}

// Reads that see every write that came before them, in any process.
func ExampleConsistency() {
	l, err := loader.New(fakecache.New(2), loader.Config[string]{
		Consistency: loader.Strong,
		Load:        func(context.Context, string) (string, error) { return "row", nil },
		Store:       func(context.Context, string, string) error { return nil },
		Write:       loader.WriteThrough,
	})
	if err != nil {
		panic(err)
	}
	defer l.Close()
	fmt.Println(l.Get(context.Background(), "key"))
	// Output: row <nil>
}

// A database that bears eight loads at a time, or fewer when it is in trouble, and a thousand a second.
func ExampleOrigin() {
	l, err := loader.New(fakecache.New(1), loader.Config[string]{
		Load:     func(context.Context, string) (string, error) { return "", errors.New("the database is away") },
		MaxLoads: 8,
		Origin:   loader.Origin{MinLoads: 1, SlowAfter: 500 * time.Millisecond, QueueWait: 200 * time.Millisecond, Rate: 1000},
	})
	if err != nil {
		panic(err)
	}
	defer l.Close()
	_, err = l.Get(context.Background(), "key")
	fmt.Println(err)
	// Output: the database is away
}

// Some keys of many fail: the rest is there.
func ExampleMultiError() {
	l, err := loader.New(fakecache.New(1), loader.Config[string]{
		Load: func(_ context.Context, key string) (string, error) {
			if key == "b" {
				return "", errors.New("bad row")
			}
			return "row " + key, nil
		},
	})
	if err != nil {
		panic(err)
	}
	defer l.Close()
	found, err := l.GetMulti(context.Background(), []string{"a", "b"})
	var some *loader.MultiError
	fmt.Println(found["a"], errors.As(err, &some), some.Errs["b"])
	// Output: row a true bad row
}

func ExampleKeyErrors() {
	l, err := loader.New(fakecache.New(1), loader.Config[string]{
		Load: func(context.Context, string) (string, error) { return "", loader.ErrNotFound },
		Store: func(_ context.Context, key, _ string) error {
			if key == "b" {
				return errors.New("read-only row")
			}
			return nil
		},
	})
	if err != nil {
		panic(err)
	}
	defer l.Close()
	err = l.PutMulti(context.Background(), map[string]string{"a": "1", "b": "2"})
	var failed loader.KeyErrors
	fmt.Println(errors.As(err, &failed), len(failed), failed["b"])
	// Output: true 1 read-only row
}

// A loader far from the master database, which reads a replica that lags.
func ExampleRegionConfig() {
	master, replica := "old", "old"
	l, err := loader.New(fakecache.New(2), loader.Config[string]{
		Load:   func(context.Context, string) (string, error) { return replica, nil },
		Store:  func(_ context.Context, _, v string) error { master = v; return nil },
		Region: loader.RegionConfig[string]{LoadMaster: func(context.Context, string) (string, error) { return master, nil }},
	})
	if err != nil {
		panic(err)
	}
	defer l.Close()
	ctx := context.Background()
	if err := l.PutWith(ctx, "user:42", "new", loader.WriteOptions{Policy: loader.WriteAround}); err != nil {
		panic(err)
	}
	fmt.Println(l.Get(ctx, "user:42")) // the replica has not heard of it yet
	// Output: new <nil>
}

// Hits are compared with the database in the background: what differs has been written past the cache.
func ExampleAuditConfig() {
	var mu sync.Mutex // guards price, which somebody changes without a word to the cache
	price := "10"
	found := make(chan string, 1)
	l, err := loader.New(fakecache.New(1), loader.Config[string]{
		Load: func(context.Context, string) (string, error) {
			mu.Lock()
			defer mu.Unlock()
			return price, nil
		},
		Audit: loader.AuditConfig[string]{Share: 1, Grace: time.Millisecond, Stale: func(key string, _ time.Duration) {
			select {
			case found <- key:
			default: // told already
			}
		}},
	})
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	if _, err := l.Get(ctx, "apples"); err != nil {
		panic(err)
	}
	mu.Lock()
	price = "12"
	mu.Unlock()
	for stale := ""; stale == ""; { // readers go on; a hit that finds the audit busy is left out
		v, err := l.Get(ctx, "apples")
		if err != nil {
			panic(err)
		}
		select {
		case stale = <-found:
			fmt.Println(stale, "is stale:", v)
		default:
		}
	}
	l.Close()
	var audit loader.AuditCounters = l.Counters().Audit
	fmt.Println(audit.Stale > 0)
	// Output:
	// apples is stale: 10
	// true
}
