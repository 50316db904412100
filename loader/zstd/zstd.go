package zstd

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/klauspost/compress/zstd"

	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/loader/internal/packed"
)

// Defaults of Config.
const (
	DefaultAbove    = packed.DefaultAbove
	DefaultMaxBytes = packed.DefaultMaxBytes
)

// leastMax is the smallest MaxBytes: the library's smallest window.
const leastMax = 1 << 10

// ErrTooLarge: a value is larger than Config.MaxBytes before compression.
var ErrTooLarge = errors.New("memherd: value is larger than zstd.Config.MaxBytes")

// errNoSize: a frame that Encode has not written.
var errNoSize = errors.New("memherd: zstd: frame without a size")

// Config sets up a Codec. Only Inner is required.
type Config[V any] struct {
	// Inner turns values into the bytes that are compressed, and back. Required.
	Inner loader.Codec[V]
	// Above is the size in bytes from which on values are compressed: smaller ones gain
	// little. 0 means 1 KiB, any negative number means all. What does not get smaller is stored as it is.
	Above int
	// MaxBytes is the largest value before compression. Larger ones are not encoded, and
	// bytes that would become larger are refused before they have, whoever made
	// them: to a loader they are corrupt, a miss. 1 KiB at least; 0 means 16 MiB.
	MaxBytes int
	// Level is the effort, 1 (fastest) to 4 (smallest). 0 means 1: it is the writer who waits.
	Level int
}

// Codec is a loader.Codec that compresses. Make one with New. It is safe for concurrent
// use, if its Inner is, and starts no goroutines.
//
// Values that are not compressed are stored as Inner writes them, so compression can be
// switched on for values that are cached already. The other way round, and for processes that are not yet
// updated, compressed values are foreign bytes: with a codec that refuses those, as JSON does, they are misses;
// one that takes all bytes, as loader.Bytes and loader.String do, would return them. Change
// Config.Prefix then.
type Codec[V any] struct{ packed *packed.Codec[V] }

var _ loader.Codec[string] = (*Codec[string])(nil)

// New returns a codec, or an error that names the field at fault.
func New[V any](cfg Config[V]) (*Codec[V], error) {
	switch {
	case cfg.Inner == nil:
		return nil, errors.New("memherd: zstd.Config.Inner is nil: give it the codec whose bytes are compressed, loader.JSON for one")
	case cfg.MaxBytes < 0 || cfg.MaxBytes > 0 && cfg.MaxBytes < leastMax:
		return nil, fmt.Errorf("memherd: zstd.Config.MaxBytes is %d: use 0 for the default, or %d at least", cfg.MaxBytes, leastMax)
	case cfg.Level < 0 || cfg.Level > 4:
		return nil, fmt.Errorf("memherd: zstd.Config.Level is %d: use 1 to 4, or 0 for 1", cfg.Level)
	}
	most := cmp.Or(cfg.MaxBytes, DefaultMaxBytes)
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.EncoderLevel(max(cfg.Level, 1))), zstd.WithSingleSegment(true))
	if err != nil {
		return nil, fmt.Errorf("memherd: zstd: %w", err)
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(uint64(most)), zstd.WithDecoderConcurrency(0),
		zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		return nil, fmt.Errorf("memherd: zstd: %w", err)
	}
	return &Codec[V]{packed.New(cfg.Inner, cmp.Or(cfg.Above, DefaultAbove), most, packed.Format{
		Magic: magic, TooLarge: ErrTooLarge, Size: size,
		Pack: func(dst, plain []byte) []byte { return enc.EncodeAll(plain, dst) },
		Unpack: func(dst, b []byte) ([]byte, error) {
			plain, err := dec.DecodeAll(b, dst)
			if err != nil {
				return nil, fmt.Errorf("memherd: zstd: %w", err)
			}
			return plain, nil
		},
	})}, nil
}

// magic begins every frame, RFC 8878.
var magic = []byte{0x28, 0xB5, 0x2F, 0xFD}

// size is what the frame says. Encode writes one frame that says it, so that is all we read: into as
// much memory as it says, and not a byte more.
func size(b []byte) (uint64, error) {
	var h zstd.Header
	switch err := h.Decode(b); {
	case err != nil:
		return 0, fmt.Errorf("memherd: zstd: %w", err)
	case !h.HasFCS:
		return 0, errNoSize
	}
	return h.FrameContentSize, nil
}

// Encode implements loader.Codec.
func (c *Codec[V]) Encode(dst []byte, v V) ([]byte, error) { return c.packed.Encode(dst, v) }

// Decode implements loader.Codec.
func (c *Codec[V]) Decode(b []byte) (V, error) { return c.packed.Decode(b) }
