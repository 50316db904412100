package pipe

// memcached writes what it has at the end of each classic get, with a system call of its own; replies to meta commands it
// collects. So bursts that go out together share one classic get: "get", the keys of the first, those of the second and so
// on, and behind it their meta gets, in the same order. Theirs is one list of values then, one END, and the replies to the meta
// gets.
//
// They share the proof, too: of a burst whose one meta get would be there for its token alone, the last key joins the others in
// the list, unless it is the last of those that share, and what the burst is told is believed when the next meta get, the first of
// a burst behind it, has been answered with its token: it comes behind the whole list, as its own would. A meta get costs memcached
// three times as much as a key of a list, and of commands it takes twenty before it goes back to its event loop.
//
// Where two bursts ask for the same key and one value comes, the first takes it: both were under way
// when it was there, and when it was not.

// join queues a burst: one whose keys all fit has its keys in the same classic command as those right before it, if it
// can. It returns the length of what that adds. Until seal the bytes stay with the burst, whose call is pending.
func (o *outbox) join(b *burst) int {
	if b.getEnd == 0 {
		o.sealBursts()
		o.small = append(o.small, b.line...)
		return len(b.line)
	}
	b.joined = len(o.open) > 0 && o.shared+b.listed() <= maxGetLine && o.open[0].getWord() == b.getWord()
	added := len(b.line)
	if b.joined {
		added = len(b.getKeys()) + len(b.metaGets())
		if before := o.open[len(o.open)-1]; before.lean() {
			added += before.listed() - len(before.getKeys()) - len(before.metaGets())
		}
	} else {
		o.sealBursts()
		o.shared = 0
	}
	o.open = append(o.open, b)
	o.shared += b.listed()
	return added
}

// sealBursts writes the command that bursts share, and their meta gets behind it.
func (o *outbox) sealBursts() {
	if len(o.open) == 0 {
		return
	}
	for i := len(o.open) - 2; i >= 0; i-- {
		if b := o.open[i]; b.lean() {
			b.proof, b.ends[0] = o.open[i+1].proof+1, len(b.keys)
		}
	}
	o.small = append(o.small, o.open[0].line[:o.open[0].getWord()]...)
	for _, b := range o.open {
		o.small = append(o.small, b.getKeys()...)
		if b.proof > 0 {
			o.small = append(append(o.small, ' '), b.lastKey()...)
		}
	}
	o.small = append(o.small, lineEnd...)
	for _, b := range o.open {
		if b.proof == 0 {
			o.small = append(o.small, b.metaGets()...)
		}
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

func (b *burst) lastKey() string { return b.keys[len(b.keys)-1] }

// lean reports whether b's one meta get is there for its token alone.
func (b *burst) lean() bool { return b.metas == 0 }

// metaGets are the meta gets behind the classic command in line.
func (b *burst) metaGets() []byte { return b.line[b.getEnd:] }

// listed is how long b's keys in a shared command may be.
func (b *burst) listed() int {
	n := len(b.getKeys())
	if b.lean() {
		n += len(" ") + len(b.lastKey())
	}
	return n
}

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
