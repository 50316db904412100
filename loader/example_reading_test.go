package loader_test

import (
	"context"
	"fmt"
	"time"

	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/loader/internal/fakecache"
)

// Values are loaded anew from a minute on, while everybody still gets the old one at once;
// none is served after ten minutes, unless the database is down, and none then after an hour
// more.
func ExampleFreshness() {
	prices, err := loader.New(fakecache.New(2), loader.Config[int]{ // in a program: client.New(…)
		TTL:       10 * time.Minute,
		Freshness: loader.Freshness{Soft: time.Minute, IfError: time.Hour},
		Load:      func(context.Context, string) (int, error) { return 42, nil },
	})
	if err != nil {
		panic(err)
	}
	defer prices.Close()
	fmt.Println(prices.Get(context.Background(), "bread"))
	// Output: 42 <nil>
}

// A page of many rows costs one round trip to each node and one query for what is missing.
func ExampleLoader_GetMulti() {
	names, err := loader.New(fakecache.New(2), loader.Config[string]{ // in a program: client.New(…)
		Load: func(_ context.Context, id string) (string, error) { return "name of " + id, nil },
		LoadMany: func(_ context.Context, ids []string) (map[string]string, error) {
			fmt.Println("SELECT … WHERE id IN", len(ids), "ids")
			found := map[string]string{}
			for _, id := range ids {
				found[id] = "name of " + id
			}
			return found, nil
		},
	})
	if err != nil {
		panic(err)
	}
	defer names.Close()
	for range 2 {
		found, err := names.GetMulti(context.Background(), []string{"1", "2", "3"})
		fmt.Println(len(found), found["2"], err)
	}
	// Output:
	// SELECT … WHERE id IN 3 ids
	// 3 name of 2 <nil>
	// 3 name of 2 <nil>
}
