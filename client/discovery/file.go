package discovery

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/memherd/memherd/ring"
)

// MaxFileBytes is the longest file that File reads.
const MaxFileBytes = 4 << 20

// DefaultSettle is File.Settle's default.
const DefaultSettle = 100 * time.Millisecond

// File is a list of nodes in a file, watched. It is the operator's word: a node that is
// taken out of it leaves the fleet at once. For a file that a program writes by what it
// sees, say RemovalsConfirmed.
//
// The file is either one node a line, with comments and blank lines,
//
//	# address [name=…] [weight=…] [zone=…] [drain]
//	10.0.0.1:11211 zone=a
//	cache2.internal zone=b weight=2   # port 11211
//
// or JSON, a list of addresses and objects:
//
//	["10.0.0.1:11211", {"addr": "10.0.0.2:11211", "name": "cache2", "weight": 2, "drain": true}]
//
// What addresses, names, weights and zones may be is told on ring.Node; a weight that is
// written is at least 1, and all nodes have a zone or none. A file that breaks the
// rules is refused as a whole, with the line.
//
// It may be replaced by renaming another file or link over it, as Kubernetes does with
// ConfigMaps, or written over. Renaming is best: a file that is being written over and
// pauses for longer than Settle is read half written, which one node a line does not
// show.
type File struct {
	// Path of the file. Required.
	Path string
	// Settle is how long the file must not have changed before it is believed; 0 means
	// 100 ms. Negative believes it at once.
	Settle time.Duration
}

// Trusted says yes.
func (f *File) Trusted() bool { return true }

// Nodes reads the file. It waits until the file has settled. Errors are ErrConfig, those
// of package os, *LineError, or ErrEmpty; each has the path.
func (f *File) Nodes(ctx context.Context) ([]ring.Node, error) {
	if f.Path == "" {
		return nil, badConfig("File.Path is empty")
	}
	text, err := f.settled(ctx)
	if err != nil {
		return nil, err
	}
	nodes, err := Parse(text)
	if at := (*LineError)(nil); errors.As(err, &at) {
		at.File = f.Path
		return nil, at
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Path, err)
	}
	return nodes, nil
}

// settled reads the file until it is old enough or stays the same for Settle. A time in
// the future, as other machines' clocks give to files they share, proves nothing.
func (f *File) settled(ctx context.Context) ([]byte, error) {
	settle := f.Settle
	if settle == 0 {
		settle = DefaultSettle
	}
	text, changed, err := f.read()
	if err != nil {
		return nil, err
	}
	if age := time.Since(changed); settle < 0 || age >= settle {
		return text, nil
	}
	wait := time.NewTicker(settle)
	defer wait.Stop()
	for {
		select {
		case <-wait.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("%s: the file keeps changing: %w", f.Path, ctx.Err())
		}
		again, _, err := f.read()
		if err != nil {
			return nil, err
		}
		if bytes.Equal(text, again) {
			return text, nil
		}
		text = again
	}
}

// read returns the file and when it was last changed.
func (f *File) read() ([]byte, time.Time, error) {
	// Looked at before it is opened: opening a pipe would wait for its writer.
	info, err := os.Stat(f.Path)
	if err != nil {
		return nil, time.Time{}, err
	}
	if !info.Mode().IsRegular() {
		return nil, time.Time{}, fmt.Errorf("%s: not a file with a list of nodes: %v", f.Path, info.Mode().Type())
	}
	file, err := os.Open(f.Path)
	if err != nil {
		return nil, time.Time{}, err
	}
	defer file.Close()
	if info, err = file.Stat(); err != nil {
		return nil, time.Time{}, err
	}
	text, err := io.ReadAll(io.LimitReader(file, MaxFileBytes+1))
	if err != nil {
		return nil, time.Time{}, err
	}
	if len(text) > MaxFileBytes {
		return nil, time.Time{}, &LineError{File: f.Path, Err: malformed("the file has more than %d bytes", MaxFileBytes)}
	}
	return text, info.ModTime(), nil
}
