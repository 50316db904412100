package loader

import (
	"context"
	"math/rand/v2"
	"reflect"
	"strings"
	"sync"
	"time"
	"unsafe"

	"github.com/memherd/memherd/client/item"
)

// NearReader is implemented by a Cache that may have a near-cache, as *client.Client does. With
// one, a loader keeps decoded values beside the near-cache's bytes: see Config.ShareDecoded.
type NearReader interface {
	// ReadNear returns what is held in this process's memory for key and may answer a read
	// that starts now. It must not keep key, whose memory is used again after it returned.
	ReadNear(key string) (near item.Near, ok bool)
}

// kept is what a loader puts beside the bytes of a near-cache: what it made of them. It ends
// with them, so that whatever makes the near-cache forget the bytes (an own write, a new epoch, the
// end of X, eviction) makes it forget the value; there is nothing else to look after.
type kept[V any] struct {
	by *Loader[V] // several loaders may read one key, with codecs of their own
	// until is before when the value is surely fresh, as item.Near.At is counted, so that a hit reads one clock only.
	until time.Duration
	val   V
	envelope
}

// keepLong is how long a value without times of its own is not asked about them.
const keepLong = 24 * time.Hour

// startNear decides whether decoded values are kept.
func (l *Loader[V]) startNear() {
	if l.cfg.ShareDecoded || isPlain(reflect.TypeFor[V]()) {
		l.near, _ = l.cache.(NearReader) // a Strong loader's is none
	}
	if l.near != nil {
		l.holder, _ = l.cache.(NearHolder)
	}
}

var timeType = reflect.TypeFor[time.Time]()

// isPlain reports whether a copy of a value of type t shares nothing with it that could be
// changed. A string's bytes can't, and of a time.Time nobody reaches the location's.
func isPlain(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Struct:
		if t == timeType {
			return true
		}
		for i := range t.NumField() {
			if !isPlain(t.Field(i).Type) {
				return false
			}
		}
		return true
	case reflect.Array:
		return isPlain(t.Elem())
	case reflect.String:
		return true
	default:
		return t.Kind() >= reflect.Bool && t.Kind() <= reflect.Complex128
	}
}

// keyBytes has the memory in which Prefix and key are put together for a look into the
// near-cache.
var keyBytes = sync.Pool{New: func() any { return &[256]byte{} }}

// readNear answers a read of key, as given to Get, from the near-cache, with the value as it
// was decoded the first time. It returns nil if it can't, or if the key has a write that is
// pending, or its value is past its time or unreadable.
func (l *Loader[V]) readNear(ctx context.Context, key string) *kept[V] {
	prefix := l.cfg.Prefix
	switch {
	case l.near == nil || key == "" || len(prefix)+len(key) > len([256]byte{}):
		return nil
	case l.cfg.Region.LoadMaster != nil && l.checkKey(prefix+key) != nil:
		return nil // a marker's
	case prefix == "":
		return l.lookNear(ctx, key)
	}
	mem := keyBytes.Get().(*[256]byte)
	n := copy(mem[:], prefix)
	n += copy(mem[n:], key)
	k := l.lookNear(ctx, unsafe.String(&mem[0], n))
	keyBytes.Put(mem)
	return k
}

// lookNear is readNear of a full key, which it does not keep: see keyBytes.
func (l *Loader[V]) lookNear(ctx context.Context, full string) *kept[V] {
	if l.back != nil {
		if _, pending := l.back.newest(full); pending {
			return nil
		}
	}
	near, ok := l.near.ReadNear(full)
	if !ok {
		return nil
	}
	k := l.keptBeside(full, near)
	if k == nil {
		return nil
	}
	due := false
	if near.At >= k.until {
		age := l.ageOf(&k.envelope, 0)
		switch l.judge(&k.envelope, age) {
		case isExpired:
			return nil
		case isDue:
			due = true
			fallthrough
		case isEarly:
			full = strings.Clone(full)
			l.refreshSoon(ctx, l.table.shard(full), full, &item.Lease{}, &k.envelope, age)
		}
	}
	// The clock's nanoseconds choose the stripe: a random number would cost a tenth of the hit.
	l.count.hit(item.FromNear, k.kind, uint32(near.At))
	if a := l.audit; a != nil && !due && rand.Float64() < l.cfg.Audit.Share {
		a.offer(strings.Clone(full))
	}
	return k
}

// answer is what it tells a caller.
func (k *kept[V]) answer() (v V, err error) {
	if k.kind == kindAbsent {
		return v, ErrNotFound
	}
	return k.val, nil
}

// keptBeside returns what is kept beside near, or makes it. nil means that its bytes can't be
// read: the way by the lease sees to that. If two readers come first at one moment, one keeps
// what it made.
func (l *Loader[V]) keptBeside(full string, near item.Near) *kept[V] {
	if p := near.Kept.Load(); p != nil {
		if k, ok := (*p).(*kept[V]); ok && k.by == l {
			return k
		}
	}
	v, e, err := l.open(full, near.Value)
	if err != nil {
		return nil
	}
	e.payload = nil
	k := &kept[V]{by: l, val: v, envelope: e, until: near.At + l.freshFor(&e, l.ageOf(&e, 0))}
	made := any(k)
	near.Kept.CompareAndSwap(nil, &made)
	return k
}

// freshFor is for how long a value of this age surely is: see judge.
func (l *Loader[V]) freshFor(e *envelope, age time.Duration) time.Duration {
	if e.hard == 0 {
		return keepLong
	}
	end := min(e.soft, e.hard)
	if beta := l.cfg.Freshness.Beta; beta > 0 && e.cost > 0 {
		end = min(end, e.hard-time.Duration(min(farthest*beta*float64(e.cost), float64(e.hard))))
	}
	return end - age
}

// getNear is the part of Get that needs no more than memory.
func (l *Loader[V]) getNear(ctx context.Context, key string) *kept[V] {
	if l.near == nil || ctx.Err() != nil || l.closed.Load() {
		return nil
	}
	return l.readNear(ctx, key)
}
