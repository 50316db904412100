package proxy

import "time"

// outgoing is the way from the proxy to the client, for one goroutine.
type outgoing struct {
	l       *link
	buf     []byte // on its way
	earlier []byte // a reply of before, to be repeated
}

// maxBuffered is how many bytes are gathered before they are written.
const maxBuffered = 64 << 10

// reply passes one reply on that the node sent at at, or does to it what is to be done.
// It returns false when the connection has ended.
func (o *outgoing) reply(r []byte, at time.Time) bool {
	p := o.l.p
	s := p.now.Load()
	if s.Replies == Hold {
		if !o.flush() {
			return false
		}
		var ok bool
		if s, ok = o.l.way(replies); !ok {
			return false
		}
	}
	f := s.fate(o.l.rng.Uint64())
	switch {
	case s.Replies == Swallow:
		o.l.lost.Store(true)
		return true
	case o.l.lost.Load():
		o.l.kill(true)
		return false
	}
	p.replies.Add(1)
	due := at.Add(s.Latency)
	if f.late {
		p.late.Add(1)
		due = due.Add(s.LateBy)
	}
	if s.Latency > 0 || f.late {
		if !o.wait(due) {
			return false
		}
	}
	if f.cut {
		p.cut.Add(1)
		o.buf = append(o.buf, r[:len(r)/2]...)
		o.flush()
		o.l.kill(f.reset)
		return false
	}
	o.buf = append(o.buf, r...)
	if f.stray {
		p.stray.Add(1)
		if len(o.earlier) == 0 || !f.earlier {
			o.earlier = append(o.earlier[:0], r...)
		}
		o.buf = append(o.buf, o.earlier...)
	} else if s.StrayEvery > 0 && f.earlier && f.reset {
		o.earlier = append(o.earlier[:0], r...)
	}
	return len(o.buf) < maxBuffered || o.flush()
}

// wait waits until due, with everything before it on its way.
func (o *outgoing) wait(due time.Time) bool {
	d := time.Until(due)
	if d <= 0 {
		return true
	}
	if !o.flush() {
		return false
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-o.l.done:
		return false
	}
}

func (o *outgoing) flush() bool {
	if len(o.buf) == 0 {
		return true
	}
	_, err := o.l.client.Write(o.buf)
	o.buf = o.buf[:0]
	return err == nil
}
