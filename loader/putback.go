package loader

import (
	"context"
	"errors"
	"fmt"

	"github.com/memherd/memherd/client/item"
)

// putBack writes v by WriteBack: journal, cache, done. See backlog for what becomes of it
// then, and in what order.
func (l *Loader[V]) putBack(ctx context.Context, full string, v V) error {
	data, err := l.encodeData(v)
	if err != nil {
		return err // nothing has been written anywhere
	}
	return l.journal(ctx, []Record{{Key: full, Value: data}})
}

// removeBack deletes full by WriteBack.
func (l *Loader[V]) removeBack(ctx context.Context, full string) error {
	return l.journal(ctx, []Record{{Key: full, Deleted: true}})
}

// journal accepts writes of different keys, all or none. When it returns nil they are on
// disk and are what this process reads, and the copies have them, or nothing, or will be
// seen to when the origin has them.
func (l *Loader[V]) journal(ctx context.Context, recs []Record) error {
	b := l.back
	bytes := int64(0)
	for _, r := range recs {
		bytes += cost(r)
	}
	bytes, err := b.room(ctx, int64(len(recs)), bytes)
	if errors.Is(err, ErrClosed) {
		return err
	}
	if err != nil {
		b.tally(func(c *BackCounters) { c.Full += uint64(len(recs)) })
		return fmt.Errorf("%w: %w", ErrBacklogFull, err)
	}
	return l.journalIn(ctx, recs, bytes)
}

// journalIn is journal with the room for recs, of so many bytes.
func (l *Loader[V]) journalIn(ctx context.Context, recs []Record, bytes int64) error {
	b := l.back
	jobs := make([]job, len(recs))
	for i, r := range recs {
		p := &pending{cost: min(cost(r), bytes)} // less than its cost only if it is alone
		jobs[i] = job{b.hold(r.Key), p}
	}
	defer func() {
		for _, j := range jobs {
			b.letGo(j.e)
		}
	}()
	if err := l.cfg.Back.Journal.Append(recs); err != nil {
		for _, j := range jobs {
			b.free(j.p.cost)
		}
		return fmt.Errorf("%w: %w", ErrJournal, err)
	}
	for i, j := range jobs {
		j.p.rec = recs[i]
		b.publish(j.e, j.p)
		// A load that runs may have read the origin's older value: it may not fill, and a
		// Get that comes when this write is settled may not join it.
		l.void(recs[i].Key)
	}
	each(len(jobs), func(i int) { l.copyBack(ctx, jobs[i]) })
	return nil
}

// copyBack tells the copies of the newest write of e's key, unless that has been done or
// the origin has it already. Puts of one key that were journalled together come here
// one after the other, and only the first has anything to do: it does it for the newest.
func (l *Loader[V]) copyBack(ctx context.Context, j job) {
	j.e.copies <- struct{}{} // held for a few requests to the cache
	defer func() { <-j.e.copies }()
	l.back.mu.Lock()
	p := j.e.newest
	l.back.mu.Unlock()
	if p == nil || j.e.cached >= p.rec.Version.Seq {
		return
	}
	defer func() { // the write is not in a worker's hands before
		l.back.mu.Lock()
		defer l.back.mu.Unlock()
		p.told = true
	}()
	j.e.cached, j.e.kept = p.rec.Version.Seq, item.Lease{}
	full := p.rec.Key
	if !p.rec.Deleted {
		kept, err := l.fillBack(ctx, p.rec)
		if err == nil {
			j.e.kept = kept
			return
		}
		if errors.Is(err, errDeletedAll) {
			return
		}
		l.notCached(full, err)
	}
	// If this fails, the copies are tried again when the origin has the write.
	_ = l.invalidate(ctx, full)
}

// errDeletedAll: a fill was refused and the cache has deleted the key on every copy.
var errDeletedAll = errors.New("memherd: somebody else changed the key meanwhile")

// fillBack stores a value on every copy, and returns the lease under which it can be stored again,
// which may be the zero one. It need not know what the copies hold: whoever else writes the key
// until the origin has this value, it is stored again then, or deleted (consistency rule 8). A Cache that
// keeps no tokens of a plain store does it under tokens taken just before.
func (l *Loader[V]) fillBack(ctx context.Context, rec Record) (kept item.Lease, err error) {
	full := rec.Key
	b, err := l.enclose(full, rec.Value)
	if err != nil {
		return kept, err
	}
	sctx, cancel := settle(ctx)
	defer cancel()
	it := item.Item{Key: full, Value: b, TTL: l.keep()}
	if k, ok := l.cache.(SetKeeper); ok {
		l.void(full)
		kept, o, err := k.SetKeep(sctx, it)
		return l.keptBack(full, kept, o, err)
	}
	l.supersede(full)
	lease, err := l.cache.LeaseWrite(sctx, full)
	if err != nil {
		return kept, err
	}
	l.void(full)
	return l.storeBack(sctx, lease, it)
}

