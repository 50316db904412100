package stock_test

import (
	"errors"
	"fmt"

	"github.com/memherd/memherd/nodeserver/stock"
)

func ExampleStart() {
	srv, err := stock.Start(stock.Config{MemoryMB: 16})
	if errors.Is(err, stock.ErrNotInstalled) {
		return
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	defer srv.Stop()
	fmt.Println("listening on", srv.Addr())
}
