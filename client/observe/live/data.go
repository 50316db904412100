package live

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// Data is what data.json holds: totals since the client was made, from which a reader takes differences.
type Data struct {
	At      time.Time `json:"at"`
	Started int64     `json:"started"` // when the Handler was made, in nanoseconds of the Unix clock: a new one starts anew
	Copies  int       `json:"copies"`
	Nodes   []Node    `json:"nodes"`
	Reads   Reads     `json:"reads"`
	Writes  Writes    `json:"writes"`
	Errors  uint64    `json:"errors"`
	Events  Events    `json:"events"`
	Near    Near      `json:"near"`
	// Latency has, by call, the buckets: their ends in microseconds, and how many calls are in them.
	Latency map[string][][2]uint64 `json:"latency"`
	Hot     []Hot                  `json:"hot"`
	// Loaders has the counters of each loader, in small letters.
	Loaders map[string]map[string]uint64 `json:"loaders"`
}

// Node is one node as the client sees it: see client.Status. While one moves to another address there are two of its name.
type Node struct {
	Name             string  `json:"name"`
	Addr             string  `json:"addr"`
	State            string  `json:"state"`
	Share            float64 `json:"share"`
	Zone             string  `json:"zone,omitempty"`
	Version          string  `json:"version,omitempty"`
	Requests         uint64  `json:"requests"`
	Failures         uint64  `json:"failures"`
	InFlight         int     `json:"in_flight"`
	Connections      int     `json:"connections"`
	Debt             int     `json:"debt"`
	DebtAgeSeconds   float64 `json:"debt_age_seconds"`
	DebtOverflow     bool    `json:"debt_overflow"`
	Slow             bool    `json:"slow"`
	Joining          bool    `json:"joining"`
	Leaving          bool    `json:"leaving"`
	Gutter           bool    `json:"gutter"`
	Quarantined      bool    `json:"quarantined"`
	PlacementDiffers bool    `json:"placement_differs"`
}

// Reads are the client's, by what answered them.
type Reads struct {
	NearHit uint64 `json:"near_hit"`
	NodeHit uint64 `json:"node_hit"`
	Miss    uint64 `json:"miss"`
	Failed  uint64 `json:"failed"`
}

// Writes are the client's.
type Writes struct {
	Set    uint64 `json:"set"`
	Delete uint64 `json:"delete"`
	Fill   uint64 `json:"fill"`
}

// Events are those of client.Counters that tell of trouble and of what is done about it.
type Events struct {
	Failovers  uint64 `json:"failovers"`
	Steered    uint64 `json:"steered"`
	Hedged     uint64 `json:"hedged"`
	Owed       uint64 `json:"owed"`
	Restored   uint64 `json:"restored"`
	LeasesWon  uint64 `json:"leases_won"`
	LeasesLost uint64 `json:"leases_lost"`
}

// Near is the near-cache.
type Near struct {
	Entries int    `json:"entries"`
	Bytes   int64  `json:"bytes"`
	Expired uint64 `json:"expired"`
	Evicted uint64 `json:"evicted"`
	Refused uint64 `json:"refused"`
}

// Hot is a hot key; Key is as Config.Keys says.
type Hot struct {
	Key       string  `json:"key"`
	Share     float64 `json:"share"`
	PerSecond float64 `json:"per_second"`
	Level     string  `json:"level"`
}

// Data reads everything now.
func (h *Handler) Data() Data {
	r, shares := h.cfg.Source.Read(), h.share()
	c := r.Counters
	d := Data{
		At: time.Now(), Started: h.started.UnixNano(), Copies: h.cfg.Source.Client.Ring().Copies(), Errors: c.Errors,
		Reads:   Reads{c.NearHits, c.NodeHits, c.Misses, 0},
		Writes:  Writes{c.Sets, c.Deletes, c.Fills},
		Events:  Events{c.Failovers, c.Steered, c.Hedged, c.Owed, c.Restored, c.LeasesWon, c.LeasesLost},
		Near:    Near{r.Near.Entries, r.Near.Bytes, r.Near.Expired, r.Near.Evictions, r.Near.Refused},
		Nodes:   []Node{},
		Latency: map[string][][2]uint64{}, Hot: []Hot{}, Loaders: map[string]map[string]uint64{},
	}
	if known := c.NearHits + c.NodeHits + c.Misses; c.Gets > known { // they are read one by one
		d.Reads.Failed = c.Gets - known
	}
	for _, n := range r.Nodes {
		d.Nodes = append(d.Nodes, Node{
			Name: n.Node.Name, Addr: n.Node.Addr, State: n.State, Share: shares[placeOf(n.Node)], Zone: n.Node.Zone, Version: n.Version, Requests: n.Ops, Failures: n.Failures,
			InFlight: n.InFlight, Connections: n.Conns, Debt: n.Debt, DebtAgeSeconds: n.DebtAge.Seconds(), DebtOverflow: n.DebtOverflow,
			Slow: n.Slow, Joining: n.Joining, Leaving: n.Leaving, Gutter: n.Gutter, Quarantined: n.Quarantined, PlacementDiffers: n.PlacementDiffers,
		})
	}
	for op, l := range r.Latency {
		buckets := make([][2]uint64, len(l.Buckets))
		for i, b := range l.Buckets {
			buckets[i] = [2]uint64{uint64(b.Upper / time.Microsecond), b.Count}
		}
		d.Latency[op.String()] = buckets
	}
	if h.cfg.HotKeys > 0 {
		for i, k := range h.cfg.Source.Client.HotKeys(h.cfg.HotKeys) {
			d.Hot = append(d.Hot, Hot{h.show(i, k.Key), k.Share, k.PerSecond, k.Level.String()})
		}
	}
	for name, fields := range r.Loaders {
		d.Loaders[name] = map[string]uint64{}
		for _, f := range fields {
			d.Loaders[name][f.Name] = f.Value
		}
	}
	return d
}

// show is key, the i-th hottest, as Config.Keys says.
func (h *Handler) show(i int, key string) string {
	switch h.cfg.Keys {
	case KeysShown:
		return key
	case KeysHashed:
		mac := hmac.New(sha256.New, h.secret)
		mac.Write([]byte(key))
		return hex.EncodeToString(mac.Sum(nil)[:6])
	}
	return fmt.Sprintf("no. %d", i+1)
}

func newSecret() []byte {
	b := make([]byte, 32)
	rand.Read(b) // never fails: see crypto/rand
	return b
}

func (h *Handler) writeData(w io.Writer) {
	json.NewEncoder(w).Encode(h.Data()) // the browser has gone if it fails
}
