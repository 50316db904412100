package nodeserver

import "time"

// Somebody who types into a terminal may take his time: nothing bounds how long a command
// or its data block takes to arrive, until there are so many connections, or so many
// half-arrived blocks, that others suffer from it. Then who is slow has to go.

const (
	// busyConns of maxConns, in percent, and pendingShare of MaxBytes are where slow
	// senders begin to be dropped.
	busyConns    = 80
	pendingShare = 4
	// slowLine is how long the rest of a command line may then take, and slowBody how
	// many bytes a second of a data block have to arrive, after as long.
	slowLine = 10 * time.Second
	slowBody = 1 << 10
	// dropEvery bounds how often all connections are looked through.
	dropEvery = time.Second
)

// reserve asks for n more bytes of buffer for a command that has not arrived whole; they
// are given back by release. Buffers up to keepBuf need no reservation: MaxConns bounds
// them. False: half-arrived data blocks hold a quarter of MaxBytes already.
func (c *conn) reserve(n int) bool {
	s := c.srv
	limit := max(s.store.MaxBytes()/pendingShare, 2*s.cfg.MaxItemBytes)
	if s.pending.Add(int64(n)) > limit {
		s.pending.Add(int64(-n))
		s.mu.Lock()
		s.dropSlow(time.Now())
		s.mu.Unlock()
		return false
	}
	c.reserved += n
	return true
}

func (c *conn) release() {
	if c.reserved > 0 {
		c.srv.pending.Add(int64(-c.reserved))
		c.reserved = 0
	}
}

// partial notes, before the connection waits for more, whether it waits with half a
// command, and how much of a data block has come.
func (c *conn) partial() {
	if c.r == c.w && c.swallow == 0 {
		if c.waitSince.Load() != 0 {
			c.waitSince.Store(0)
		}
		return
	}
	have := int64(0)
	if c.need > 0 {
		have = int64(c.w - c.r)
	}
	c.waitBody.Store(have)
	if c.waitSince.Load() == 0 {
		c.waitSince.Store(time.Now().UnixNano())
	}
}

// slow reports whether the connection takes longer than others can be asked to bear.
func (c *conn) slow(now time.Time) bool {
	since := c.waitSince.Load()
	if since == 0 {
		return false
	}
	waited := now.Sub(time.Unix(0, since))
	if waited < slowLine {
		return false
	}
	return c.waitBody.Load() < int64(waited.Seconds()*slowBody)
}

// dropSlow closes the slow senders; s.mu is held.
func (s *Server) dropSlow(now time.Time) {
	if now.Sub(s.droppedAt) < dropEvery {
		return
	}
	s.droppedAt = now
	for c := range s.conns {
		if c.slow(now) {
			s.stats.slow.Add(1)
			c.abort()
		}
	}
}

// crowded reports whether connections are scarce; s.mu is held.
func (s *Server) crowded() bool { return len(s.conns)*100 > s.cfg.MaxConns*busyConns }
