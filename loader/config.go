package loader

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/memherd/memherd/client/item"
)

// Defaults of Config.
const (
	DefaultTTL           = 10 * time.Minute
	DefaultNegativeTTL   = 5 * time.Second
	DefaultLoadTimeout   = 10 * time.Second
	DefaultMaxLoads      = 64
	DefaultMaxValueBytes = 1 << 20
	// MaxPrefix is the longest Config.Prefix in bytes: it leaves 50 for the key.
	MaxPrefix = 200
)

// Bounds of the lease time, memcached's whole seconds: a lease of one second may
// expire at once, and a dead holder should not block a key for over a minute.
const (
	minLease = 2 * time.Second
	maxLease = 60 * time.Second
	// minTime is what times are kept to, and more than what is meant in seconds comes to without its unit.
	minTime = time.Millisecond
	// mostTimeout is as good as none.
	mostTimeout = 100 * 365 * 24 * time.Hour
)

// WritePolicy says how Put treats the cache.
type WritePolicy uint8

const (
	// WriteAround writes the origin, then deletes the key from the cache; the next
	// Get loads it. One round trip more than nothing, and never a wrong value.
	WriteAround WritePolicy = iota
	// WriteThrough takes a token on every copy, writes the origin, then stores the
	// value under the tokens. When anyone else changed the key meanwhile, the key is
	// deleted instead, so whichever of two racing writers is late, no older value
	// stays. For values that are read soon after they are written.
	WriteThrough
	// WriteBack writes a journal on disk, then the cache, and returns; workers bring the
	// value to the origin in the background, in order per key and process. For origins
	// that are slow, far or overloaded, and data that may be old for other processes
	// meanwhile. Needs Back.Journal.
	WriteBack
)

func (p WritePolicy) String() string {
	switch p {
	case WriteAround:
		return "write-around"
	case WriteThrough:
		return "write-through"
	case WriteBack:
		return "write-back"
	}
	return fmt.Sprintf("WritePolicy(%d)", uint8(p))
}

