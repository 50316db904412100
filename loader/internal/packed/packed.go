// Package packed is what the compressing codecs have in common: which values are compressed, how
// those are told from others, and that none becomes larger than allowed when it is read. Packages
// zstd and snappy say how bytes are compressed.
package packed

import (
	"bytes"
	"sync"

	"github.com/memherd/memherd/loader"
)

// Defaults of the codecs' settings.
const (
	DefaultAbove    = 1 << 10
	DefaultMaxBytes = 16 << 20
)

// keepBuffer is the largest buffer that is kept for the next value.
const keepBuffer = 1 << 20

// Format is a way to compress. Its functions are called concurrently.
type Format struct {
	// Magic begins what Pack makes. Bytes of the inner codec that begin like it are always
	// compressed, so that Decode knows what is what.
	Magic []byte
	// TooLarge is the error for values that are larger than allowed before compression.
	TooLarge error
	// Pack appends plain to dst, compressed.
	Pack func(dst, plain []byte) []byte
	// Size is how large b, which Pack has made or somebody else, says it becomes.
	Size func(b []byte) (uint64, error)
	// Unpack appends to dst what b becomes. dst is empty and has room for what Size said; Unpack
	// uses no more than that.
	Unpack func(dst, b []byte) ([]byte, error)
}

// Codec is a loader.Codec that compresses. Make one with New.
type Codec[V any] struct {
	inner      loader.Codec[V]
	above, max int
	form       Format
	buffers    sync.Pool // of *[]byte
}

// New returns a codec around inner for values from above bytes on, of no more than most.
func New[V any](inner loader.Codec[V], above, most int, form Format) *Codec[V] {
	c := &Codec[V]{inner: inner, above: above, max: most, form: form}
	c.buffers.New = func() any { return new([]byte) }
	return c
}

// Encode implements loader.Codec.
func (c *Codec[V]) Encode(dst []byte, v V) ([]byte, error) {
	b, err := c.inner.Encode(dst, v)
	if err != nil || len(b) < len(dst) {
		return b, err // the loader says that Encode must append
	}
	plain := b[len(dst):]
	if len(plain) > c.max {
		return dst, c.form.TooLarge
	}
	like := bytes.HasPrefix(plain, c.form.Magic)
	if len(plain) < c.above && !like {
		return b, nil
	}
	buf := c.buffers.Get().(*[]byte)
	defer c.keep(buf)
	*buf = c.form.Pack((*buf)[:0], plain)
	if len(*buf) >= len(plain) && !like {
		return b, nil
	}
	return append(b[:len(dst)], *buf...), nil
}

// Decode implements loader.Codec.
func (c *Codec[V]) Decode(b []byte) (V, error) {
	if !bytes.HasPrefix(b, c.form.Magic) {
		return c.inner.Decode(b)
	}
	var none V
	size, err := c.form.Size(b)
	switch {
	case err != nil:
		return none, err
	case size > uint64(c.max):
		return none, c.form.TooLarge
	}
	buf := c.buffers.Get().(*[]byte)
	defer c.keep(buf)
	if cap(*buf) < int(size) {
		*buf = make([]byte, 0, size)
	}
	plain, err := c.form.Unpack((*buf)[:0:size], b)
	if err != nil {
		return none, err
	}
	return c.inner.Decode(plain)
}

func (c *Codec[V]) keep(buf *[]byte) {
	if cap(*buf) <= keepBuffer {
		c.buffers.Put(buf)
	}
}
