package loader

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/memherd/memherd/client/item"
)

// invalidateAtOnce is how many keys Invalidate deletes concurrently; the client puts
// them into its nodes' pipelines together.
const invalidateAtOnce = 64

// Put writes v to the origin through Config.Store and then sees to the cache by
// Config.Write. A nil error means: the origin has v, and every copy either dropped or
// replaced its old value, or is owed a delete (Hooks.Owed, Counters.Owed), before
// which this client does not read it. A Get in any process that starts after Put
// returned does not see an older value, but for the processes that cannot know of an
// unreachable copy; those are bounded by the TTL.
//
// If Store fails, its error is returned and the key is deleted from the cache, since
// what the origin holds is unknown. Once Store was called, the cache is told even if
// ctx has ended, so Put may outlast ctx by the cache's timeouts. Puts of one key by
// concurrent callers reach the origin in any order; the cache follows the origin.
func (l *Loader[V]) Put(ctx context.Context, key string, v V) error {
	full, err := l.fullKey(key)
	if err != nil {
		return err
	}
	if l.cfg.Store == nil {
		return ErrNoStore
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := l.begin(); err != nil {
		return err
	}
	defer l.wg.Done()
	l.count.puts.Add(1)
	store := func() error { return l.cfg.Store(ctx, key, v) }
	if l.cfg.Write == WriteThrough {
		err = l.putThrough(ctx, full, v, store)
	} else {
		err = l.writeOrigin(ctx, full, store)
		if err == nil {
			err = l.invalidate(ctx, full)
		}
	}
	if err != nil {
		l.count.putErrors.Add(1)
	}
	return err
}

// putThrough is rule 8 of the consistency rules: a token on every copy, the origin,
// then the copies under their tokens. Why no older value can stay, whoever is late:
//
//   - a reader's fill under an older token, or another writer's, between our token and
//     our fill changes the copy, so our fill is refused and the key is deleted;
//   - after our fill theirs are refused, and a writer that is refused deletes the key;
//   - so a copy keeps a value only if nobody else touched it from token to fill, and
//     then the value was the origin's latest at some moment in between.
func (l *Loader[V]) putThrough(ctx context.Context, full string, v V, store func() error) error {
	b, err := l.encode(full, v, 0)
	if err != nil && !errors.Is(err, errTooLarge) {
		return err // nothing has been written anywhere
	}
	var lease item.Lease
	lerr := err // no use in tokens for a value that cannot be cached
	if lerr == nil {
		l.supersede(full)
		lease, lerr = l.cache.LeaseWrite(ctx, full)
	}
	if err := l.writeOrigin(ctx, full, store); err != nil {
		return err
	}
	if lerr == nil {
		l.void(full)
		sctx, cancel := settle(ctx)
		var o item.Outcome
		o, lerr = l.cache.Fill(sctx, lease, item.Item{Key: full, Value: b, TTL: l.keep()})
		cancel()
		if lerr == nil {
			l.owed(full, o)
			return nil
		}
		if errors.Is(lerr, item.ErrLeaseLost) {
			l.count.leaseLost.Add(1)
			if o.Copies > 0 && o.Confirmed+o.Refused+o.Owed >= o.Copies {
				l.owed(full, o)
				return nil // the client has deleted the key on every copy
			}
		}
	}
	l.notCached(full, lerr)
	return l.invalidate(ctx, full)
}

// Delete removes key at the origin through Config.Remove, when set, and then from the
// cache. What Put says of errors, of owed copies and of ctx holds here too.
func (l *Loader[V]) Delete(ctx context.Context, key string) error {
	full, err := l.fullKey(key)
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := l.begin(); err != nil {
		return err
	}
	defer l.wg.Done()
	l.count.deletes.Add(1)
	if l.cfg.Remove != nil {
		err = l.writeOrigin(ctx, full, func() error { return l.cfg.Remove(ctx, key) })
	}
	if err == nil {
		err = l.invalidate(ctx, full)
	}
	if err != nil {
		l.count.deleteErrors.Add(1)
	}
	return err
}

// Invalidate removes keys from the cache alone: for those who changed the origin by
// other means, such as a consumer of its change log, which must call it after the
// change was committed. All keys are checked before the first is deleted, and all
// are tried; the error joins what failed. Nil means what it means for Put. It
// finishes the deletes it has begun if ctx ends, and reports ctx's error when it left
// others out.
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
	var g errgroup.Group
	g.SetLimit(invalidateAtOnce)
	for i, k := range full {
		if err := ctx.Err(); err != nil {
			errs[len(full)] = err
			break
		}
		l.count.deletes.Add(1)
		g.Go(func() error {
			if errs[i] = l.invalidate(ctx, k); errs[i] != nil {
				l.count.deleteErrors.Add(1)
			}
			return nil
		})
	}
	_ = g.Wait()
	return errors.Join(errs...)
}

// writeOrigin calls fn, the origin's write. If it fails, panics or exits, the origin
// may or may not have the write, so the key is deleted from the cache.
func (l *Loader[V]) writeOrigin(ctx context.Context, full string, fn func() error) (err error) {
	written := false
	defer func() {
		if written {
			return
		}
		if ierr := l.invalidate(ctx, full); ierr != nil {
			err = errors.Join(err, ierr)
		}
	}()
	err = fn()
	written = err == nil
	return err
}

// invalidate deletes full from the cache, whatever has become of ctx: its caller has
// changed the origin. The load of this process that may have read the old value is
// voided first. A flight that begins after that loads the new one; if it sees the old
// one in the cache before the delete, that is a result only for those who had joined
// when it asked (result.asOf), and no caller of a later Get had.
func (l *Loader[V]) invalidate(ctx context.Context, full string) error {
	l.void(full)
	sctx, cancel := settle(ctx)
	defer cancel()
	o, err := l.cache.Delete(sctx, full)
	l.owed(full, o)
	if err != nil && (o.Copies == 0 || o.Confirmed+o.Owed < o.Copies) {
		return fmt.Errorf("%w: %w", ErrNotInvalidated, err)
	}
	return nil
}

func (l *Loader[V]) owed(full string, o item.Outcome) {
	if o.Owed == 0 {
		return
	}
	l.count.owedSent.Add(uint64(o.Owed))
	if h := l.cfg.Hooks.Owed; h != nil {
		h(l.userKey(full), o)
	}
}

// supersede tells a load under way that a write-through is about to take tokens and
// will settle the key. Readers may still join: their Gets began before the Put ended.
// A flight that waits is left alone; the lease it may win is a later one.
func (l *Loader[V]) supersede(full string) {
	s := l.table.shard(full)
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.flights[full]; f != nil && !f.waiting && f.fate == fateFill {
		f.fate = fateSuperseded
	}
	s.doom(full, fateSuperseded)
}

// void keeps the load under way, which may have read the origin before it was
// written, from filling and from being joined.
func (l *Loader[V]) void(full string) {
	s := l.table.shard(full)
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.flights[full]; f != nil {
		if !f.waiting && f.fate == fateFill {
			f.fate = fateVoid
		}
		s.drop(f)
	}
	s.doom(full, fateVoid)
}
