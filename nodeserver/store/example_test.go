package store_test

import (
	"fmt"

	"github.com/memherd/memherd/nodeserver/store"
)

func ExampleStore() {
	s, err := store.New(store.Config{MaxBytes: 8 << 20})
	if err != nil {
		fmt.Println(err)
		return
	}
	const now = 100 // second of the caller's clock
	tx := s.Begin([]byte("greeting"), now)
	if !tx.Found() {
		tx.Put(store.Meta{CAS: 1, Expiry: now + 60}, []byte("hello"))
	}
	tx.End()

	tx = s.Begin([]byte("greeting"), now+59)
	fmt.Printf("%s\n", tx.AppendValue(nil))
	tx.End()
	tx = s.Begin([]byte("greeting"), now+60)
	fmt.Println(tx.Found())
	tx.End()
	// Output:
	// hello
	// false
}
