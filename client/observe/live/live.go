package live

import (
	"errors"
	"fmt"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/memherd/memherd/client/observe/metrics"
	"github.com/memherd/memherd/ring"
)

// Keys says how hot keys are shown.
type Keys uint8

const (
	// KeysHidden shows how hot they are, and not what they are.
	KeysHidden Keys = iota
	// KeysHashed shows a keyed hash, which is the same as long as the Handler lives: enough to follow a
	// key, not to guess it.
	KeysHashed
	// KeysShown shows them, which are user data.
	KeysShown
)

// DefaultHotKeys is Config.HotKeys if that is 0.
const DefaultHotKeys = 10

// Config is the set-up of a Handler. Source.Client is required.
type Config struct {
	// Source is what is shown. Without Source.Timing there is no latency.
	Source metrics.Source
	// Keys says how hot keys are shown; zero hides them.
	Keys Keys
	// HotKeys is how many are shown; 0 means 10, negative none, 1,000 are the most.
	HotKeys int
}

// Handler serves the page and its figures. It keeps nothing between requests but the shares of the ring, starts
// nothing, and may be used by many at once. Make one with New.
type Handler struct {
	cfg     Config
	secret  []byte // of KeysHashed
	started time.Time

	mu     sync.Mutex // guards what follows
	ring   *ring.Ring
	shares map[place]float64 // of ring
}

// New checks cfg and returns a Handler.
func New(cfg Config) (*Handler, error) {
	if err := cfg.Source.Check(); err != nil {
		return nil, err
	}
	switch {
	case cfg.Keys > KeysShown:
		return nil, fmt.Errorf("live: Config.Keys is %d: use KeysHidden, KeysHashed or KeysShown", cfg.Keys)
	case cfg.HotKeys > 1000:
		return nil, errors.New("live: Config.HotKeys is over 1000")
	case cfg.HotKeys == 0:
		cfg.HotKeys = DefaultHotKeys
	}
	return &Handler{cfg: cfg, secret: newSecret(), started: time.Now()}, nil
}

// ServeHTTP answers GET and HEAD: data.json at any path that ends so, the page at any that ends with a slash or
// has no dot in its last part, and at the empty one, which http.StripPrefix may leave.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "GET and HEAD only", http.StatusMethodNotAllowed)
		return
	}
	head := w.Header()
	head.Set("Cache-Control", "no-store")
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("Referrer-Policy", "no-referrer")
	switch last := path.Base(r.URL.Path); {
	case last == "data.json":
		head.Set("Content-Type", "application/json")
		h.writeData(w)
	case path.Ext(last) == "" || r.URL.Path == "" || strings.HasSuffix(r.URL.Path, "/"):
		head.Set("Content-Type", "text/html; charset=utf-8")
		head.Set("Content-Security-Policy", policy)
		w.Write(page) // the browser has gone if it fails
	default:
		http.NotFound(w, r)
	}
}

// place is what tells nodes apart: one that moves to another address is there at both for a while, under one name.
type place struct{ name, addr string }

func placeOf(n ring.Node) place { return place{n.Name, n.Addr} }

// share is each node's part of the keys: computed once for each ring, since it takes a millisecond.
func (h *Handler) share() map[place]float64 {
	now := h.cfg.Source.Client.Ring()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ring == now {
		return h.shares
	}
	shares := map[place]float64{}
	for i, s := range now.Shares() {
		shares[placeOf(now.Node(uint16(i)))] = s
	}
	h.ring, h.shares = now, shares
	return shares
}
