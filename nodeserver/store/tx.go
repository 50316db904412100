package store

// Tx is the work on one key: it holds the lock of the key's shard from Begin to
// End. It is a value, used by one goroutine and never kept: another Begin before End
// may deadlock.
type Tx struct {
	sh  *shard
	it  *item // nil when absent
	key []byte
	now uint32
}

// Begin locks the shard of key and looks the item up. An item whose time has come is
// removed and counts as absent. key must not change before End.
func (s *Store) Begin(key []byte, now uint32) Tx {
	sh := s.shard(key)
	sh.mu.Lock()
	it := sh.items[string(key)]
	if it != nil {
		switch {
		case sh.flushed(it, now):
			sh.counters[GetFlushed]++
			sh.remove(it)
			it = nil
		case it.expired(now):
			sh.counters[GetExpired]++
			sh.remove(it)
			it = nil
		}
	}
	return Tx{sh: sh, it: it, key: key, now: now}
}

// End unlocks. What Meta returned is not valid any more.
func (t *Tx) End() {
	t.it = nil
	t.sh.mu.Unlock()
}

// Found reports whether the item is there.
func (t *Tx) Found() bool { return t.it != nil }

// Meta is the item's meta data, which may be changed in place except for
// ClientFlags, which count in its size; nil when it is absent.
func (t *Tx) Meta() *Meta {
	if t.it == nil {
		return nil
	}
	return &t.it.Meta
}

// Len is the length of the value.
func (t *Tx) Len() int { return len(t.it.value) }

// AppendValue appends the value to dst.
func (t *Tx) AppendValue(dst []byte) []byte { return append(dst, t.it.value...) }

// Bump marks the item as read and moves it to the warm end of the LRU list.
func (t *Tx) Bump() {
	t.it.Bits |= Fetched
	t.Refresh()
}

// Refresh moves the item to the warm end without marking it as read.
func (t *Tx) Refresh() {
	t.it.Access = t.now
	if t.sh.lru.next != t.it {
		unlink(t.it)
		t.sh.pushFront(t.it)
	}
}

// Put stores value under the key with meta m, whose Access it sets, in place of
// whatever was there, and evicts other items if it must. The caller has asked Fits.
func (t *Tx) Put(m Meta, value []byte) { t.put(m, value, nil, nil) }

// Extend stores prefix, the present value and suffix as one value. The item must be
// there and the caller has asked Fits.
func (t *Tx) Extend(m Meta, prefix, suffix []byte) { t.put(m, prefix, t.it.value, suffix) }

// CopyPrefix copies the first bytes of the value to dst and returns how many.
func (t *Tx) CopyPrefix(dst []byte) int { return copy(dst, t.it.value) }

// Overwrite writes value, which must not be longer, over the front of the present one
// and fills the rest with spaces; the length and the meta data stay.
func (t *Tx) Overwrite(value []byte) {
	rest := t.it.value[copy(t.it.value, value):]
	for i := range rest {
		rest[i] = ' '
	}
}

func (t *Tx) put(m Meta, a, b, c []byte) {
	m.Access = t.now
	n := len(a) + len(b) + len(c)
	it := t.it
	if it == nil {
		it = &item{key: string(t.key)}
		t.sh.items[it.key] = it
		t.sh.pushFront(it)
		t.it = it
	} else {
		t.sh.bytes -= int64(it.size())
		if t.sh.lru.next != it {
			unlink(it)
			t.sh.pushFront(it)
		}
	}
	// An old value is only reused when nothing of it is part of the new one, and not
	// when it would keep much more memory alive than it counts for.
	if b == nil && cap(it.value) >= n && cap(it.value) <= n+n/8+16 {
		it.value = append(append(it.value[:0], a...), c...)
	} else {
		v := make([]byte, 0, n)
		it.value = append(append(append(v, a...), b...), c...)
	}
	it.Meta = m
	t.sh.bytes += int64(it.size())
	t.sh.counters[TotalItems]++
	t.sh.makeRoom(t.now, it)
}

// Delete removes the item; it must be there.
func (t *Tx) Delete() {
	t.sh.remove(t.it)
	t.it = nil
}

// Count counts an event.
func (t *Tx) Count(c Counter) { t.sh.counters[c]++ }
