package nodeserver

import (
	"bytes"
	"strconv"
)

const (
	badFormat = "CLIENT_ERROR bad command line format"
	badClass  = "BADCLASS invalid class id"
	// mostClasses is memcached's bound on slab classes.
	mostClasses = 64
)

// classSet holds the numbers of slab classes; nil is all of them.
type classSet map[int]bool

func (s classSet) has(class int) bool { return s == nil || s[class] }

// classes reads a list of slab classes, or all.
func classes(list []byte) (classSet, bool) {
	if string(list) == "all" {
		return nil, true
	}
	set := classSet{}
	for word := range bytes.SplitSeq(list, []byte(",")) {
		n, err := strconv.ParseUint(string(word), 10, 32)
		if err != nil || n < 1 || n >= mostClasses {
			return nil, false
		}
		set[int(n)] = true
	}
	return set, true
}

// lru answers lru tune|mode|temp_ttl. There are no LRU segments to tune: what is right is
// accepted, so that scripts work, and what is wrong is refused in memcached's words.
func (c *conn) lru(what string, args [][]byte) bool {
	switch what {
	case "tune":
		if len(args) < 4 {
			return false
		}
		hot, err1 := strconv.ParseUint(string(args[0]), 10, 32)
		warm, err2 := strconv.ParseUint(string(args[1]), 10, 32)
		hotAge, err3 := strconv.ParseFloat(string(args[2]), 64)
		warmAge, err4 := strconv.ParseFloat(string(args[3]), 64)
		switch {
		case err1 != nil || err2 != nil || err3 != nil || err4 != nil:
			return false
		case hot > 80 || warm > 80 || hot+warm > 80:
			c.reply("ERROR hot and warm pcts must not exceed 80")
		case !(hotAge > 0) || !(warmAge > 0):
			c.reply("ERROR hot/warm age factors must be greater than 0")
		default:
			c.reply("OK")
		}
	case "mode":
		if m := string(args[0]); m != "flat" && m != "segmented" {
			return false
		}
		c.reply("OK")
	case "temp_ttl":
		if _, err := strconv.ParseInt(string(args[0]), 10, 32); err != nil {
			return false
		}
		c.reply("OK")
	default:
		return false
	}
	return true
}

// slabs answers as a memcached whose slab classes have nothing to give: a node has none.
func (c *conn) slabs(what string, args [][]byte) bool {
	switch {
	case what == "automove" && string(args[0]) == "ratio":
		if len(args) < 2 {
			return false
		}
		if _, err := strconv.ParseFloat(string(args[1]), 64); err != nil {
			c.reply(badFormat)
			return true
		}
		c.reply("OK")
	case what == "automove":
		if _, err := strconv.ParseUint(string(args[0]), 10, 32); err != nil {
			c.reply(badFormat)
			return true
		}
		c.reply("OK")
	case what == "reassign" && len(args) >= 2:
		from, err1 := strconv.ParseInt(string(args[0]), 10, 32)
		to, err2 := strconv.ParseInt(string(args[1]), 10, 32)
		switch {
		case err1 != nil || err2 != nil:
			c.reply(badFormat)
		case from == to:
			c.reply("SAME src and dst class are identical")
		case from >= mostClasses || to >= mostClasses:
			c.reply("BADCLASS invalid src or dst class id")
		default:
			c.reply("NOSPARE source class has no spare pages")
		}
	default:
		return false
	}
	return true
}
