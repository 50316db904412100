package pipe

import (
	"github.com/memherd/memherd/client/memproto"
)

// values takes the values in rbuf that answer a classic get of many keys, a burst's or one that reads share, as far as they
// are there whole, each in one step: most of what a busy client reads is that, and decode, which does the same, goes through its
// states thrice for each. It stops at whatever is not plainly such a value: decode decides what that is.
func (c *Conn) values() error {
	for c.r < c.w {
		v, ok := memproto.DecodeValue(c.rbuf[c.r:c.w], &c.lim)
		if !ok || v.BodyLen > c.cfg.MaxValue {
			return nil
		}
		end := c.r + v.LineLen + v.BodyLen
		if end+len(lineEnd) > c.w || string(c.rbuf[end:end+len(lineEnd)]) != lineEnd {
			return nil
		}
		k := c.head()
		if k == nil || k.Classic || k.offset >= c.sent && !c.hasLeft(k) {
			return nil
		}
		block := c.rbuf[end-v.BodyLen : end]
		switch {
		case k.burst != nil:
			if k.burst.done == len(k.burst.ends) {
				return nil
			}
			b, err := c.burstOf(v.Key)
			if err != nil {
				return err
			}
			b.takeValue(v.Flags, append(k.room(len(block))[:0], block...))
		case k.Share:
			if !c.inShared(k) {
				return nil
			}
			k, err := c.sharedOf(v.Key)
			if err != nil {
				return err
			}
			k.takeValue(v.Flags, append(k.room(len(block))[:0], block...))
			c.group.at++
		default:
			return nil
		}
		c.r = end + len(lineEnd)
		c.served = true
		c.steps++
	}
	return nil
}

// takeValue is take for a value that a classic get has brought.
func (b *burst) takeValue(flags uint32, value []byte) {
	b.answers = append(b.answers, Answer{Resp: bare(flags), Value: value})
	b.bytes += len(value)
}

// takeValue is fillCall for a value that a classic get has brought.
func (k *Call) takeValue(flags uint32, value []byte) {
	k.Resp, k.Value = bare(flags), value
	if k.Borrow {
		k.own = value
	}
}

// bare is all that the line of such a value tells.
func bare(flags uint32) Reply {
	return Reply{Status: memproto.StatusVA, ClientFlags: flags, Bare: true}
}