// storeBack fills under a lease of LeaseWrite or one that an earlier call returned.
func (l *Loader[V]) storeBack(ctx context.Context, lease item.Lease, it item.Item) (kept item.Lease, err error) {
	var o item.Outcome
	if k, ok := l.cache.(Keeper); ok {
		kept, o, err = k.FillKeep(ctx, lease, it)
	} else {
		o, err = l.cache.Fill(ctx, lease, it)
	}
	return l.keptBack(it.Key, kept, o, err)
}

// storeBackMany is storeBack for many keys, for the last time: it returns no leases.
func (l *Loader[V]) storeBackMany(ctx context.Context, leases []item.Lease, items []item.Item) []error {
	k, ok := l.cache.(MultiKeeper)
	if !ok || len(leases) == 1 {
		errs := make([]error, len(leases))
		for i, lease := range leases {
			_, errs[i] = l.storeBack(ctx, lease, items[i])
		}
		return errs
	}
	kept, outs, errs := k.FillKeepMulti(ctx, leases, items)
	for i, it := range items {
		_, errs[i] = l.keptBack(it.Key, kept[i], outs[i], errs[i])
	}
	return errs
}

// keptBack is what a fill's outcome means.
func (l *Loader[V]) keptBack(full string, kept item.Lease, o item.Outcome, err error) (item.Lease, error) {
	if err == nil {
		l.owed(full, o)
		return kept, nil
	}
	if errors.Is(err, item.ErrLeaseLost) {
		l.count.leaseLost.Add(1)
		if o.Copies > 0 && o.Confirmed+o.Refused+o.Owed >= o.Copies {
			l.owed(full, o)
			return item.Lease{}, errDeletedAll
		}
	}
	return item.Lease{}, err
}

// readBack answers a read from the writes that are pending; ok is false if there is none
// of the key. What the copies hold may be older, or gone.
func (l *Loader[V]) readBack(full string) (v V, ok bool, err error) {
	if v, ok, err = l.peekBack(full); ok {
		l.back.reads.Add(1)
	}
	return v, ok, err
}

// peekBack is readBack that is not counted.
func (l *Loader[V]) peekBack(full string) (v V, ok bool, err error) {
	if l.back == nil {
		return v, false, nil
	}
	rec, ok := l.back.newest(full)
	if !ok {
		return v, false, nil
	}
	if rec.Deleted {
		return v, true, ErrNotFound
	}
	v, err = l.decodeData(rec)
	return v, true, err
}

// loadBack wraps Config.Load: a load of a key with a pending write returns that. It looks
// again behind the load, which may have read the origin before the write was accepted.
func (l *Loader[V]) loadBack(load func(context.Context, string) (V, error)) func(context.Context, string) (V, error) {
	return func(ctx context.Context, key string) (V, error) {
		full := l.cfg.Prefix + key
		if v, ok, err := l.peekBack(full); ok {
			return v, err
		}
		v, err := load(ctx, key)
		if w, ok, werr := l.peekBack(full); ok {
			return w, werr
		}
		return v, err
	}
}

// encodeData returns the codec's bytes of v.
func (l *Loader[V]) encodeData(v V) (data []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			data, err = nil, fmt.Errorf("%w: %v", errCodecPanic, p)
		}
	}()
	// What does not append is found out here, as where values are stored in the cache: the origin
	// would get what it has made of v.
	data, err = l.cfg.Codec.Encode([]byte{envMagic}, v)
	switch {
	case err != nil:
		return nil, fmt.Errorf("memherd: codec: %w", err)
	case len(data) == 0 || data[0] != envMagic:
		return nil, errNotAppended
	}
	return data[1:], nil
}

// decodeData reads a record's value.
func (l *Loader[V]) decodeData(rec Record) (v V, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %w: %v", ErrUnreadable, errCodecPanic, p)
		}
	}()
	if v, err = l.cfg.Codec.Decode(rec.Value); err != nil {
		err = fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	return v, err
}
