package ring

import (
	"cmp"
	"crypto/md5"
	"encoding/binary"
	"encoding/csv"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// ketamaFleets are the fleets of testdata/ring/ketama.csv, whose rows another
// implementation computed, one that reproduces libmemcached's published vectors.
var ketamaFleets = map[string]Config{
	"libmemcached-weighted":   {Nodes: publishedFleet(), Placement: Ketama},
	"libmemcached-other-port": {Nodes: numbered(5, 1, "10.0.1.%d:11212"), Placement: Ketama},
	"host:port-always":        {Nodes: numbered(5, 1, "10.0.1.%d:11211"), Placement: KetamaHostPort},
	"equal-25-nodes":          {Nodes: numbered(25, 0, "cache%d.example.com:11211"), Placement: Ketama},
	"equal-100-nodes":         {Nodes: numbered(100, 0, "cache%d.example.com:11211"), Placement: Ketama},
}

// publishedFleet is the fleet of libmemcached's own test.
func publishedFleet() []Node {
	nodes := numbered(8, 1, "10.0.1.%d:11211")
	for i, w := range []int{600, 300, 200, 350, 1000, 800, 950, 100} {
		nodes[i].Weight = w
	}
	return nodes
}

func numbered(n, first int, format string) []Node {
	nodes := make([]Node, n)
	for i := range nodes {
		nodes[i].Addr = fmt.Sprintf(format, first+i)
	}
	return nodes
}

func TestKetamaGolden(t *testing.T) {
	f, err := os.Open("../testdata/ring/ketama.csv")
	require.NoError(t, err)
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	require.NoError(t, err)
	require.Len(t, rows, 196)
	rings := make(map[string]*Ring)
	for _, row := range rows[1:] {
		fleet, key, want := row[0], row[1], row[2]
		if rings[fleet] == nil {
			cfg, ok := ketamaFleets[fleet]
			require.True(t, ok, fleet)
			rings[fleet] = mustNew(t, cfg)
		}
		require.Equal(t, want, rings[fleet].Owner(key).Addr, "%s, %s", fleet, key)
	}
	require.Len(t, rings, len(ketamaFleets))
}

func countPoints(t testing.TB, cfg Config) []int {
	p, err := cfg.plan()
	require.NoError(t, err)
	return p.points
}

// TestKetamaPoints: the sizes at which single precision takes four points from every node.
func TestKetamaPoints(t *testing.T) {
	sum := 0
	for _, n := range countPoints(t, Config{Nodes: publishedFleet(), Placement: Ketama}) {
		sum += n
	}
	require.Equal(t, 1264, sum)
	require.Len(t, mustNew(t, Config{Nodes: publishedFleet(), Placement: Ketama}).places, 1264+1)

	for pl, fewer := range map[Placement][]int{
		Ketama:         {25, 47, 50, 55, 61, 71, 94, 100, 107, 109, 110, 115, 122},
		KetamaHostPort: {61, 122}, // libketama rounds less often
	} {
		for n := 1; n <= 125; n++ {
			want := 160
			if slices.Contains(fewer, n) {
				want = 156
			}
			require.Equal(t, want, ketamaCount(pl, 1, int64(n), n), "%v, %d nodes", pl, n)
			require.Equal(t, want, ketamaCount(pl, 7, int64(7*n), n), "%v, %d nodes", pl, n)
			cfg := Config{Nodes: numbered(n, 0, "c%d"), Placement: pl}
			require.Equal(t, slices.Repeat([]int{want}, n), countPoints(t, cfg))
			cfg.VirtualNodes = 160
			require.Equal(t, slices.Repeat([]int{160}, n), countPoints(t, cfg), "a fixed number")
		}
	}
	weighted := Config{Nodes: publishedFleet()[:3], Placement: KetamaHostPort, VirtualNodes: 4}
	require.Equal(t, []int{2400, 1200, 800}, countPoints(t, weighted))
}

func TestKetamaLabels(t *testing.T) {
	for _, tc := range []struct {
		node             Node
		ketama, hostPort string
	}{
		{Node{Addr: "Cache1"}, "cache1", "cache1:11211"},
		{Node{Addr: "cache1:11212"}, "cache1:11212", "cache1:11212"},
		{Node{Addr: "10.0.0.1:11211"}, "10.0.0.1", "10.0.0.1:11211"},
		{Node{Addr: "[::1]:11211"}, "::1", "::1:11211"},
		{Node{Addr: "[fd00::1]:11212"}, "fd00::1:11212", "fd00::1:11212"},
		{Node{Addr: "/run/memcached.sock"}, "/run/memcached.sock", "/run/memcached.sock"},
		// Names of twemproxy's servers, and what spymemcached and EVCache make of them.
		{Node{Name: "beta", Addr: "10.0.0.1:11212"}, "beta", "beta:11211"},
		{Node{Name: "Beta one", Addr: "10.0.0.1:11212"}, "Beta one", "Beta one"},
		{Node{Name: "cache1/10.0.0.1:11211", Addr: "cache1"}, "cache1/10.0.0.1:11211", "cache1/10.0.0.1:11211"},
		{Node{Name: "beta:11211", Addr: "10.0.0.1:11212"}, "beta", "beta:11211"},
	} {
		n, err := tc.node.Canonical()
		require.NoError(t, err)
		require.Equal(t, tc.ketama, ketamaLabel(n.Name, Ketama), "%+v", tc.node)
		require.Equal(t, tc.hostPort, ketamaLabel(n.Name, KetamaHostPort), "%+v", tc.node)
	}
}

// TestKetamaNames: the name alone decides, as in twemproxy, and not the address.
func TestKetamaNames(t *testing.T) {
	named := []Node{{Name: "alpha", Addr: "10.0.0.1:1"}, {Name: "beta", Addr: "10.0.0.2:2"}, {Name: "gamma", Addr: "10.0.0.3:3"}}
	moved := []Node{{Name: "gamma", Addr: "10.9.0.3:3"}, {Name: "alpha", Addr: "10.9.0.1:1"}, {Name: "beta", Addr: "10.9.0.2:2"}}
	a, b := mustNew(t, Config{Nodes: named, Placement: Ketama}), mustNew(t, Config{Nodes: moved, Placement: Ketama})
	require.Equal(t, a.Fingerprint(), b.Fingerprint())
	require.Equal(t, a.circle, b.circle)
	require.NotEqual(t, a.circle, mustNew(t, Config{Nodes: Addrs("10.0.0.1:1", "10.0.0.2:2", "10.0.0.3:3"), Placement: Ketama}).circle)
}

// ketamaPoint is a point of the model's ring.
type ketamaPoint struct {
	at   uint32
	node Node
}

// modelKetama makes all points by the book.
func modelKetama(p *plan) []ketamaPoint {
	var pts []ketamaPoint
	for i := range p.active {
		n := *p.node(i)
		for v := range p.points[i] {
			sum := md5.Sum(fmt.Appendf(nil, "%s-%d", ketamaLabel(n.Name, p.placement), v/4))
			pts = append(pts, ketamaPoint{binary.LittleEndian.Uint32(sum[v%4*4:]), n})
		}
	}
	slices.SortStableFunc(pts, func(a, b ketamaPoint) int { // nodes come in order of name
		return cmp.Compare(a.at, b.at)
	})
	return pts
}

// order follows the points once around from a place.
func order(pts []ketamaPoint, place uint32) []Node {
	at := max(0, slices.IndexFunc(pts, func(p ketamaPoint) bool { return p.at >= place }))
	var nodes []Node
	for _, p := range slices.Concat(pts[at:], pts[:at]) {
		if !slices.Contains(nodes, p.node) {
			nodes = append(nodes, p.node)
		}
	}
	return nodes
}

// TestKetamaModel compares whole lists, zones included, with the model: at random places, at
// points, one beyond them, and at both ends of the circle.
func TestKetamaModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := drawConfig(t, traits{true, true, true})
		cfg.Placement = rapid.SampledFrom([]Placement{Ketama, KetamaHostPort}).Draw(t, "ketama")
		cfg.VirtualNodes = rapid.SampledFrom([]int{0, 4, 12}).Draw(t, "points")
		r, err := New(cfg)
		if err != nil {
			require.ErrorContains(t, err, "weights leave only")
			return
		}
		p, err := cfg.plan()
		require.NoError(t, err)
		points := modelKetama(p)
		places := []uint32{0, ^uint32(0), rapid.Uint32().Draw(t, "place")}
		for range 3 {
			at := rapid.SampledFrom(r.places).Draw(t, "point")
			places = append(places, at-1, at, at+1)
		}
		for _, place := range places {
			var got []string
			for _, n := range r.LookupHash(uint64(place)<<32 | 12345) {
				got = append(got, r.Node(n).Name)
			}
			require.Equal(t, modelZones(order(points, place), p.copies), got, "place %d", place)
		}
	})
}

