//go:build unix

// Package confirmed tells processes of one machine, as it happens, which version of a key every copy has confirmed
// and since when: a writer notes it in a file that readers have in their memory. So a reader can judge what it was given
// without asking anybody, and without any time passing that it would have to allow for.
package confirmed

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

// kept is how many confirmations of a key are remembered.
const kept = 1024

// confirmation is one line of a key's list. Its number is written last and set to 0 first, so that a reader who comes
// in between finds a number that does not fit.
type confirmation struct{ number, version, at atomic.Uint64 }

// list is what is known of one key. count is how many confirmations there have been.
type list struct {
	count atomic.Uint64
	lines [kept]confirmation
}

// Log is the file, in memory. One goroutine writes a key; any number reads.
type Log struct {
	mem   []byte
	lists []list
}

// Create makes a log of so many keys at path, which must not be there yet.
func Create(path string, keys int) (*Log, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := f.Truncate(int64(keys) * int64(unsafe.Sizeof(list{}))); err != nil {
		return nil, err
	}
	return attach(f, keys, syscall.PROT_READ|syscall.PROT_WRITE)
}

// Open reads the log that another process has created.
func Open(path string, keys int) (*Log, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return attach(f, keys, syscall.PROT_READ)
}

func attach(f *os.File, keys, prot int) (*Log, error) {
	size := int64(keys) * int64(unsafe.Sizeof(list{}))
	if st, err := f.Stat(); err != nil || st.Size() != size || keys < 1 {
		return nil, errors.Join(err, fmt.Errorf("the log is not one of %d keys", keys))
	}
	mem, err := syscall.Mmap(int(f.Fd()), 0, int(size), prot, syscall.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("cannot map the log: %w", err)
	}
	return &Log{mem: mem, lists: unsafe.Slice((*list)(unsafe.Pointer(&mem[0])), keys)}, nil
}

// Close gives the memory back. Nobody may use the log meanwhile or after.
func (l *Log) Close() error { return syscall.Munmap(l.mem) }

// Now is the time by the clock that all processes of the machine read, in nanoseconds.
func Now() int64 { return time.Now().UnixNano() }

// Note says that all copies have confirmed a version of a key, now. Versions of a key rise from 1 on.
func (l *Log) Note(key int, version uint64) {
	s := &l.lists[key]
	n := s.count.Load() + 1
	c := &s.lines[n%kept]
	c.number.Store(0)
	c.version.Store(version)
	c.at.Store(uint64(Now()))
	c.number.Store(n)
	s.count.Store(n)
}

// Oldest is the newest version of the key that all copies had confirmed at the time at: a read that began then must not
// return an older one. 0 is none. It is false if what was confirmed then is no longer remembered.
func (l *Log) Oldest(key int, at int64) (version uint64, known bool) {
	s := &l.lists[key]
	last := s.count.Load()
	for n := last; n > 0; n-- {
		if last-n >= kept-1 {
			return 0, false
		}
		c := &s.lines[n%kept]
		v, t := c.version.Load(), c.at.Load()
		if c.number.Load() != n {
			return 0, false // overwritten meanwhile
		}
		if int64(t) <= at {
			return v, true
		}
	}
	return 0, true
}
