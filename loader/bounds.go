package loader

import (
	"context"
	"sync/atomic"
	"time"
)

// cacheTimeout bounds requests to the cache that no caller's context bounds. The
// client's own timeout per try is far shorter; this is for a cache that has none, and for a client that is told to wait for longer.
const cacheTimeout = 5 * time.Second

// settle returns a context for cache requests that must be made even if ctx's owner
// has left.
func settle(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), cacheTimeout)
}

// sharedFor is how much longer than cacheTimeout a request of a flight may take.
const sharedFor = time.Second

// bounds is settle for the requests of flights, of which there are so many that a timer for each is a thirtieth of what a miss
// costs: those that begin within a second of each other end by one timer, no sooner than cacheTimeout after the last
// of them began. The zero bounds is ready. Any number of goroutines may use it.
type bounds struct{ newest atomic.Pointer[bound] }

type bound struct {
	context.Context
	end   context.CancelFunc
	until time.Time // from then on another is made
}

// of returns a context that ends in cacheTimeout from now, or up to sharedFor later. Its values are those of ctx, which
// nobody may cancel.
func (b *bounds) of(ctx context.Context, now time.Time) context.Context {
	at := b.newest.Load()
	if at == nil || !now.Before(at.until) {
		c, end := context.WithTimeout(context.Background(), cacheTimeout+sharedFor)
		// Two may be made at one moment. The one before is not ended: its requests are under way.
		at = &bound{c, end, now.Add(sharedFor)}
		b.newest.Store(at)
	}
	return valued{at.Context, ctx}
}

// close frees the timer. No request is under way, nor begins.
func (b *bounds) close() {
	if at := b.newest.Load(); at != nil {
		at.end()
	}
}

// valued is a context with the values of another. Those of its own come second: they tell the context package that it can be
// watched without a goroutine.
type valued struct {
	context.Context
	values context.Context
}

func (v valued) Value(key any) any {
	if x := v.values.Value(key); x != nil {
		return x
	}
	return v.Context.Value(key)
}