// TestKetamaFailover: a dead node keeps its points, and its keys go to those next to them
// on the circle: where they would be if it left, or were drained, and all others kept their
// points. No other key moves, and the order in which nodes are listed doesn't matter.
func TestKetamaFailover(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := drawConfig(t, traits{weights: true})
		cfg.Placement = rapid.SampledFrom([]Placement{Ketama, KetamaHostPort}).Draw(t, "ketama")
		cfg.VirtualNodes = rapid.SampledFrom([]int{4, 8}).Draw(t, "points")
		cfg.Copies = min(cfg.Copies, len(cfg.Nodes)-1)
		before, err := New(cfg)
		require.NoError(t, err)

		shuffled := cfg
		shuffled.Nodes = rapid.Permutation(cfg.Nodes).Draw(t, "order")
		same, err := New(shuffled)
		require.NoError(t, err)
		require.Equal(t, before, same)

		i := rapid.IntRange(0, len(cfg.Nodes)-1).Draw(t, "dies")
		dead := name(t, cfg, i)
		after, err := New(without(cfg, i))
		require.NoError(t, err)
		for i := range 300 {
			key := fmt.Sprint("user:", i)
			list := minus(names(before, key), dead)
			require.Equal(t, list, names(after, key)[:len(list)])
		}
		drained, err := New(with(cfg, i, func(n *Node) { n.Drain = true }))
		require.NoError(t, err)
		require.Equal(t, after.Fingerprint(), drained.Fingerprint())
	})
}

