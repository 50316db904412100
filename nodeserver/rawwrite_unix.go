//go:build unix

package nodeserver

import "syscall"

// rawTry writes to the socket what it takes, without waiting.
func rawTry(raw syscall.RawConn) func([]byte) (int, error) { return newRawWriter(raw).write }

// rawWriter writes to a non-blocking socket once, without waiting for it. It is a
// struct so that the function handed to RawConn is made once per connection.
type rawWriter struct {
	raw syscall.RawConn
	f   func(uintptr) bool
	p   []byte
	n   int
	err error
}

func newRawWriter(raw syscall.RawConn) *rawWriter {
	w := &rawWriter{raw: raw}
	w.f = func(fd uintptr) bool {
		for {
			w.n, w.err = syscall.Write(int(fd), w.p)
			if w.err != syscall.EINTR {
				return true // also on EAGAIN: whoever wants to wait does it elsewhere
			}
		}
	}
	return w
}

func (w *rawWriter) write(p []byte) (int, error) {
	w.p = p
	err := w.raw.Write(w.f)
	w.p = nil
	if err != nil {
		return 0, err
	}
	if w.err == syscall.EAGAIN {
		return 0, nil
	}
	return max(w.n, 0), w.err
}
