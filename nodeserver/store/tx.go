package store

// Tx is the work on one key: it holds the lock of the key's shard from Begin to
// End. It is a value, used by one goroutine and never kept: another Begin before End
// may deadlock.
type Tx struct {
	sh   *shard
	addr uint32 // of the record, 0 when the item is absent
	now  uint32
	hash uint64
	key  []byte
	r    record
	// meta is a copy of the record's, which is written back by End if it was shown.
	meta  Meta
	shown bool
}

// Begin locks the shard of key and looks the item up. An item whose time has come is
// removed and counts as absent. key must not change before End.
func (s *Store) Begin(key []byte, now uint32) Tx {
	sh, h := s.shard(key)
	sh.mu.Lock()
	if sh.nextWake <= now {
		sh.sweep(now)
	}
	t := Tx{sh: sh, now: now, hash: h, key: key}
	if addr := sh.find(h, key); addr != 0 {
		r := sh.record(addr)
		switch {
		case sh.flushed(r, now):
			sh.counters[GetFlushed]++
			sh.kill(h, addr)
		case expired(r, now):
			sh.counters[GetExpired]++
			sh.kill(h, addr)
		default:
			t.addr, t.r, t.meta = addr, r, r.meta()
		}
	}
	return t
}

// End unlocks. What Meta returned is not valid any more.
func (t *Tx) End() {
	if t.addr != 0 && t.shown {
		if t.meta.Expiry != 0 && t.meta.Expiry != t.r.expiry() {
			t.noteExpiry()
		}
		t.r.setMeta(&t.meta)
	}
	t.addr = 0
	t.sh.mu.Unlock()
}

// noteExpiry has an expiry that was given after the item was stored, as a lease's is, looked
// for like one that it was stored with, where that costs nothing: see seal.
func (t *Tx) noteExpiry() {
	id := t.addr >> t.sh.offBits
	s := &t.sh.segs[id]
	switch {
	case s.large:
		s.wake = min(s.wake, t.meta.Expiry)
		t.sh.nextWake = min(t.sh.nextWake, s.wake)
	case t.sh.head[s.queue] == id && t.r.expiry() == 0:
		s.expiring += t.r.bytes()
	}
}

// Found reports whether the item is there.
func (t *Tx) Found() bool { return t.addr != 0 }

// Meta is the item's meta data, which may be changed until End except for
// ClientFlags, which count in its size; nil when it is absent.
func (t *Tx) Meta() *Meta {
	if t.addr == 0 {
		return nil
	}
	t.shown = true
	return &t.meta
}

// Len is the length of the value.
func (t *Tx) Len() int { return t.r.valueLen() }

// AppendValue appends the value to dst.
func (t *Tx) AppendValue(dst []byte) []byte { return append(dst, t.r.value()...) }

// Bump marks the item as read and used now.
func (t *Tx) Bump() {
	t.meta.Bits |= Fetched
	t.Refresh()
}

// Refresh marks the item as used now without marking it as read.
func (t *Tx) Refresh() {
	t.shown = true
	t.meta.Access = t.now
	t.sh.used(t.addr, t.r, t.now)
}

// Put stores value under the key with meta m, whose Access it sets, in place of
// whatever was there, and evicts other items if it must. The caller has asked Fits.
// False: there is no room and nothing may be evicted, and all is as it was.
func (t *Tx) Put(m Meta, value []byte) bool { return t.put(m, value, nil, nil) }

// Extend stores prefix, the present value and suffix as one value. The item must be
// there and the caller has asked Fits. False is as for Put.
func (t *Tx) Extend(m Meta, prefix, suffix []byte) bool {
	// Making room may move or drop the present record: its value is put aside.
	const keep = 64 << 10
	t.sh.old = append(t.sh.old[:0], t.r.value()...)
	ok := t.put(m, prefix, t.sh.old, suffix)
	if cap(t.sh.old) > keep {
		t.sh.old = nil
	}
	return ok
}

