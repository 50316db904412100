package loader

import (
	"fmt"
	"time"

	"github.com/memherd/memherd/client/item"
)

// open reads cached bytes. Its error means foreign or corrupt bytes, whatever the
// codec did with them: nothing a node holds can make a Get panic.
func (l *Loader[V]) open(full string, b []byte) (v V, e envelope, err error) {
	v, err = l.openAs(full, b, &e, l.cfg.Codec.Decode)
	return v, e, err
}

// openHit is open of what a lease brought. A node's answer is its reader's own.
func (l *Loader[V]) openHit(full string, lease *item.Lease, e *envelope) (V, error) {
	decode := l.decodeOwn
	if decode == nil || lease.Level != item.FromNode {
		decode = l.cfg.Codec.Decode
	}
	return l.openAs(full, lease.Item.Value, e, decode)
}

func (l *Loader[V]) openAs(full string, b []byte, e *envelope, decode func([]byte) (V, error)) (v V, err error) {
	if err = e.open(b, full, l.cfg.MaxValueBytes); err != nil || e.kind == kindAbsent {
		return v, err
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %w: %v", errCorrupt, errCodecPanic, p)
		}
	}()
	if v, err = decode(e.payload); err != nil {
		return v, fmt.Errorf("%w: %w", errCorrupt, err)
	}
	return v, nil
}

// smallValue is the room that a codec finds for what it appends: enough for a small value in one allocation.
const smallValue = 90

// encode returns the sealed envelope of v, whose load took cost; 0 if it was not loaded.
func (l *Loader[V]) encode(full string, v V, cost time.Duration) (b []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			b, err = nil, fmt.Errorf("%w: %v", errCodecPanic, p)
		}
	}()
	b, err = l.cfg.Codec.Encode(newEnvelope(kindValue, time.Now(), l.lifeOf(cost), smallValue), v)
	switch {
	case err != nil:
		return nil, fmt.Errorf("memherd: codec: %w", err)
	case len(b) < envHeader || b[0] != envMagic:
		return nil, errNotAppended
	case len(b)-envHeader > l.cfg.MaxValueBytes:
		return nil, errTooLarge
	}
	sealEnvelope(b, full)
	return b, nil
}

// enclose is encode of what the codec has written already.
func (l *Loader[V]) enclose(full string, data []byte) ([]byte, error) {
	if len(data) > l.cfg.MaxValueBytes {
		return nil, errTooLarge
	}
	b := newEnvelope(kindValue, time.Now(), l.lifeOf(0), len(data))
	b = append(b, data...)
	sealEnvelope(b, full)
	return b, nil
}

func (l *Loader[V]) notCached(full string, err error) {
	l.count.notCached.Add(1)
	if h := l.cfg.Hooks.NotCached; h != nil {
		h(l.userKey(full), err)
	}
}
