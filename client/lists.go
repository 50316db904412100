package client

import (
	"bytes"
	"compress/flate"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/memherd/memherd/ring"
)

// A process that starts while the fleet changes knows one list of nodes, and the others have to know more
// than that: which are announced, and which are past and still hold what moves. So as long as a change is under way
// its clients keep the lists beside each node's sentinel (publish.go), and who connects to a node for the first
// time reads them there (newcomer.go).
//
// They say where to connect to, and with what: if the nodes ask for a password, the lists are
// signed with it, so that nobody who does not know it can have it sent anywhere.

// listsSuffix makes the key of the lists of that of the sentinel.
const listsSuffix = ":lists"

const (
	listsMagic = "mhl1"
	// maxListsBytes bounds the lists as they are stored, maxListsText what they are when decoded.
	maxListsBytes = 1 << 20
	maxListsText  = 32 << 20
)

// listing is what a client knows of its fleet's lists.
type listing struct {
	// At is when it was written, by the writer's clock in milliseconds, TTL how long it was to live then,
	// in seconds: with what the node says is left, this tells its age even to somebody whose clock differs.
	At  int64 `json:"at"`
	TTL int64 `json:"ttl"`
	// Lists begin with the oldest; Now is the one in force.
	Lists []listed `json:"lists"`
	Now   int      `json:"now"`
	// Missing are nodes that have come back and are not read, because they have missed changes.
	Missing []missing `json:"missing,omitempty"`
}

// missing is a node that has missed changes, by its address, and since when: milliseconds before At.
type missing struct {
	Addr  string `json:"addr"`
	Since int64  `json:"since"`
}

// listed is one of the lists. Times are in milliseconds before At, never if negative.
type listed struct {
	Fingerprint string      `json:"fp"`
	Nodes       []ring.Node `json:"nodes"`
	Learned     int64       `json:"learned"`
	Left        int64       `json:"left"`
	Settled     int64       `json:"settled"`
	Doubtful    int64       `json:"doubtful"`
	Since       int64       `json:"since"` // when reads went over to it
	Seen        bool        `json:"seen"`
}

// listing says what is known now. topMu is held.
func (c *Client) listing(now time.Time) listing {
	m := &c.members
	announce, window := c.cfg.announce(), c.cfg.migrationWindow()
	l := listing{At: now.UnixMilli(), Now: len(m.past)}
	before := func(at time.Time) int64 {
		if at.IsZero() {
			return -1
		}
		return max(0, now.Sub(at).Milliseconds())
	}
	life := max(window, c.cfg.leftoverWindow()) + 4*announce
	for _, p := range append(append(append([]*placement(nil), m.past...), m.now), m.next...) {
		e := listed{Fingerprint: p.print, Nodes: p.ring.Nodes(), Learned: before(p.learned), Left: before(p.left), Settled: before(p.settled), Doubtful: before(p.doubtful), Since: -1, Seen: p.seen}
		if p == m.now {
			e.Since = before(m.switched)
		}
		l.Lists = append(l.Lists, e)
	}
	for _, n := range c.top.Load().missing() {
		l.Missing = append(l.Missing, missing{n.Addr, before(n.debt.LastOwed())})
	}
	l.TTL = int64((life + time.Second - 1) / time.Second)
	return l
}

// missing are the nodes in force or announced that have come back and are not read for it.
func (t *topology) missing() (nodes []*node) {
	for _, n := range t.all {
		if n.missing.Load() && n.debt.Overflow() && t.hears[n] {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// errLists is why lists are not taken.
var errLists = errors.New("memherd: lists of nodes that can't be read")

// signature vouches for the lists, as far as there is a secret.
func (a *Auth) signature(b []byte) []byte {
	var secret []byte
	if a != nil {
		secret = []byte("memherd lists\x00" + a.Username + "\x00" + string(a.Password))
	}
	h := hmac.New(sha256.New, secret)
	h.Write(b)
	return h.Sum(nil)
}

// encodeLists makes the value that is stored: a magic, the signature of the rest, and JSON, compressed.
// Of lists that are too long it leaves out the oldest.
func encodeLists(l listing, a *Auth) ([]byte, error) {
	for {
		text, err := json.Marshal(l)
		if err != nil {
			return nil, err
		}
		var b bytes.Buffer
		w, err := flate.NewWriter(&b, flate.BestSpeed)
		if err != nil {
			return nil, err
		}
		if _, err = w.Write(text); err == nil {
			err = w.Close()
		}
		if err != nil {
			return nil, err
		}
		if b.Len() < maxListsBytes/2 && len(text) <= maxListsText {
			return append(append([]byte(listsMagic), a.signature(b.Bytes())...), b.Bytes()...), nil
		}
		if l.Now == 0 {
			return nil, fmt.Errorf("%w: they are too long to be stored", errLists)
		}
		l.Lists, l.Now = l.Lists[1:], l.Now-1
	}
}

// decodeLists reads what encodeLists made.
func decodeLists(b []byte, a *Auth) (l listing, err error) {
	head := len(listsMagic) + sha256.Size
	if len(b) < head || string(b[:len(listsMagic)]) != listsMagic {
		return listing{}, errLists
	}
	if !hmac.Equal(b[len(listsMagic):head], a.signature(b[head:])) {
		return listing{}, fmt.Errorf("%w: they are signed with another password", errLists)
	}
	r := flate.NewReader(bytes.NewReader(b[head:]))
	defer r.Close()
	text, err := io.ReadAll(io.LimitReader(r, maxListsText+1))
	switch {
	case err != nil:
		return listing{}, fmt.Errorf("%w: %w", errLists, err)
	case len(text) > maxListsText:
		return listing{}, fmt.Errorf("%w: they are too long", errLists)
	}
	if err := json.Unmarshal(text, &l); err != nil {
		return listing{}, fmt.Errorf("%w: %w", errLists, err)
	}
	if l.Now < 0 || l.Now >= len(l.Lists) || l.TTL <= 0 {
		return listing{}, fmt.Errorf("%w: none is in force", errLists)
	}
	return l, nil
}

// age is how long ago the lists were written. left is what remains of their life, as far as the node
// says, in whole seconds.
func (l *listing) age(now time.Time, left time.Duration) time.Duration {
	const clocksDiffer = 2 * time.Second // by no more than what seconds are rounded by
	byClock := max(0, now.Sub(time.UnixMilli(l.At)))
	byNode := max(0, time.Duration(l.TTL)*time.Second-left)
	if byClock < byNode-clocksDiffer || byClock > byNode+clocksDiffer {
		return byNode
	}
	return byClock
}

// find is where the list with a fingerprint is, the newest of several, -1 for nowhere.
func (l *listing) find(printed string) int { return l.findBefore(len(l.Lists), printed) }

// findBefore is find among those before one.
func (l *listing) findBefore(end int, printed string) int {
	for i := end - 1; i >= 0; i-- {
		if l.Lists[i].Fingerprint == printed {
			return i
		}
	}
	return -1
}
