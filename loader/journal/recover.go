package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// recover reads the generation that l.head names: its frames up to the first that is none or not whole. That is the
// commit that a crash has cut, which nobody was told of: a frame is written when the one before it is on the disk. So if one of
// this generation is anywhere behind it, it is not cut but damaged, and the file is refused.
func (l *log) recover() error {
	if l.pos = l.head.start; l.pos > l.size {
		return fmt.Errorf("%w: it ends at byte %d, and what it holds begins at %d", errDamaged, l.size, l.pos)
	}
	page := make([]byte, pageSize)
	var b []byte
	for {
		n, ok := int64(0), false
		if err := l.readAt(page, l.pos); err == nil {
			n, ok = frameLength(page, l.head.salt)
		} else if !errors.Is(err, io.EOF) {
			return err
		}
		if !ok || n > l.size-l.pos {
			return l.nothingBehind()
		}
		if n > math.MaxInt {
			return fmt.Errorf("the commit at byte %d has %d bytes: more than this machine can read", l.pos, n)
		}
		if int64(cap(b)) < n {
			b = make([]byte, n)
		}
		b = b[:n]
		if err := l.readAt(b, l.pos); err != nil {
			return err
		}
		if !frameWhole(b) {
			return l.nothingBehind()
		}
		clock, err := readFrame(b, func(seq uint64, from, to int) error {
			l.live[seq] = span{l.pos + int64(from), int32(to - from)}
			return checkRecord(seq, b[from:to])
		}, func(seq uint64) { delete(l.live, seq) })
		if err != nil {
			return err
		}
		l.clock = clock
		l.pos += wholePages(n)
	}
}

// readAt is ReadAt that takes a page that the file's end cuts for none at all.
func (l *log) readAt(b []byte, at int64) error {
	_, err := io.ReadFull(io.NewSectionReader(l.store, at, int64(len(b))), b)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	return err
}

// nothingBehind looks for frames of this generation behind l.pos, where what is written next goes.
func (l *log) nothingBehind() error {
	if l.pos < l.head.reach {
		return fmt.Errorf("%w: the commit at byte %d is not whole, and what was lasting reached to %d", errDamaged, l.pos, l.head.reach)
	}
	b := make([]byte, max(0, min(256*pageSize, l.size-l.pos-pageSize)))
	for at := l.pos + pageSize; at < l.size; at += int64(len(b)) {
		n, err := l.store.ReadAt(b, at)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		for i := 0; i+8 <= n; i += pageSize {
			if binary.BigEndian.Uint64(b[i:]) == l.head.salt {
				return fmt.Errorf("%w: the commit at byte %d has a wrong sum, and another begins at byte %d", errDamaged, l.pos, at+int64(i))
			}
		}
	}
	return nil
}
