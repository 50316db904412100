package pipe

import (
	"io"
	"net"
)

// largeWrite is how many bytes in one write make whoever has a choice prefer another
// connection until they are out.
const largeWrite = 64 << 10

// bulkRequest is the size of a value from which a request is queued in a buffer of its
// own: copied once, outside the lock, and written from where it lies.
const bulkRequest = 2 << 10

// keepSmall is the largest buffer of small requests kept for reuse.
const keepSmall = 512 << 10

// outbox holds the bytes that are queued and not yet given to a flusher. Conn.mu guards
// it.
type outbox struct {
	small   []byte               // small requests, one after the other
	spare   []byte               // the buffer for small requests that the flusher is not using
	open    []*burst             // behind small: those that share a classic get, which is not written yet
	shared  int                  // the length of its keys
	gets    []*Call              // reads that may share a classic get, and are not in the queue yet: see share.go
	keys    []byte               // theirs, each behind a space; nil for none
	oldKeys [][]byte             // memory for keys
	least   int                  // how many of them at least share one: minShared but in tests
	token   func(k *Call) []byte // gives a call a token
	segs    net.Buffers          // what goes out before small, if anything large is queued
	bulk    [][]byte             // the large requests among segs
	calls   int                  // requests queued
	one     [1][]byte            // memory for a parcel without large requests
}

// add queues an encoded request and returns its length.
func (o *outbox) add(k *Call) int {
	o.calls++
	if k.burst != nil {
		o.calls += len(k.burst.keys) - 1
		return o.join(k.burst)
	}
	o.sealBursts()
	if k.bulk == nil {
		before := len(o.small)
		o.small = append(o.small, k.line...)
		if k.cmd.Storage() && !k.Classic { // a classic line has its data block
			o.small = append(append(o.small, k.Req.Value...), '\r', '\n')
		}
		return len(o.small) - before
	}
	if len(o.small) > 0 {
		o.segs, o.small = append(o.segs, o.small), nil
	}
	o.segs, o.bulk = append(o.segs, k.bulk), append(o.bulk, k.bulk)
	n := len(k.bulk)
	k.bulk = nil // the parcel's from now on
	return n
}

func (o *outbox) empty() bool {
	return len(o.small) == 0 && len(o.segs) == 0 && len(o.open) == 0 && len(o.gets) == 0
}

// drop forgets what is queued.
func (o *outbox) drop() { *o = outbox{} }

// parcel is what one write takes along, or what an interrupted one left.
type parcel struct {
	bufs  net.Buffers // still to be written
	small []byte      // for reuse when everything is out
	bulk  [][]byte    // likewise
}

// take hands everything queued to a flusher, but for reads that are held aside. There is one parcel at a time.
func (o *outbox) take() parcel {
	o.sealBursts()
	p := parcel{small: o.small, bulk: o.bulk}
	if len(o.segs) == 0 {
		o.one[0] = o.small
		p.bufs = o.one[:]
	} else {
		p.bufs = o.segs
		if len(o.small) > 0 {
			p.bufs = append(p.bufs, o.small)
		}
	}
	o.small, o.spare, o.segs, o.bulk, o.calls = o.spare[:0], nil, nil, nil, 0
	return p
}

// reuse takes the memory of a parcel back that is out.
func (o *outbox) reuse(p *parcel, pool *Pool) {
	if cap(p.small) <= keepSmall && cap(o.spare) == 0 {
		o.spare = p.small[:0]
	}
	for _, b := range p.bulk {
		pool.putBuf(b)
	}
}

func (p *parcel) size() (n int) {
	for _, b := range p.bufs {
		n += len(b)
	}
	return n
}

// write sends the parcel on nc, whose Write is w's; what is left of it after an error
// stays in it.
func (p *parcel) write(nc net.Conn, w io.Writer) error {
	if len(p.bufs) == 1 {
		n, err := w.Write(p.bufs[0])
		p.bufs[0] = p.bufs[0][n:]
		return err
	}
	_, err := p.bufs.WriteTo(nc)
	return err
}