// Config sets up a Loader. Only Load is required.
type Config[V any] struct {
	// Load reads the value of key (as given to Get, without Prefix) from the origin.
	// Required. It returns ErrNotFound, alone or wrapped, when the origin has no such
	// key. Its context carries the values of the first caller's context, not its
	// cancellation, and ends after LoadTimeout. It may run for many keys at once, and
	// must not read a replica that may lag behind what Store wrote, but for Region.
	Load func(ctx context.Context, key string) (V, error)
	// LoadMany reads the values of many keys, two at least, in one go, for GetMulti: what
	// is not in its result is not there, or if it returns an error too, has failed with that. It takes
	// one of MaxLoads slots, and its context is as Load's. Nil: Load is called for each key.
	LoadMany func(ctx context.Context, keys []string) (map[string]V, error)
	// Store writes v to the origin, for Put, on Put's context. Nil: Put returns
	// ErrNoStore.
	Store func(ctx context.Context, key string, v V) error
	// Remove deletes key at the origin, for Delete, on Delete's context. Nil: Delete
	// touches the cache alone.
	Remove func(ctx context.Context, key string) error
	// TTL is how long a value may be served, to the millisecond. 0 means 10 minutes. See
	// Freshness for values that are refreshed before, and served after, and for what the
	// clocks of the processes have to do with it. There is no "for ever": the TTL is what ends
	// the life of a stale value whose writer died before it could tell the cache.
	TTL time.Duration
	// NegativeTTL is how long an absence (ErrNotFound) is remembered. 0 means 5 s, or
	// TTL when that is shorter; any negative duration means never.
	NegativeTTL time.Duration
	// Prefix is put in front of every key in the cache ("users:"), so that loaders of
	// different types, and programs that know nothing of memherd, do not meet in one
	// key. 0 to 200 bytes that may stand in a plain key. Empty is fine for a cache of one's own.
	Prefix string
	// Codec turns values into bytes and back. Nil means JSON[V].
	Codec Codec[V]
	// ShareDecoded makes Gets that the near-cache answers share one decoded value, which
	// costs them no decoding and no allocation; what V leads to (pointers, slices, maps) is read-only
	// then, for every caller of Get and GetMulti. Values in which nothing can be changed are shared
	// anyway: numbers, strings, time.Time, and structs and arrays of them. False, the default, gives
	// each caller a value of its own otherwise, decoded anew. Decoded values take memory beyond
	// hotkey.Config.NearBytes, as many as the near-cache holds. Without effect if the cache is no
	// NearReader, and with Strong.
	ShareDecoded bool
	// MaxValueBytes is the largest encoded value that is cached and the largest that
	// is handed to Codec.Decode; a larger one is returned to callers and not cached
	// (Counters.NotCached). 0 means 1 MiB. The client and the nodes have limits of
	// their own, and 38 bytes are added to each value.
	MaxValueBytes int
	// LoadTimeout bounds one load, including its wait for one of MaxLoads slots.
	// 0 means 10 s. Callers get ErrLoadTimeout when it has passed, even if Load
	// ignores its context.
	LoadTimeout time.Duration
	// LeaseTTL is how long this process may keep the right to load a key: a process
	// that dies while loading blocks the key for others no longer than this. Kept
	// within 2 s and 60 s. 0 means LoadTimeout + 1 s, so that a load that is still
	// allowed to run still has its lease; with a shorter lease a slow load may be
	// joined by a second one of another process.
	LeaseTTL time.Duration
	// Write is the policy of Put and Delete. The zero value is WriteAround. New refuses WriteThrough where there is neither
	// Store nor Remove.
	Write WritePolicy
	// Consistency is Bounded by default. Strong makes a key linearizable; it sets Write to
	// WriteThrough and FailClosed, and takes no Freshness but Jitter.
	Consistency Consistency
	// Back sets up WriteBack.
	Back BackConfig[V]
	// Region is for an origin whose replica Load reads. The zero value has none.
	Region RegionConfig[V]
	// Audit compares some of what is cached with the origin. The zero value does not.
	Audit AuditConfig[V]
	// FailClosed makes a Get fail with ErrCacheDown when the cache fails. By default
	// the loader then asks the origin without caching, under MaxLoads.
	FailClosed bool
	// MaxLoads is how many Load calls run at once in this loader; others wait their
	// turn in order of arrival. 0 means 64.
	MaxLoads int
	// Freshness says when values are refreshed, and how long they may be served when the
	// origin fails. The zero value serves none past TTL. With Consistency Strong only Jitter
	// may be set.
	Freshness Freshness
	// Origin says how the origin is protected beyond MaxLoads.
	Origin Origin
	// Hooks observe the loader. The zero value observes nothing.
	Hooks Hooks
}

// Hooks are called on the goroutine that does the work, holding no lock; nil ones are
// skipped. They must be quick, must not panic, and may be called concurrently. They must not write by
// WriteBack and wait for it: other writes of Owed's and NotCached's key wait until these have returned. Keys
// are without Prefix.
type Hooks struct {
	// Load: a call of Config.Load ended after took, with err. One that ran past
	// LoadTimeout is reported when it really returns.
	Load func(key string, took time.Duration, err error)
	// LoadMany: a call of Config.LoadMany for so many keys ended after took, with err.
	LoadMany func(keys int, took time.Duration, err error)
	// Owed: o.Owed copies of key did not hear of a write or delete and will be told
	// when they are back.
	Owed func(key string, o item.Outcome)
	// Corrupt: the cache held bytes under key that this loader cannot read. The key is
	// deleted and loaded again.
	Corrupt func(key string, err error)
	// FailOpen: key is loaded without the cache because of err.
	FailOpen func(key string, err error)
	// NotCached: a loaded or written value was returned or stored at the origin but
	// not cached: the codec failed, it was too large, or the cache failed.
	NotCached func(key string, err error)
	// Refresh: the refresh of a value that is still served ended after took, with err; its
	// call of Config.Load is reported, too.
	Refresh func(key string, took time.Duration, err error)
	// Shed: a load, of so many keys, was given up after it had waited for its turn so long.
	Shed func(keys int, waited time.Duration)
	// Limit: with Origin.MinLoads, how many loads may run at once has changed.
	Limit func(from, to int)
	// Stale: a value past TTL was returned to all who waited for a load, which failed with err.
	Stale func(key string, err error)
}

