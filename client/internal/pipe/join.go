package pipe

// memcached writes what it has at the end of each classic get, with a system call of its own; replies to meta commands it
// collects. So bursts that go out together share one classic get: "get", the keys of the first, those of the second and so
// on, and behind it the meta gets of each, in the same order. Theirs is one list of values then, one END, and the
// replies to the meta gets. What a burst is told is believed when its own token has come, as ever, and that comes behind
// the whole list. Where two bursts ask for the same key and one value comes, the first takes it: both were under way
// when it was there, and when it was not.

// join queues a burst: one whose keys all fit has its keys in the same classic command as those right before it, if it
// can. It returns the length of what that adds. Until seal the bytes stay with the burst, whose call is pending.
func (o *outbox) join(b *burst) int {
	if b.getEnd == 0 {
		o.sealBursts()
		o.small = append(o.small, b.line...)
		return len(b.line)
	}
	keys := len(b.getKeys())
	b.joined = len(o.open) > 0 && o.shared+keys <= maxGetLine && o.open[0].getWord() == b.getWord()
	if !b.joined {
		o.sealBursts()
		o.shared = 0
	}
	o.open = append(o.open, b)
	o.shared += keys
	if b.joined {
		return keys + len(b.line) - b.getEnd
	}
	return len(b.line)
}

// sealBursts writes the command that bursts share, and their meta gets behind it.
func (o *outbox) sealBursts() {
	if len(o.open) == 0 {
		return
	}
	o.small = append(o.small, o.open[0].line[:o.open[0].getWord()]...)
	for _, b := range o.open {
		o.small = append(o.small, b.getKeys()...)
	}
	o.small = append(o.small, lineEnd...)
	for _, b := range o.open {
		o.small = append(o.small, b.line[b.getEnd:]...)
	}
	clear(o.open)
	o.open = o.open[:0]
}

// getWord is the length of the word that the classic command in line begins with, getKeys its keys, each behind a space.
func (b *burst) getWord() int {
	if b.line[len("get")] == 's' {
		return len("gets")
	}
	return len("get")
}

func (b *burst) getKeys() []byte { return b.line[b.getWord() : b.getEnd-len(lineEnd)] }

// answered is the burst that the value or the reply under way is for, where the head is one. Only while a shared command is
// being answered to it is another than the head.
func (c *Conn) answered() *burst { return c.mine[c.mhead+c.sharing].burst }

// sharer is the burst i calls behind the head if it shares the head's classic command, nil otherwise.
func (c *Conn) sharer(i int) *burst {
	if k := c.behind(i); k != nil && k.burst != nil && k.burst.joined {
		return k.burst
	}
	return nil
}

// behind is the call i places behind the head, nil if there is none.
func (c *Conn) behind(i int) *Call {
	if c.mhead+i >= len(c.mine) {
		c.mu.Lock()
		n := copy(c.mine, c.mine[c.mhead:])
		clear(c.mine[n:])
		c.mine, c.mhead = append(c.mine[:n], c.queue...), 0
		clear(c.queue)
		c.queue = c.queue[:0]
		c.mu.Unlock()
		if i >= len(c.mine) {
			return nil
		}
	}
	return c.mine[c.mhead+i]
}
