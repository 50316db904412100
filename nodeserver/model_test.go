package nodeserver

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// The model: a map with TTL, versions and marks, written as plainly as can be.
type modelItem struct {
	value      string
	flags      uint32
	cas        uint64
	expiry     time.Time // zero is never
	stale, won bool
}

type model struct {
	items map[string]*modelItem
	cas   uint64
}

func (m *model) get(key string) *modelItem {
	it := m.items[key]
	if it != nil && !it.expiry.IsZero() && !time.Now().Before(it.expiry) {
		delete(m.items, key)
		return nil
	}
	return it
}

func (m *model) until(ttl int) time.Time {
	if ttl == 0 {
		return time.Time{}
	}
	return time.Now().Add(time.Duration(ttl) * time.Second)
}

func (m *model) put(key, value string, flags uint32, ttl int) *modelItem {
	m.cas++
	it := &modelItem{value: value, flags: flags, cas: m.cas, expiry: m.until(ttl)}
	m.items[key] = it
	return it
}

// step draws a command, applies it to the model, and returns it with its answer. The
// node draws a version for every storage command, the model only for those that store,
// so versions are compared by what they allow, not by number.
func (m *model) step(rng *rand.Rand, lastCAS map[string]string) (cmd, want string) {
	key := fmt.Sprint("k", rng.IntN(4))
	ttl := []int{0, 3, 10}[rng.IntN(3)]
	value := strconv.Itoa(rng.IntN(2000))
	it := m.get(key)
	switch rng.IntN(12) {
	case 0:
		m.put(key, value, 7, ttl)
		return fmt.Sprintf("set %s 7 %d %d\r\n%s\r\n", key, ttl, len(value), value), "STORED\r\n"
	case 1:
		cmd = fmt.Sprintf("add %s 0 %d %d\r\n%s\r\n", key, ttl, len(value), value)
		if it != nil {
			return cmd, "NOT_STORED\r\n"
		}
		m.put(key, value, 0, ttl)
		return cmd, "STORED\r\n"
	case 2:
		cmd = fmt.Sprintf("append %s 0 0 %d\r\n%s\r\n", key, len(value), value)
		if it == nil || len(it.value) > 500 {
			return fmt.Sprintf("replace %s 0 %d %d\r\n%s\r\n", key, ttl, len(value), value), m.replace(key, value, ttl)
		}
		exp, flags := it.expiry, it.flags
		m.put(key, it.value+value, flags, 0).expiry = exp
		return cmd, "STORED\r\n"
	case 3:
		cmd = "delete " + key + "\r\n"
		if it == nil {
			return cmd, "NOT_FOUND\r\n"
		}
		delete(m.items, key)
		return cmd, "DELETED\r\n"
	case 4:
		cmd = fmt.Sprintf("touch %s %d\r\n", key, ttl)
		if it == nil {
			return cmd, "NOT_FOUND\r\n"
		}
		it.expiry = m.until(ttl)
		return cmd, "TOUCHED\r\n"
	case 5:
		cmd = "incr " + key + " 5\r\n"
		if it == nil {
			return cmd, "NOT_FOUND\r\n"
		}
		digits, _, _ := strings.Cut(it.value, " ") // a number that became shorter, and perhaps something behind it
		n, err := strconv.ParseUint(digits, 10, 64)
		if err != nil {
			return cmd, notNumber + "\r\n"
		}
		text := strconv.FormatUint(n+5, 10)
		if len(text) > len(it.value) {
			exp := it.expiry
			m.put(key, text, it.flags, 0).expiry = exp
		} else {
			m.cas++
			it.value, it.cas = text+strings.Repeat(" ", len(it.value)-len(text)), m.cas
		}
		return cmd, text + "\r\n"
	case 6: // a lease: the first gets the right to fill, the others wait
		cmd = "mg " + key + " v f N10\r\n"
		if it == nil {
			m.put(key, "", 0, 10).won = true
			return cmd, "VA 0 f0 W\r\n\r\n"
		}
		return cmd, m.marks("VA "+strconv.Itoa(len(it.value))+" f"+strconv.Itoa(int(it.flags)), it) + it.value + "\r\n"
	case 7:
		cmd = "mg " + key + " v q\r\n"
		if it == nil {
			return cmd, ""
		}
		return cmd, m.marks("VA "+strconv.Itoa(len(it.value)), it) + it.value + "\r\n"
	case 8:
		cmd = fmt.Sprintf("md %s I T%d\r\n", key, ttl)
		if it == nil {
			return cmd, "NF\r\n"
		}
		m.cas++
		it.cas, it.stale, it.won, it.expiry = m.cas, true, false, m.until(ttl)
		return cmd, "HD\r\n"
	case 9: // fill under the version seen last, which may be gone
		seen, version := lastCAS[key], ""
		if seen != "" {
			version, seen, _ = strings.Cut(seen, "/")
		} else {
			version, seen = "999999999", "0"
		}
		cmd = fmt.Sprintf("ms %s %d C%s T%d F3\r\n%s\r\n", key, len(value), version, ttl, value)
		switch {
		case it == nil:
			return cmd, "NF\r\n"
		case strconv.FormatUint(it.cas, 10) != seen:
			return cmd, "EX\r\n"
		}
		m.put(key, value, 3, ttl)
		return cmd, "HD\r\n"
	case 10:
		if it == nil {
			return "get " + key + "\r\n", "END\r\n"
		}
		return "get " + key + "\r\n", fmt.Sprintf("VALUE %s %d %d\r\n%s\r\nEND\r\n", key, it.flags, len(it.value), it.value)
	}
	if rng.IntN(10) == 0 {
		clear(m.items)
		return "flush_all\r\n", "OK\r\n"
	}
	if it == nil {
		return "mg " + key + " t u\r\n", "EN\r\n"
	}
	left := -1
	if !it.expiry.IsZero() {
		left = int(time.Until(it.expiry) / time.Second)
	}
	return "mg " + key + " t u\r\n", m.marks("HD t"+strconv.Itoa(left), it)
}