// withDefaults returns a copy of cfg with every zero replaced, or an error that
// names the field at fault.
func (cfg Config[V]) withDefaults() (Config[V], error) {
	if cfg.Load == nil {
		return cfg, errors.New("memherd: loader.Config.Load is nil: give it the function that reads the origin")
	}
	for _, f := range []struct {
		name string
		d    time.Duration
	}{{"TTL", cfg.TTL}, {"LoadTimeout", cfg.LoadTimeout}, {"LeaseTTL", cfg.LeaseTTL}} {
		if f.d < 0 {
			return cfg, fmt.Errorf("memherd: loader.Config.%s is negative (%v): use 0 for the default", f.name, f.d)
		}
	}
	for _, f := range []struct {
		name string
		d    time.Duration
	}{{"TTL", cfg.TTL}, {"LoadTimeout", cfg.LoadTimeout}, {"Freshness.Soft", cfg.Freshness.Soft}, {"Freshness.IfError", cfg.Freshness.IfError}} {
		if f.d > 0 && f.d < minTime {
			return cfg, fmt.Errorf("memherd: loader.Config.%s is %v, and %v is the least: a number alone counts nanoseconds, give it a unit, as 10*time.Minute", f.name, f.d, minTime)
		}
	}
	if cfg.MaxLoads < 0 {
		return cfg, fmt.Errorf("memherd: loader.Config.MaxLoads is negative (%d): use 0 for the default", cfg.MaxLoads)
	}
	if cfg.MaxValueBytes < 0 {
		return cfg, fmt.Errorf("memherd: loader.Config.MaxValueBytes is negative (%d): use 0 for the default", cfg.MaxValueBytes)
	}
	if cfg.Write > WriteBack {
		return cfg, fmt.Errorf("memherd: loader.Config.Write is %v: use WriteAround, WriteThrough or WriteBack", cfg.Write)
	}
	if cfg.Write == WriteThrough && cfg.Store == nil && cfg.Remove == nil {
		return cfg, errors.New("memherd: loader.Config.Write is write-through, and nothing to write with: give it Store, the origin's write, or leave Write out")
	}
	if len(cfg.Prefix) > MaxPrefix {
		return cfg, fmt.Errorf("memherd: loader.Config.Prefix has %d bytes: at most %d", len(cfg.Prefix), MaxPrefix)
	}
	if cfg.Prefix != "" {
		if err := item.CheckKey(cfg.Prefix); err != nil {
			return cfg, fmt.Errorf("memherd: loader.Config.Prefix: %w", err)
		}
	}
	cfg, err := cfg.strengthen()
	if err != nil {
		return cfg, err
	}
	if cfg.Back, err = cfg.Back.withDefaults(cfg); err != nil {
		return cfg, err
	}
	if cfg.Audit, err = cfg.Audit.withDefaults(); err != nil {
		return cfg, err
	}
	if cfg.Region, err = cfg.Region.withDefaults(); err != nil {
		return cfg, err
	}
	if cfg.TTL == 0 {
		cfg.TTL = DefaultTTL
	}
	if cfg.NegativeTTL == 0 {
		cfg.NegativeTTL = min(DefaultNegativeTTL, cfg.TTL)
	}
	if cfg.LoadTimeout == 0 {
		cfg.LoadTimeout = DefaultLoadTimeout
	}
	cfg.LoadTimeout = min(cfg.LoadTimeout, mostTimeout) // sums of it must not overflow
	if cfg.LeaseTTL == 0 {
		cfg.LeaseTTL = cfg.LoadTimeout + time.Second
	}
	cfg.LeaseTTL = min(max(cfg.LeaseTTL, minLease), maxLease)
	if cfg.MaxLoads == 0 {
		cfg.MaxLoads = DefaultMaxLoads
	}
	if cfg.MaxValueBytes == 0 {
		cfg.MaxValueBytes = DefaultMaxValueBytes
	}
	switch {
	case cfg.Codec == nil:
		cfg.Codec = JSON[V]{}
	case isNil(cfg.Codec):
		return cfg, errors.New("memherd: loader.Config.Codec is a nil pointer: look at the error of what should have made it")
	}
	if cfg.Freshness, err = cfg.Freshness.withDefaults(cfg.TTL); err != nil {
		return cfg, err
	}
	cfg.Origin, err = cfg.Origin.withDefaults(cfg.LoadTimeout, cfg.MaxLoads)
	return cfg, err
}
