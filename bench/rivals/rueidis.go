package main

import (
	"context"

	"github.com/redis/rueidis"

	"github.com/memherd/memherd/bench/internal/rival"
)

// rueidisCache is the fastest Go client of Redis: pipelined, too, so a yardstick from
// next door.
type rueidisCache struct{ c rueidis.Client }

// newRueidis talks to one redis-server with the client's defaults, save that nothing
// is cached on this side: every get goes to the server, as everybody else's.
func newRueidis(server string) (*rueidisCache, error) {
	c, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{server}, DisableCache: true})
	if err != nil {
		return nil, err
	}
	return &rueidisCache{c}, nil
}

func (r *rueidisCache) Get(ctx context.Context, key string) ([]byte, error) {
	b, err := r.c.Do(ctx, r.c.B().Get().Key(key).Build()).AsBytes()
	if rueidis.IsRedisNil(err) {
		return nil, rival.ErrMiss
	}
	return b, err
}

func (r *rueidisCache) GetMulti(ctx context.Context, keys []string, each func(i int, value []byte)) error {
	found, err := rueidis.MGet(r.c, ctx, keys)
	if err != nil {
		return err
	}
	for i, key := range keys {
		m := found[key]
		b, err := m.AsBytes()
		if rueidis.IsRedisNil(err) {
			continue
		}
		if err != nil {
			return err
		}
		each(i, b)
	}
	return nil
}

func (r *rueidisCache) Set(ctx context.Context, key string, value []byte) error {
	return r.c.Do(ctx, r.c.B().Set().Key(key).Value(rueidis.BinaryString(value)).Build()).Error()
}

func (r *rueidisCache) Close() error {
	r.c.Close()
	return nil
}
