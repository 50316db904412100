package journal

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/memherd/memherd/loader"
)

// measure is how large things are.
type measure struct {
	// quota is how long a generation gets before the next one begins, if little is pending.
	quota int64
	// ahead is by how much the file is made longer at once: a page that was there already is synced without a
	// change of the file's length, which would be a second write elsewhere on most file systems.
	ahead int64
	// frame is how long a frame of copies gets, about.
	frame int
}

var usual = measure{quota: 4 << 20, ahead: 1 << 20, frame: 1 << 20}

// mostKept is which buffer is kept for the next commit.
const mostKept = 4 << 20

var errBroken = errors.New("an earlier write failed")

// storage is the file that a log is in. Sync makes what was written lasting.
type storage interface {
	io.ReaderAt
	io.WriterAt
	Truncate(size int64) error
	Sync() error
	Close() error
}

// span is where a record is encoded.
type span struct {
	at   int64
	size int32
}

// log is the disk that a Journal has in production: a file that only grows at its end, until it is long enough, compared
// with what is pending, that copying that to another place, as the beginning of a new generation, costs little. Two
// generations take turns in the file, at its beginning and behind that, so that it has pages to spare and keeps its length.
type log struct {
	store storage
	measure

	mu     sync.Mutex // guards what follows: load may come while a commit is under way
	head   head
	pos    int64 // where the next frame goes
	limit  int64 // where this generation ends
	size   int64 // the file's
	clock  loader.Version
	live   map[uint64]span // by Seq
	built  frame           // memory for the next one
	broken bool            // for ever: what the file has behind pos is not known

	syncs atomic.Uint64 // so far; for who may not wait for a commit
}

// openLog reads the log in s, of size bytes, and begins a new generation with what is live in it. That is more than is
// needed where the last process ended in order. But a frame that can be read may be one that could not be synced then, and
// lies in the kernel's memory alone: what is read is made lasting before anything is accepted on top of it.
func openLog(s storage, size int64, m measure) (*log, error) {
	h, err := readHead(s)
	if err != nil {
		return nil, err
	}
	l := &log{store: s, measure: m, head: h, size: size, live: map[uint64]span{}, clock: loader.Version{Time: time.Unix(0, 0)}}
	if err := l.recover(); err != nil {
		return nil, err
	}
	err = l.writeHeads() // one of them may be a generation behind, or what the kernel has of it not on the disk
	if err == nil {
		err = l.renew()
	}
	if err != nil {
		return nil, fmt.Errorf("writing what is pending anew, %d bytes, of which nothing is lost: %w", l.copied(slices.Collect(maps.Keys(l.live))), err)
	}
	return l, nil
}

// writeHeads makes the current generation the one that counts. The next sync makes the second head lasting: the one behind the
// copies of the next generation at the latest, which may lie where the last one was. So if the first head is torn then, the
// second does not name the last one.
func (l *log) writeHeads() error {
	page := l.head.encode()
	if _, err := l.store.WriteAt(page, 0); err != nil {
		return err
	}
	if err := l.sync(); err != nil {
		return err
	}
	_, err := l.store.WriteAt(page, pageSize)
	return err
}

// commit makes all of c's changes lasting, or none.
func (l *log) commit(c change) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken {
		return errBroken
	}
	l.broken = true // until all has gone well
	if l.pos >= l.limit {
		if err := l.renew(); err != nil {
			return err
		}
	}
	f := &l.built
	f.begin(l.head.salt, c.clock)
	for _, seq := range c.strike {
		f.strike(seq)
	}
	spans := make([]span, len(c.put))
	for i, r := range c.put {
		from, to := f.add(r)
		spans[i] = span{l.pos + int64(from), int32(to - from)}
	}
	if err := l.append(f.end()); err != nil {
		return err
	}
	if err := l.sync(); err != nil {
		return err
	}
	for i, r := range c.put {
		l.live[r.Version.Seq] = spans[i]
	}
	for _, seq := range c.strike {
		delete(l.live, seq)
	}
	l.clock = c.clock
	l.broken = false
	if cap(f.b) > mostKept {
		f.b = nil
	}
	return nil
}

