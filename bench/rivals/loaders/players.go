package main

import (
	"context"
	"errors"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
	groupcache "github.com/golang/groupcache/singleflight"
	"github.com/viccon/sturdyc"
	"golang.org/x/sync/singleflight"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/hotkey"
	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/ring"
)

// cache reads through to the origin. One is what one process of a fleet has: nothing in its
// memory is shared with the others.
type cache interface {
	Get(ctx context.Context, key string) ([]byte, error)
	Close() error
}

// load is the origin.
type load func(ctx context.Context, key string) ([]byte, error)

const (
	ttl     = time.Hour // longer than a run: what is loaded twice is loaded twice in vain
	timeout = 5 * time.Second
)

// player is one way to cache, with the origin in front of it.
type player struct {
	name string
	open func(servers []string, workers int, o load) (cache, error)
	// with is the name of the memherd that it is compared with: the first if it has none.
	with string
}

// The names of the first two. The second is the same as the first: how far they are apart
// is noise.
const (
	ours  = "memherd"
	again = "memherd again"
	// holding is memherd with memory as sturdyc's.
	holding = "memherd, memory for the TTL"

	holdBytes = 64 << 20
)

func players() []player {
	return []player{
		{name: ours, open: openMemherd},
		{name: again, open: openMemherd},
		{name: holding, open: openHolding},
		{"sturdyc, memory over gomemcache", openSturdyc, holding},
		{name: "groupcache's singleflight, gomemcache", open: openGroupcache},
		{name: "x/sync's singleflight, gomemcache", open: openByHand},
	}
}

// herd is memherd as its README sets it up, with a copy of each key, as the others have.
type herd struct {
	*loader.Loader[[]byte]
	client *client.Client
}

func openMemherd(servers []string, _ int, o load) (cache, error) {
	return openHerd(servers, o, hotkey.Config{}, false)
}

// openHolding is memherd with what sturdyc takes: memory for as many keys, which serves
// without asking for as long as the TTL.
func openHolding(servers []string, _ int, o load) (cache, error) {
	return openHerd(servers, o, hotkey.Config{Staleness: ttl, NearAll: true, NearBytes: holdBytes}, true)
}

func openHerd(servers []string, o load, hot hotkey.Config, share bool) (cache, error) {
	c, err := client.New(client.Config{Nodes: ring.Addrs(servers...), HotKeys: &hot, Timeout: timeout, DialTimeout: timeout})
	if err != nil {
		return nil, err
	}
	l, err := loader.New(c, loader.Config[[]byte]{Load: o, Codec: loader.Bytes{}, TTL: ttl, ShareDecoded: share})
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return &herd{l, c}, nil
}

func (h *herd) Close() error { return errors.Join(h.Loader.Close(), h.client.Close()) }

// gomemcached is gomemcache with as many idle connections as there are workers, without which it
// would dial all the time.
func gomemcached(servers []string, workers int) *memcache.Client {
	c := memcache.New(servers...)
	c.MaxIdleConns, c.Timeout = workers, timeout
	return c
}

// aside is cache-aside as it is written by hand: the cache, and on a miss one load for all
// of this process who want it, stored for the others.
type aside struct {
	c    *memcache.Client
	load load
	// once calls f, for all who want key at that moment.
	once func(key string, f func() ([]byte, error)) ([]byte, error)
}

func (a *aside) Get(ctx context.Context, key string) ([]byte, error) {
	it, err := a.c.Get(key)
	if err == nil {
		return it.Value, nil
	}
	return a.once(key, func() ([]byte, error) {
		b, err := a.load(ctx, key)
		if err == nil {
			_ = a.c.Set(&memcache.Item{Key: key, Value: b, Expiration: int32(ttl.Seconds())}) // or it is loaded again
		}
		return b, err
	})
}

func (a *aside) Close() error { return a.c.Close() }

func openByHand(servers []string, workers int, o load) (cache, error) {
	var g singleflight.Group
	return &aside{gomemcached(servers, workers), o, func(key string, f func() ([]byte, error)) ([]byte, error) {
		v, err, _ := g.Do(key, func() (any, error) { return f() })
		b, _ := v.([]byte)
		return b, err
	}}, nil
}

func openGroupcache(servers []string, workers int, o load) (cache, error) {
	var g groupcache.Group
	return &aside{gomemcached(servers, workers), o, func(key string, f func() ([]byte, error)) ([]byte, error) {
		v, err := g.Do(key, func() (any, error) { return f() })
		b, _ := v.([]byte)
		return b, err
	}}, nil
}

// sturdy is sturdyc: a cache in the process's memory, over memcached that all share. What
// another process writes it does not see before its TTL.
type sturdy struct {
	*sturdyc.Client[[]byte]
	storage storage
	load    load
}

// What sturdyc's memory may hold: every key of the trace.
const (
	sturdyKeys   = 1 << 17
	sturdyShards = 64
	sturdyEvicts = 10 // percent, if it were full
)

func openSturdyc(servers []string, workers int, o load) (cache, error) {
	s := storage{gomemcached(servers, workers)}
	return &sturdy{sturdyc.New[[]byte](sturdyKeys, sturdyShards, ttl, sturdyEvicts, sturdyc.WithNoContinuousEvictions(), sturdyc.WithDistributedStorage(s)), s, o}, nil
}

func (s *sturdy) Get(ctx context.Context, key string) ([]byte, error) {
	return s.GetOrFetch(ctx, key, func(ctx context.Context) ([]byte, error) { return s.load(ctx, key) })
}

func (s *sturdy) Close() error { return s.storage.c.Close() }

// storage is memcached as sturdyc wants it.
type storage struct{ c *memcache.Client }

func (s storage) Get(_ context.Context, key string) ([]byte, bool) {
	it, err := s.c.Get(key)
	if err != nil {
		return nil, false
	}
	return it.Value, true
}

func (s storage) Set(_ context.Context, key string, value []byte) {
	_ = s.c.Set(&memcache.Item{Key: key, Value: value, Expiration: int32(ttl.Seconds())})
}

func (s storage) GetBatch(ctx context.Context, keys []string) map[string][]byte {
	items, _ := s.c.GetMulti(keys)
	out := map[string][]byte{}
	for key, it := range items {
		out[key] = it.Value
	}
	return out
}

func (s storage) SetBatch(ctx context.Context, records map[string][]byte) {
	for key, value := range records {
		s.Set(ctx, key, value)
	}
}
