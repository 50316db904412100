package main

import (
	"fmt"
	"time"

	"github.com/cespare/xxhash/v2"
	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/maypok86/otter/v2"

	"github.com/memherd/memherd/hotkey"
)

// player is a cache that holds keys 0 to held-1. The others are of string keys and byte slices, too, and without any time
// of life, which would cost them a clock.
type player struct {
	name string
	get  func(i int) bool
}

func players() ([]player, error) {
	keys, hashes := make([]string, asked), make([]uint64, asked)
	for i := range keys {
		keys[i] = fmt.Sprintf("user:%d", i)
		hashes[i] = xxhash.Sum64String(keys[i])
	}
	near, err := hotkey.NewNear(&hotkey.Config{Staleness: time.Hour})
	if err != nil {
		return nil, err
	}
	ot, err := otter.New(&otter.Options[string, []byte]{MaximumSize: 1024})
	if err != nil {
		return nil, err
	}
	ru, err := lru.New[string, []byte](1024)
	if err != nil {
		return nil, err
	}
	for i, k := range keys[:held] {
		v := make([]byte, 100)
		if !near.Put(hashes[i], k, hotkey.Value{Bytes: v}, near.Generation(hashes[i]), time.Now()) {
			return nil, fmt.Errorf("the near-cache refused key %d", i)
		}
		ot.Set(k, v)
		ru.Add(k, v)
	}
	return []player{
		// The client has hashed the key for its placement already.
		{"memherd's near-cache", func(i int) bool { _, ok := near.Get(hashes[i], keys[i]); return ok }},
		{"otter", func(i int) bool { _, ok := ot.GetIfPresent(keys[i]); return ok }},
		{"golang-lru", func(i int) bool { _, ok := ru.Get(keys[i]); return ok }},
	}, nil
}
