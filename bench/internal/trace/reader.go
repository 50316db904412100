package trace

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// MaxLine is the longest line a trace may have, in bytes. Longer ones are an error,
// so that a file that is no trace can't fill the memory.
const MaxLine = 4096

// Error is what is wrong with the content of a trace.
type Error struct {
	File string
	Line int
	Err  error
}

func (e *Error) Error() string { return fmt.Sprintf("%s:%d: %v", e.File, e.Line, e.Err) }
func (e *Error) Unwrap() error { return e.Err }

// Reader reads one trace from front to back. It is for one goroutine.
type Reader struct {
	name  string
	line  int
	in    *bufio.Reader
	parse func(line []byte) (Record, error) // set by the first line
	skip  func(line []byte) bool            // lines that hold no record; set with it, nil for none
	timed bool                              // the format has times
	fine  bool                              // down to microseconds
	close []func() error
}

// Open opens a trace file. Compression and format are told by the content, not by
// the name.
func Open(path string) (*Reader, error) {
	f, err := os.Open(path)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("trace file %s does not exist: give the path of a *.keys file, a Twitter CSV, or a dump or watch of memcached", path)
		}
		return nil, fmt.Errorf("cannot open the trace: %w", err)
	}
	if st, err := f.Stat(); err == nil && st.IsDir() {
		f.Close()
		return nil, fmt.Errorf("%s is a folder: give the path of one trace file", path)
	}
	r, err := NewReader(path, f)
	if err != nil {
		f.Close()
		return nil, err
	}
	r.close = append(r.close, f.Close)
	return r, nil
}

// NewReader reads a trace from in; name stands in its errors. The caller closes in
// after the Reader.
func NewReader(name string, in io.Reader) (*Reader, error) {
	r := &Reader{name: name}
	head := bufio.NewReaderSize(in, 1<<16)
	magic, err := head.Peek(4)
	if err != nil && err != io.EOF {
		return nil, r.fail(1, err)
	}
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		gz, err := gzip.NewReader(head)
		if err != nil {
			return nil, r.fail(1, fmt.Errorf("damaged gzip header: %w", err))
		}
		r.in = bufio.NewReaderSize(gz, 1<<16)
		r.close = append(r.close, gz.Close)
	case bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		// One decoder goroutine less and a bound on what a hostile frame can ask for.
		zs, err := zstd.NewReader(head, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(1<<28))
		if err != nil {
			return nil, r.fail(1, fmt.Errorf("damaged zstd header: %w", err))
		}
		r.in = bufio.NewReaderSize(zs, 1<<16)
		r.close = append(r.close, func() error { zs.Close(); return nil })
	default:
		r.in = head
	}
	return r, nil
}

// Next returns the next record, or io.EOF after the last, or an *Error. After an
// error the Reader is of no more use.
func (r *Reader) Next() (Record, error) {
	line, err := r.readLine()
	if err != nil {
		return Record{}, err
	}
	if r.parse == nil {
		r.detect(line)
	}
	for r.skip != nil && r.skip(line) {
		if line, err = r.readLine(); err != nil {
			return Record{}, err
		}
	}
	r.fine = r.fine || bytes.HasPrefix(line, []byte("ts="))
	rec, err := r.parse(line)
	if err != nil {
		return Record{}, r.fail(r.line, err)
	}
	return rec, nil
}

// detect chooses the format by the first line.
func (r *Reader) detect(line []byte) {
	switch {
	case isLogged(line):
		r.parse, r.skip, r.timed = parseLogged, chatter, true
	case bytes.IndexByte(line, ',') >= 0:
		r.parse, r.timed = newTwitter().parse, true
	default:
		r.parse = parseKey
	}
}

// readLine returns the next line without its end. A last line may lack one.
func (r *Reader) readLine() ([]byte, error) {
	r.line++
	line, err := r.in.ReadSlice('\n')
	switch {
	case err == io.EOF && len(line) == 0:
		if r.line == 1 {
			return nil, r.fail(1, errors.New("the trace is empty"))
		}
		return nil, io.EOF
	case err == bufio.ErrBufferFull || len(line) > MaxLine+1:
		return nil, r.fail(r.line, fmt.Errorf("line longer than %d bytes: not a trace", MaxLine))
	case err == io.ErrUnexpectedEOF:
		return nil, r.fail(r.line, errors.New("the compressed file ends in the middle: it was cut off"))
	case err != nil && err != io.EOF:
		return nil, r.fail(r.line, fmt.Errorf("cannot read on: %w", err))
	}
	return bytes.TrimRight(line, "\r\n"), nil
}

func (r *Reader) fail(line int, err error) error {
	return &Error{File: r.name, Line: line, Err: err}
}

// Close closes what Open opened and the decompressor.
func (r *Reader) Close() error {
	var errs []error
	for _, c := range r.close {
		errs = append(errs, c())
	}
	return errors.Join(errs...)
}

// quote shows the beginning of a piece of a line in an error without letting it
// break the message or the terminal.
func quote[T string | []byte](b T) string {
	s := string(b)
	if len(s) > 40 {
		s = s[:40] + "…"
	}
	return fmt.Sprintf("%q", strings.ToValidUTF8(s, "?"))
}
