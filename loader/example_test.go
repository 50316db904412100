package loader_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/loader/internal/fakecache"
)

// account is what the examples keep.
type account struct {
	Owner   string
	Balance int
}

func Example() {
	db := map[string]account{"42": {Owner: "Ada", Balance: 100}}
	cache := fakecache.New(2) // in a program: client.New(…)

	accounts, err := loader.New(cache, loader.Config[account]{
		Prefix: "account:",
		TTL:    10 * time.Minute,
		Write:  loader.WriteThrough,
		Load: func(ctx context.Context, key string) (account, error) {
			fmt.Println("loading", key)
			a, ok := db[key]
			if !ok {
				return account{}, loader.ErrNotFound
			}
			return a, nil
		},
		Store: func(ctx context.Context, key string, a account) error {
			db[key] = a
			return nil
		},
	})
	if err != nil {
		panic(err)
	}
	defer accounts.Close()
	ctx := context.Background()

	a, err := accounts.Get(ctx, "42")
	fmt.Println(a, err)
	a, err = accounts.Get(ctx, "42")
	fmt.Println(a, err)

	fmt.Println(accounts.Put(ctx, "42", account{Owner: "Ada", Balance: 75}))
	a, err = accounts.Get(ctx, "42")
	fmt.Println(a, err)

	_, err = accounts.Get(ctx, "43")
	fmt.Println(errors.Is(err, loader.ErrNotFound))
	_, err = accounts.Get(ctx, "43")
	fmt.Println(errors.Is(err, loader.ErrNotFound))
	// Output:
	// loading 42
	// {Ada 100} <nil>
	// {Ada 100} <nil>
	// <nil>
	// {Ada 75} <nil>
	// loading 43
	// true
	// true
}

func ExampleLoader_Invalidate() {
	stock := map[string]string{"apples": "3", "pears": "5"}
	l, err := loader.New(fakecache.New(2), loader.Config[string]{
		Codec: loader.String{},
		Load:  func(ctx context.Context, key string) (string, error) { return stock[key], nil },
	})
	if err != nil {
		panic(err)
	}
	defer l.Close()
	ctx := context.Background()
	fmt.Println(l.Get(ctx, "apples"))
	stock["apples"], stock["pears"] = "2", "4" // by somebody else
	fmt.Println(l.Get(ctx, "apples"))
	if err := l.Invalidate(ctx, "apples", "pears"); err != nil { // told by the change log
		panic(err)
	}
	fmt.Println(l.Get(ctx, "apples"))
	// Output:
	// 3 <nil>
	// 3 <nil>
	// 2 <nil>
}

func ExampleLoader_Counters() {
	l, err := loader.New(fakecache.New(1), loader.Config[int]{
		Load: func(ctx context.Context, key string) (int, error) { return len(key), nil },
	})
	if err != nil {
		panic(err)
	}
	defer l.Close()
	for range 3 {
		if _, err := l.Get(context.Background(), "key"); err != nil {
			panic(err)
		}
	}
	n := l.Counters()
	fmt.Println(n.Misses, "miss,", n.NodeHits, "hits,", n.Loads, "load")
	// Output: 1 miss, 2 hits, 1 load
}

func ExampleConfig_hooks() {
	l, err := loader.New(fakecache.New(1), loader.Config[string]{
		Load: func(ctx context.Context, key string) (string, error) {
			if key == "bad" {
				panic("bug")
			}
			return key, nil
		},
		Hooks: loader.Hooks{
			Load: func(key string, took time.Duration, err error) { fmt.Println("load of", key, "error:", err) },
		},
	})
	if err != nil {
		panic(err)
	}
	defer l.Close()
	_, _ = l.Get(context.Background(), "good")
	_, err = l.Get(context.Background(), "bad")
	var p *loader.PanicError
	fmt.Println(errors.As(err, &p), p.Value)
	// Output:
	// load of good error: <nil>
	// load of bad error: memherd: Load panicked: bug
	// true bug
}

// upper is a Codec of one's own.
type upper struct{}

func (upper) Encode(dst []byte, v string) ([]byte, error) {
	return append(dst, strings.ToUpper(v)...), nil
}
func (upper) Decode(b []byte) (string, error) { return strings.ToLower(string(b)), nil }

func ExampleCodec() {
	var c loader.Codec[string] = upper{}
	b, _ := c.Encode(nil, "quiet")
	v, _ := c.Decode(b)
	fmt.Println(string(b), v)
	// Output: QUIET quiet
}

func ExampleJSON() {
	b, _ := loader.JSON[account]{}.Encode(nil, account{"Ada", 100})
	fmt.Println(string(b))
	// Output: {"Owner":"Ada","Balance":100}
}

func ExampleGob() {
	b, _ := loader.Gob[account]{}.Encode(nil, account{"Ada", 100})
	a, err := loader.Gob[account]{}.Decode(b)
	fmt.Println(a, err)
	// Output: {Ada 100} <nil>
}

func ExampleBytes() {
	b, _ := loader.Bytes{}.Encode([]byte("to "), []byte("be"))
	fmt.Printf("%s\n", b)
	// Output: to be
}

func ExampleString() {
	s, _ := loader.String{}.Decode([]byte("as it is"))
	fmt.Println(s)
	// Output: as it is
}

func ExampleWritePolicy() {
	fmt.Println(loader.WriteAround, loader.WriteThrough)
	// Output: write-around write-through
}
