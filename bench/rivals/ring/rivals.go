package main

import (
	"github.com/cespare/xxhash/v2"
	"github.com/dgryski/go-jump"
	"github.com/golang/groupcache/consistenthash"
	"github.com/serialx/hashring"
	"stathat.com/c/consistent"

	"github.com/memherd/memherd/ring"
)

// placed is a fleet laid out by somebody's placement.
type placed interface {
	// owner is the name of the key's node.
	owner(key string) string
	// list looks up the first of the key's nodes, three where the placement knows of more
	// than one, and returns how many it got.
	list(key string) int
}

// seconder is a placed that names the key's second node.
type seconder interface{ second(key string) string }

// rival is somebody's placement with its own defaults.
type rival struct {
	name  string
	gives string
	build func(nodes []string) placed
}

// rivals are the others; ours come as ring.Placement.
var rivals = []rival{
	{"groupcache", "owner", buildGroupcache},
	{"stathat", "list of 3", buildStathat},
	{"serialx", "list of 3", buildSerialx},
	{"serialx, 160 points", "list of 3", buildSerialx160},
	{"jump", "owner", buildJump},
}

var placements = []ring.Placement{ring.Rendezvous, ring.Classic, ring.Ketama}

// buildOurs makes a ring or panics: the names are this program's own.
func buildOurs(p ring.Placement, copies int, nodes []string) *ring.Ring {
	r, err := ring.New(ring.Config{Nodes: ring.Addrs(nodes...), Placement: p, Copies: copies})
	if err != nil {
		panic(err)
	}
	return r
}

type groupcacheRing struct{ *consistenthash.Map }

// buildGroupcache uses the 50 points that groupcache's own pool uses.
func buildGroupcache(nodes []string) placed {
	m := consistenthash.New(50, nil)
	m.Add(nodes...)
	return groupcacheRing{m}
}

func (g groupcacheRing) owner(key string) string { return g.Get(key) }
func (g groupcacheRing) list(key string) int     { return min(len(g.Get(key)), 1) }

type stathatRing struct{ *consistent.Consistent }

func buildStathat(nodes []string) placed {
	c := consistent.New()
	c.Set(nodes)
	return stathatRing{c}
}

func (s stathatRing) owner(key string) string  { n, _ := s.Get(key); return n }
func (s stathatRing) second(key string) string { _, n, _ := s.GetTwo(key); return n }
func (s stathatRing) list(key string) int      { l, _ := s.GetN(key, 3); return len(l) }

type serialxRing struct{ *hashring.HashRing }

// buildSerialx has one point a node, which is what nodes without weights get.
func buildSerialx(nodes []string) placed { return serialxRing{hashring.New(nodes)} }

func buildSerialx160(nodes []string) placed {
	weights := make(map[string]int, len(nodes))
	for _, n := range nodes {
		weights[n] = 160
	}
	return serialxRing{hashring.NewWithWeights(weights)}
}

func (s serialxRing) owner(key string) string { n, _ := s.GetNode(key); return n }
func (s serialxRing) list(key string) int     { l, _ := s.GetNodes(key, 3); return len(l) }
func (s serialxRing) second(key string) string {
	if l, ok := s.GetNodes(key, 2); ok {
		return l[1]
	}
	return ""
}

// jumpRing has buckets, not nodes: they join and leave at the end only.
type jumpRing []string

func buildJump(nodes []string) placed { return jumpRing(nodes) }

func (j jumpRing) owner(key string) string {
	return j[jump.Hash(xxhash.Sum64String(key), len(j))]
}

func (j jumpRing) list(key string) int { return min(len(j.owner(key)), 1) }