// CopyPrefix copies the first bytes of the value to dst and returns how many.
func (t *Tx) CopyPrefix(dst []byte) int { return copy(dst, t.r.value()) }

// Overwrite writes value, which must not be longer, over the front of the present one
// and fills the rest with spaces; the length and the meta data stay.
func (t *Tx) Overwrite(value []byte) {
	v := t.r.value()
	rest := v[copy(v, value):]
	for i := range rest {
		rest[i] = ' '
	}
}

func (t *Tx) put(m Meta, a, b, c []byte) bool {
	sh := t.sh
	m.Access = t.now
	valueLen := len(a) + len(b) + len(c)
	n := recordBytes(len(t.key), m.ClientFlags, valueLen)
	rank := sh.firstRank(t.now)
	if t.addr != 0 && sh.policy != LRU {
		rank = t.r.rank() // how often a key was used outlives its value
	}
	switch {
	case t.addr != 0 && t.inPlace(&m, n):
		sh.bytes += int64(Size(len(t.key), m.ClientFlags, valueLen) - t.r.size())
		t.r.write(&m, rank, t.key, a, b, c)
		t.meta, t.shown = m, false
		sh.counters[TotalItems]++
		return true
	case sh.noEvict:
		// The old value may go only once there is room for the new one.
		if t.addr == 0 {
			sh.growIndex(t.now)
		}
		addr, ok := sh.alloc(mainQueue, n, t.now)
		if t.addr != 0 {
			t.addr = sh.find(t.hash, t.key) // it may have been moved, or have expired
			if t.addr != 0 {
				t.r = sh.record(t.addr)
			}
		}
		if !ok {
			return false
		}
		t.drop()
		t.fill(addr, n, &m, rank, a, b, c)
		return true
	}
	q := sh.firstQueue(t.hash)
	if t.addr != 0 && sh.segs[t.addr>>sh.offBits].queue == mainQueue {
		q = mainQueue
	}
	t.drop()
	sh.growIndex(t.now)
	addr, ok := sh.alloc(q, n, t.now)
	if !ok {
		return false
	}
	t.fill(addr, n, &m, rank, a, b, c)
	return true
}

// inPlace reports whether a new record of n bytes may be written over the old one. Not
// where an expiry comes or goes unseen: see setWake.
func (t *Tx) inPlace(m *Meta, n int) bool {
	if t.r.bytes() != n {
		return false
	}
	id := t.addr >> t.sh.offBits
	s := &t.sh.segs[id]
	if t.sh.policy == LRU && s.large {
		t.sh.toFront(id, mainQueue)
	}
	if m.Expiry == 0 {
		return true
	}
	if s.large {
		s.wake = min(s.wake, m.Expiry)
		t.sh.nextWake = min(t.sh.nextWake, s.wake)
		return true
	}
	if t.sh.head[s.queue] == id {
		s.expiring += n
		return true
	}
	return false
}

// drop removes the old record, if there is one.
func (t *Tx) drop() {
	if t.addr != 0 {
		t.sh.kill(t.hash, t.addr)
		t.addr = 0
	}
}

// fill writes the record at addr, which has n bytes, and enters it.
func (t *Tx) fill(addr uint32, n int, m *Meta, rank uint16, a, b, c []byte) {
	sh := t.sh
	t.addr, t.r = addr, sh.record(addr)
	t.r.write(m, rank, t.key, a, b, c)
	t.meta, t.shown = *m, false
	sh.insert(t.hash, addr)
	sh.bytes += int64(t.r.size())
	id := addr >> sh.offBits
	s := &sh.segs[id]
	if m.Expiry != 0 {
		s.expiring += n
	}
	if s.large {
		sh.setWake(id, t.now)
	}
	sh.counters[TotalItems]++
}

// Delete removes the item; it must be there.
func (t *Tx) Delete() { t.drop() }

// Count counts an event.
func (t *Tx) Count(c Counter) { t.sh.counters[c]++ }
