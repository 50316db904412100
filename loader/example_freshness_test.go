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
