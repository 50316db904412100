package loader

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/memherd/memherd/client/item"
)

const (
	// invalidateBatch is how many keys go to a BatchDeleter together.
	invalidateBatch = 1024
	// atOnce is how many keys of one call are worked on concurrently where there is no
	// such thing; the client puts them into its nodes' pipelines together.
	atOnce = 64
)

// BatchDeleter is implemented by a Cache that deletes many keys in a few round trips, as
// *client.Client does. Without it a loader deletes them one by one, 64 at a time.
type BatchDeleter interface {
	// DeleteMulti is Delete for each of keys. It returns the outcome of each, by position,
	// and an error if any of them was not confirmed as Delete demands; an error without
	// outcomes means that no key was deleted.
	DeleteMulti(ctx context.Context, keys []string) ([]item.Outcome, error)
}

// Invalidate removes keys from the cache alone: for those who changed the origin by
// other means, such as a consumer of its change log, which must call it after the
// change was committed. Many keys in one call share their round trips. All keys are
// checked before the first is deleted, and all are tried; the error joins what failed.
// Nil means what it means for Put. It finishes the deletes it has begun if ctx ends, and
// reports ctx's error when it left others out. A pending write of WriteBack stays, and is
// what this process reads.
func (l *Loader[V]) Invalidate(ctx context.Context, keys ...string) error {
	full := make([]string, len(keys))
	for i, k := range keys {
		var err error
		if full[i], err = l.fullKey(k); err != nil {
			return fmt.Errorf("key %d of %d: %w", i+1, len(keys), err)
		}
	}
	if err := l.begin(); err != nil {
		return err
	}
	defer l.wg.Done()
	errs := make([]error, len(full)+1)
	for done := 0; done < len(full); {
		if err := ctx.Err(); err != nil {
			errs[len(full)] = err
			break
		}
		n := min(invalidateBatch, len(full)-done)
		l.count.deletes.Add(uint64(n))
		l.invalidateMany(ctx, full[done:done+n], errs[done:done+n])
		for _, err := range errs[done : done+n] {
			if err != nil {
				l.count.deleteErrors.Add(1)
			}
		}
		done += n
	}
	return errors.Join(errs...)
}

// invalidateMany is invalidate for each of full; errs gets what it returns.
func (l *Loader[V]) invalidateMany(ctx context.Context, full []string, errs []error) {
	batch, ok := l.cache.(BatchDeleter)
	if !ok || len(full) == 1 {
		var g errgroup.Group
		g.SetLimit(atOnce)
		for i, k := range full {
			g.Go(func() error {
				errs[i] = l.invalidate(ctx, k)
				return nil
			})
		}
		_ = g.Wait()
		return
	}
	for _, k := range full {
		l.void(k)
	}
	sctx, cancel := settle(ctx)
	defer cancel()
	outcomes, err := batch.DeleteMulti(sctx, full)
	for i, k := range full {
		var o item.Outcome
		if i < len(outcomes) {
			o = outcomes[i]
		}
		errs[i] = l.deleted(k, o, err)
	}
}
