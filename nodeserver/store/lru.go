package store

// What follows is called with the shard's lock held.

// expired reports whether it's TTL has run out.
func (it *item) expired(now uint32) bool { return it.Expiry != 0 && it.Expiry <= now }

// flushed reports whether a delayed flush_all has caught up with it.
func (sh *shard) flushed(it *item, now uint32) bool {
	return sh.flushAt != 0 && sh.flushAt <= now && it.Access <= sh.flushAt
}

func (sh *shard) dead(it *item, now uint32) bool { return it.expired(now) || sh.flushed(it, now) }

func (sh *shard) pushFront(it *item) {
	it.prev, it.next = &sh.lru, sh.lru.next
	it.prev.next, it.next.prev = it, it
}

func unlink(it *item) {
	it.prev.next, it.next.prev = it.next, it.prev
	it.prev, it.next = nil, nil
}

func (sh *shard) remove(it *item) {
	unlink(it)
	delete(sh.items, it.key)
	sh.bytes -= int64(it.size())
}

// tailSearch is how many items from the cold end are looked at for an expired one
// before a live one is evicted.
const tailSearch = 5

// makeRoom evicts until the shard is within its bytes. keep is not evicted.
func (sh *shard) makeRoom(now uint32, keep *item) {
	for sh.bytes > sh.maxBytes {
		victim := sh.lru.prev
		it := victim
		for range tailSearch {
			if it == &sh.lru {
				break
			}
			if it != keep && sh.dead(it, now) {
				victim = it
				break
			}
			it = it.prev
		}
		if victim == keep {
			victim = victim.prev
		}
		if victim == &sh.lru {
			return // keep alone; Fits bounds it
		}
		if sh.dead(victim, now) {
			sh.counters[Reclaimed]++
			if victim.Bits&Fetched == 0 {
				sh.counters[ExpiredUnfetched]++
			}
		} else {
			sh.counters[Evictions]++
			if victim.Bits&Fetched == 0 {
				sh.counters[EvictedUnfetched]++
			}
			if sh.onEvict != nil {
				sh.onEvict([]byte(victim.key), victim.Meta, len(victim.value))
			}
		}
		sh.remove(victim)
	}
}
