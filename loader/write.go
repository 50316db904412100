package loader

import (
	"context"
	"errors"
	"fmt"

	"github.com/memherd/memherd/client/item"
)

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
//
// With WriteBack a nil error means instead: v is in the journal, on disk, and survives the
// process; this process reads v, or something newer, from now on; the copies have v or have
// lost the key, as far as they could be reached; and the origin will get v, or a newer
// value of the key, at least once, in the order of this process's writes, unless it
// refuses it for good (Back.DeadLetter). Another process reads v while the copies keep it
// and may read the origin's older value until the flush; after that what Put says
// above holds. ErrJournal and ErrBacklogFull mean that v was not accepted. The
// disk's commit is not cut short by ctx.
func (l *Loader[V]) Put(ctx context.Context, key string, v V) error {
	return l.PutWith(ctx, key, v, WriteOptions{Policy: l.cfg.Write})
}

// PutWith is Put by the policy that o says.
func (l *Loader[V]) PutWith(ctx context.Context, key string, v V, o WriteOptions) error {
	full, err := l.fullKey(key)
	if err != nil {
		return err
	}
	if err := l.beginWrite(ctx, o); err != nil {
		return err
	}
	defer l.wg.Done()
	l.count.puts.Add(1)
	err = l.put(ctx, key, full, v, o.Policy)
	if err != nil {
		l.count.putErrors.Add(1)
	}
	return err
}

// WriteOptions say how one write is made.
type WriteOptions struct {
	// Policy takes the place of Config.Write. The zero value is WriteAround, whatever
	// Config.Write is. WriteBack needs Config.Back.Journal: ErrNoJournal without.
	//
	// Policies may be mixed, even for one key: a write of another policy than WriteBack first
	// waits until the key's pending one has reached the origin (ErrPending if ctx ends
	// before).
	Policy WritePolicy
}

// beginWrite checks what a Put needs, and registers it as begin does.
func (l *Loader[V]) beginWrite(ctx context.Context, o WriteOptions) error {
	switch {
	case l.cfg.Store == nil:
		return ErrNoStore
	case o.Policy > WriteBack:
		return fmt.Errorf("memherd: WriteOptions.Policy is %v: use WriteAround, WriteThrough or WriteBack", o.Policy)
	case o.Policy == WriteBack && l.back == nil:
		return ErrNoJournal
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return l.begin()
}

// put is Put by a policy, which has been checked.
func (l *Loader[V]) put(ctx context.Context, key, full string, v V, policy WritePolicy) error {
	if policy == WriteBack {
		return l.putBack(ctx, full, v)
	}
	if err := l.afterBack(ctx, full); err != nil {
		return err
	}
	store := func() error { return l.cfg.Store(ctx, key, v) }
	if policy == WriteThrough {
		return l.putThrough(ctx, full, v, store)
	}
	if err := l.writeOrigin(ctx, full, store); err != nil {
		return err
	}
	return l.invalidate(ctx, full)
}

// afterBack waits until an older write of the key by WriteBack has reached the origin,
// which it must not do after the one that is to be made now.
func (l *Loader[V]) afterBack(ctx context.Context, full string) error {
	if l.back == nil {
		return nil
	}
	if err := l.back.await(ctx, full); err != nil {
		return err
	}
	// A crash must not bring the older write back behind the one that is to be made now.
	return l.settleJournal(full)
}

// settleJournal returns when what the journal was told to forget of a key will not come back.
func (l *Loader[V]) settleJournal(full string) error {
	if s, ok := l.cfg.Back.Journal.(Settler); ok {
		if err := s.Settle(full); err != nil {
			return fmt.Errorf("%w: %w", ErrJournal, err)
		}
	}
	return nil
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
	if err != nil && (l.cfg.Consistency == Strong || !errors.Is(err, errTooLarge)) {
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
			return l.confirmed(o)
		}
		if errors.Is(lerr, item.ErrLeaseLost) {
			l.count.leaseLost.Add(1)
			if o.Copies > 0 && o.Confirmed+o.Refused+o.Owed >= o.Copies {
				l.owed(full, o)
				return l.confirmed(o) // the client has deleted the key on every copy
			}
		}
	}
	l.notCached(full, lerr)
	return l.invalidate(ctx, full)
}

// Delete removes key at the origin through Config.Remove, when set, and then from the
// cache. What Put says of errors, of owed copies, of ctx and of WriteBack holds here too;
// without Remove a write that is pending stays so, and is what this process reads.
func (l *Loader[V]) Delete(ctx context.Context, key string) error {
	return l.DeleteWith(ctx, key, WriteOptions{Policy: l.cfg.Write})
}

// DeleteWith is Delete by the policy that o says. WriteAround and WriteThrough do the same.
func (l *Loader[V]) DeleteWith(ctx context.Context, key string, o WriteOptions) error {
	full, err := l.fullKey(key)
	if err != nil {
		return err
	}
	if o.Policy > WriteBack {
		return fmt.Errorf("memherd: WriteOptions.Policy is %v: use WriteAround, WriteThrough or WriteBack", o.Policy)
	}
	if o.Policy == WriteBack && l.back == nil {
		return ErrNoJournal
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := l.begin(); err != nil {
		return err
	}
	defer l.wg.Done()
	l.count.deletes.Add(1)
	switch {
	case l.cfg.Remove == nil:
		err = l.invalidate(ctx, full)
	case o.Policy == WriteBack:
		err = l.removeBack(ctx, full)
	default:
		if err = l.afterBack(ctx, full); err == nil {
			err = l.writeOrigin(ctx, full, func() error { return l.cfg.Remove(ctx, key) })
		}
		if err == nil {
			err = l.invalidate(ctx, full)
		}
	}
	if err != nil {
		l.count.deleteErrors.Add(1)
	}
	return err
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
	if err = fn(); err == nil {
		err = l.unpark(full)
	}
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
	return l.deleted(full, o, err)
}

// deleted says what a delete's outcome means.
func (l *Loader[V]) deleted(full string, o item.Outcome, err error) error {
	l.owed(full, o)
	if err != nil && (o.Copies == 0 || o.Confirmed+o.Owed < o.Copies) {
		return fmt.Errorf("%w: %w", ErrNotInvalidated, err)
	}
	return l.confirmed(o)
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