func names(r *Ring, key string) []string {
	var list []string
	for _, n := range r.Lookup(key) {
		list = append(list, r.Node(n).Name)
	}
	return list
}

func TestKetamaHash(t *testing.T) {
	r := mustNew(t, Config{Nodes: Addrs("a", "b", "c"), Placement: Ketama, Copies: 2})
	for _, key := range []string{"", "user:42", strings.Repeat("k", 55), strings.Repeat("k", 300)} {
		sum := md5.Sum([]byte(key))
		require.Equal(t, binary.LittleEndian.Uint32(sum[:]), uint32(r.Hash(key)>>32))
		require.Equal(t, mustNew(t, Config{Nodes: Addrs("a")}).Hash(key)<<32, r.Hash(key)<<32)
		require.Equal(t, r.LookupHash(r.Hash(key)), r.Lookup(key))
		require.Equal(t, 2, cap(r.Lookup(key)))
		require.Zero(t, testing.AllocsPerRun(10, func() { _ = r.Lookup(key)[1] }))
	}
}

func TestKetamaShares(t *testing.T) {
	r := mustNew(t, Config{Nodes: publishedFleet(), Placement: Ketama})
	sum := 0.0
	for _, s := range r.Shares() {
		sum += s
	}
	require.InDelta(t, 1, sum, 1e-12)
	count := make([]int, r.Len())
	const keys = 100_000
	for i := range keys {
		count[r.Lookup(fmt.Sprint("user:", i))[0]]++
	}
	for i, s := range r.Shares() {
		require.InDelta(t, s, float64(count[i])/keys, 0.01)
	}
	require.Equal(t, []float64{1}, mustNew(t, Config{Nodes: Addrs("only"), Placement: Ketama}).Shares())
}

func TestKetamaRefuses(t *testing.T) {
	light := []Node{{Addr: "a", Weight: 1000}, {Addr: "b", Weight: 1000}, {Addr: "c"}}
	heavy := []Node{{Addr: "a", Weight: 30000}, {Addr: "b"}}
	many := make([]Node, 27_000)
	for i := range many {
		many[i].Addr = fmt.Sprint("n", i)
	}
	for says, tc := range map[string]struct {
		cfg  Config
		want error
	}{
		"only 2 nodes with a point": {Config{Nodes: light, Copies: 3}, ErrTooFewNodes},
		"multiple of 4":             {Config{Nodes: light, VirtualNodes: 162}, ErrBadVirtualNodes},
		"0 (meaning":                {Config{Nodes: light, VirtualNodes: -4}, ErrBadVirtualNodes},
		"smaller weights":           {Config{Nodes: heavy, VirtualNodes: 160}, ErrBadVirtualNodes},
		"at most 4194304":           {Config{Nodes: many}, ErrBadVirtualNodes},
	} {
		tc.cfg.Placement = Ketama
		_, err := New(tc.cfg)
		require.ErrorIs(t, err, tc.want, says)
		require.ErrorContains(t, err, says)
	}
	// A node too light for a point takes no keys, as with libmemcached.
	r := mustNew(t, Config{Nodes: light, Placement: Ketama, Copies: 2})
	require.Zero(t, r.Shares()[2])
}
