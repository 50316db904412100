// Package zstd compresses what a loader stores, above a size, with Zstandard. It is a
// package of its own so that a loader without compression does not pull in the library.
package zstd

import (
	"bytes"
	"errors"
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/memherd/memherd/loader"
)

// Defaults of Config.
const (
	DefaultAbove    = 1 << 10
	DefaultMaxBytes = 16 << 20
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
type Codec[V any] struct {
	inner      loader.Codec[V]
	above, max int
	enc        *zstd.Encoder
	dec        *zstd.Decoder
	buffers    sync.Pool // of *[]byte
}

var _ loader.Codec[string] = (*Codec[string])(nil)

// keepBuffer is the largest buffer that is kept for the next value.
const keepBuffer = 1 << 20

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
	c := &Codec[V]{inner: cfg.Inner, above: cfg.Above, max: cfg.MaxBytes}
	if c.above == 0 {
		c.above = DefaultAbove
	}
	if c.max == 0 {
		c.max = DefaultMaxBytes
	}
	level := max(cfg.Level, 1)
	var err error
	if c.enc, err = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.EncoderLevel(level)), zstd.WithSingleSegment(true)); err != nil {
		return nil, fmt.Errorf("memherd: zstd: %w", err)
	}
	c.dec, err = zstd.NewReader(nil, zstd.WithDecoderMaxMemory(uint64(c.max)), zstd.WithDecoderConcurrency(0),
		zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		return nil, fmt.Errorf("memherd: zstd: %w", err)
	}
	c.buffers.New = func() any { return new([]byte) }
	return c, nil
}

// magic begins every frame, RFC 8878. Bytes of Inner that begin like one are always
// compressed, so that Decode knows what is what.
var magic = []byte{0x28, 0xB5, 0x2F, 0xFD}

// Encode implements loader.Codec.
func (c *Codec[V]) Encode(dst []byte, v V) ([]byte, error) {
	b, err := c.inner.Encode(dst, v)
	if err != nil || len(b) < len(dst) {
		return b, err // the loader says that Encode must append
	}
	plain := b[len(dst):]
	if len(plain) > c.max {
		return dst, ErrTooLarge
	}
	like := bytes.HasPrefix(plain, magic)
	if len(plain) < c.above && !like {
		return b, nil
	}
	buf := c.buffer()
	defer c.keep(buf)
	*buf = c.enc.EncodeAll(plain, (*buf)[:0])
	if len(*buf) >= len(plain) && !like {
		return b, nil
	}
	return append(b[:len(dst)], *buf...), nil
}

// Decode implements loader.Codec.
func (c *Codec[V]) Decode(b []byte) (V, error) {
	if !bytes.HasPrefix(b, magic) {
		return c.inner.Decode(b)
	}
	var none V
	// Encode writes one frame that says its size, so that is all we read: into as much
	// memory as the frame says, which is what we allow, and not a byte more.
	var h zstd.Header
	switch err := h.Decode(b); {
	case err != nil:
		return none, fmt.Errorf("memherd: zstd: %w", err)
	case !h.HasFCS:
		return none, errNoSize
	case h.FrameContentSize > uint64(c.max):
		return none, ErrTooLarge
	}
	buf := c.buffer()
	defer c.keep(buf)
	if size := int(h.FrameContentSize); cap(*buf) < size {
		*buf = make([]byte, 0, size)
	}
	plain, err := c.dec.DecodeAll(b, (*buf)[:0:h.FrameContentSize])
	if err != nil {
		return none, fmt.Errorf("memherd: zstd: %w", err)
	}
	return c.inner.Decode(plain)
}

func (c *Codec[V]) buffer() *[]byte {
	buf, _ := c.buffers.Get().(*[]byte)
	return buf
}

func (c *Codec[V]) keep(buf *[]byte) {
	if cap(*buf) <= keepBuffer {
		c.buffers.Put(buf)
	}
}