func (m *model) replace(key, value string, ttl int) string {
	if m.get(key) == nil {
		return "NOT_STORED\r\n"
	}
	m.put(key, value, 0, ttl)
	return "STORED\r\n"
}

// marks appends Z, X and W to a reply line and gives the right to recache away.
func (m *model) marks(line string, it *modelItem) string {
	if it.won {
		line += " Z"
	}
	if it.stale {
		line += " X"
		if !it.won {
			line += " W"
			it.won = true
		}
	}
	return line + "\r\n"
}

// TestNodeAgainstModel plays random commands with pauses in between on the virtual
// clock: the node must answer what the model does.
func TestNodeAgainstModel(t *testing.T) {
	seed := uint64(os.Getpid())
	if s, err := strconv.ParseUint(os.Getenv("MEMHERD_SEED"), 10, 64); err == nil {
		seed = s
	}
	synctest.Test(t, func(t *testing.T) {
		mem := NewMemNetwork()
		startNode(t, Config{Addr: "n", Network: mem})
		nc, err := mem.DialContext(t.Context(), "", "n")
		require.NoError(t, err)
		defer nc.Close()
		d := &duel{t: t, nc: nc, br: bufio.NewReader(nc)}
		rng := rand.New(rand.NewPCG(seed, 2))
		m := &model{items: map[string]*modelItem{}}
		lastCAS := map[string]string{}
		for i := range scaled(20_000) {
			if rng.IntN(3) == 0 {
				time.Sleep(time.Duration(rng.IntN(3)) * time.Second)
			}
			cmd, want := m.step(rng, lastCAS)
			if got := d.ask(cmd); got != want {
				t.Fatalf("step %d at %v: %q answered %q, want %q; repeat with MEMHERD_SEED=%d", i, time.Now(), cmd, got, want, seed)
			}
			// Now and then somebody notes a key's version: the node's and the model's.
			if key := fmt.Sprint("k", rng.IntN(4)); rng.IntN(3) == 0 && m.get(key) != nil {
				version := casInDebug.FindStringSubmatch(d.ask("me " + key + "\r\n"))[1]
				lastCAS[key] = version + "/" + strconv.FormatUint(m.get(key).cas, 10)
			}
		}
	})
}
