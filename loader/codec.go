package loader

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"unsafe"
)

// Codec turns values into bytes and back. It must be safe for concurrent use. An
// error or a panic in Decode makes the cached bytes a miss; one in Encode leaves the
// value uncached. Encode and Decode should agree: a value that does not come back
// from Decode is loaded at every Get, which Counters.Corrupt shows.
type Codec[V any] interface {
	// Encode appends v to dst and returns the extended slice.
	Encode(dst []byte, v V) ([]byte, error)
	// Decode reads what Encode wrote. It must neither change b nor keep any part of
	// it: b may be shared with other readers.
	Decode(b []byte) (V, error)
}

// JSON is the default codec, encoding/json's.
type JSON[V any] struct{}

// Encode implements Codec.
func (JSON[V]) Encode(dst []byte, v V) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return dst, err
	}
	return append(dst, b...), nil
}

// Decode implements Codec.
func (JSON[V]) Decode(b []byte) (V, error) {
	var v V
	err := json.Unmarshal(b, &v)
	return v, err
}

// Gob is encoding/gob's codec. Each value carries its type description, so it pays
// for large values only; interface types inside V must be registered with gob.
type Gob[V any] struct{}

// Encode implements Codec.
func (Gob[V]) Encode(dst []byte, v V) ([]byte, error) {
	buf := bytes.NewBuffer(dst)
	// A pointer, so that a V of interface type keeps its dynamic type.
	if err := gob.NewEncoder(buf).Encode(&v); err != nil {
		return dst, err
	}
	return buf.Bytes(), nil
}

// Decode implements Codec.
func (Gob[V]) Decode(b []byte) (V, error) {
	var v V
	err := gob.NewDecoder(bytes.NewReader(b)).Decode(&v)
	return v, err
}

// Bytes stores byte slices as they are. A nil slice comes back empty, not nil.
type Bytes struct{}

// Encode implements Codec.
func (Bytes) Encode(dst []byte, v []byte) ([]byte, error) { return append(dst, v...), nil }

// Decode implements Codec. The result is a copy that belongs to the caller.
func (Bytes) Decode(b []byte) ([]byte, error) { return append(make([]byte, 0, len(b)), b...), nil }

// String stores strings as they are.
type String struct{}

// Encode implements Codec.
func (String) Encode(dst []byte, v string) ([]byte, error) { return append(dst, v...), nil }

// Decode implements Codec.
func (String) Decode(b []byte) (string, error) { return string(b), nil }

// decodeOwn returns what makes values out of bytes that nobody else has without copying them, nil if c is not known
// to. It is no method of Bytes and String: a user's codec that embeds one, and decodes otherwise, would inherit it.
func decodeOwn[V any](c Codec[V]) (decode func(b []byte) (V, error)) {
	switch any(c).(type) {
	case Bytes:
		decode, _ = any(ownBytes).(func([]byte) (V, error))
	case String:
		decode, _ = any(ownString).(func([]byte) (V, error))
	}
	return decode
}

// ownBytes leaves no room for an append to write into what lies behind b.
func ownBytes(b []byte) ([]byte, error) { return b[:len(b):len(b)], nil }

func ownString(b []byte) (string, error) { return unsafe.String(unsafe.SliceData(b), len(b)), nil }