// append writes b, whole pages, behind what is there.
func (l *log) append(b []byte) error {
	end := l.pos + int64(len(b))
	if end > l.size {
		zeros := make([]byte, l.ahead)
		for l.size < end {
			n, err := l.store.WriteAt(zeros, l.size)
			l.size += int64(n)
			if err != nil {
				break // zeros that find no room are no reason to refuse what may find it
			}
		}
	}
	if _, err := l.store.WriteAt(b, l.pos); err != nil {
		return err
	}
	l.pos = end
	l.size = max(l.size, end)
	return nil
}

func (l *log) sync() error {
	l.syncs.Add(1)
	return l.store.Sync()
}

// renew begins a new generation: it copies what is live to where the current one, which counts until the first head
// says otherwise, is not.
func (l *log) renew() error {
	next := head{generation: l.head.generation + 1, start: firstPage, salt: random(), writer: l.head.writer}
	seqs := slices.Sorted(maps.Keys(l.live))
	if l.head.start-firstPage < l.copied(seqs) {
		next.start = l.pos
	}
	l.pos = next.start
	spans := make(map[uint64]span, len(l.live))
	f := &l.built
	var w window
	for first := true; first || len(seqs) > 0; first = false {
		f.begin(next.salt, l.clock)
		for len(seqs) > 0 && len(f.b) < l.frame {
			seq := seqs[0]
			seqs = seqs[1:]
			encoded, err := l.read(seq, &w)
			if err == nil {
				err = checkRecord(seq, encoded)
			}
			if err != nil {
				return err
			}
			from, to := f.copy(seq, encoded)
			spans[seq] = span{l.pos + int64(from), int32(to - from)}
		}
		if err := l.append(f.end()); err != nil {
			return err
		}
	}
	if err := l.sync(); err != nil {
		return err
	}
	next.reach = l.pos // a copy that is not whole has gone bad
	l.head, l.live = next, spans
	if err := l.writeHeads(); err != nil {
		return err
	}
	quota := max(l.quota, 2*(l.pos-next.start))
	l.limit = next.start + quota
	if least := firstPage + 2*quota; next.start == firstPage && l.size > least+least/2 {
		if l.store.Truncate(least) == nil { // much was pending once
			l.size = least
		}
	}
	return nil
}

// copied is how long the copies of these are. It is exact, so that a journal that is opened again and again, with the same
// pending and no room on the disk, finds room in its file.
func (l *log) copied(seqs []uint64) int64 {
	total, frame := int64(0), int64(frameHead)
	for _, seq := range seqs {
		if frame >= int64(l.frame) {
			total, frame = total+wholePages(frame), frameHead
		}
		frame += recordLead + int64(l.live[seq].size)
	}
	return total + wholePages(frame)
}

func wholePages(n int64) int64 { return (n + pageSize - 1) / pageSize * pageSize }

// window is a part of the file in memory: records that are read in the order of Seq stand mostly in that of the file.
type window struct {
	b  []byte
	at int64
}

const windowSize = 64 * pageSize

// read returns a record that is live, as it is encoded and unchecked, in w's memory.
func (l *log) read(seq uint64, w *window) ([]byte, error) {
	s := l.live[seq]
	if s.at < w.at || s.at+int64(s.size) > w.at+int64(len(w.b)) {
		size := max(int64(s.size), min(windowSize, l.size-s.at))
		w.b, w.at = slices.Grow(w.b[:0], int(size))[:size], s.at
		if _, err := l.store.ReadAt(w.b, w.at); err != nil {
			w.b = nil
			return nil, err
		}
	}
	return w.b[s.at-w.at:][:s.size], nil
}

// load tells all that is live, in the order of Seq.
func (l *log) load(fn func(loader.Record) error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var w window
	for _, seq := range slices.Sorted(maps.Keys(l.live)) {
		b, err := l.read(seq, &w)
		if err != nil {
			return err
		}
		r, err := decode(seq, b)
		if err != nil {
			return err
		}
		r.Version.Writer = l.head.writer
		if err := fn(r); err != nil {
			return err
		}
	}
	return nil
}

func (l *log) synced() uint64 { return l.syncs.Load() }

// close says in the heads how far the log reaches, so that a frame that goes bad later is known from one that was never
// accepted: see recover.
func (l *log) close() error {
	var err error
	if !l.broken && l.pos > l.head.reach {
		l.head.reach = l.pos
		err = l.writeHeads()
	}
	return errors.Join(err, l.store.Close())
}
