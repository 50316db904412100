package snappy

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/klauspost/compress/s2"

	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/loader/internal/packed"
)

// Defaults of Config.
const (
	DefaultAbove    = packed.DefaultAbove
	DefaultMaxBytes = packed.DefaultMaxBytes
)

// ErrTooLarge: a value is larger than Config.MaxBytes before compression.
var ErrTooLarge = errors.New("memherd: value is larger than snappy.Config.MaxBytes")

// Config sets up a Codec. Only Inner is required.
type Config[V any] struct {
	// Inner turns values into the bytes that are compressed, and back. Required.
	Inner loader.Codec[V]
	// Above is the size in bytes from which on values are compressed: smaller ones gain
	// little. 0 means 1 KiB, any negative number means all. What does not get smaller is stored as it is.
	Above int
	// MaxBytes is the largest value before compression. Larger ones are not encoded, and
	// bytes that would become larger are refused before they have, whoever made
	// them: to a loader they are corrupt, a miss. 0 means 16 MiB; 2 GiB less a byte at most.
	MaxBytes int
}

// Codec is a loader.Codec that compresses. Make one with New. It is safe for concurrent
// use, if its Inner is, and starts no goroutines.
//
// Values that are not compressed are stored as Inner writes them, so compression can be
// switched on for values that are cached already. The other way round, and for processes that are not yet
// updated, compressed values are foreign bytes: with a codec that refuses those, as JSON does, they are misses;
// one that takes all bytes, as loader.Bytes and loader.String do, would return them. Change
// Config.Prefix then. Values that package zstd has compressed are foreign to this one, too.
type Codec[V any] struct{ packed *packed.Codec[V] }

var _ loader.Codec[string] = (*Codec[string])(nil)

// New returns a codec, or an error that names the field at fault.
func New[V any](cfg Config[V]) (*Codec[V], error) {
	switch {
	case cfg.Inner == nil:
		return nil, errors.New("memherd: snappy.Config.Inner is nil: give it the codec whose bytes are compressed, loader.JSON for one")
	case cfg.MaxBytes < 0 || cfg.MaxBytes > math.MaxInt32:
		return nil, fmt.Errorf("memherd: snappy.Config.MaxBytes is %d: use 0 for the default, or 1 to %d", cfg.MaxBytes, math.MaxInt32)
	}
	return &Codec[V]{packed.New(cfg.Inner, cmp.Or(cfg.Above, DefaultAbove), cmp.Or(cfg.MaxBytes, DefaultMaxBytes), packed.Format{
		Magic: magic, TooLarge: ErrTooLarge, Pack: pack, Size: size, Unpack: unpack,
	})}, nil
}

// magic begins what is compressed: a block has no mark of its own. 0xFF begins no UTF-8.
var magic = []byte{0xFF, 's', 'n', 'p'}

func pack(dst, plain []byte) []byte {
	dst = append(slices.Grow(dst, len(magic)+s2.MaxEncodedLen(len(plain))), magic...)
	return append(dst, s2.EncodeSnappy(dst[len(dst):cap(dst)], plain)...)
}

func block(b []byte) []byte { return bytes.TrimPrefix(b, magic) }

// size is what a block says first. It becomes no larger.
func size(b []byte) (uint64, error) {
	n, err := s2.DecodedLen(block(b))
	if err != nil {
		return 0, fmt.Errorf("memherd: snappy: %w", err)
	}
	return uint64(n), nil
}

func unpack(dst, b []byte) ([]byte, error) {
	plain, err := s2.Decode(dst[:cap(dst)], block(b))
	if err != nil {
		return nil, fmt.Errorf("memherd: snappy: %w", err)
	}
	return plain, nil
}

// Encode implements loader.Codec.
func (c *Codec[V]) Encode(dst []byte, v V) ([]byte, error) { return c.packed.Encode(dst, v) }

// Decode implements loader.Codec.
func (c *Codec[V]) Decode(b []byte) (V, error) { return c.packed.Decode(b) }
