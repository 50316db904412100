package ring

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A fleet of any release must place keys as every release before did: two releases
// side by side would otherwise be two caches. The files in testdata/ring hold the
// fleets, the fingerprint of each (it covers all slots), and the lists of some keys in
// words, for readers and for other implementations.
//
// go test ./ring -run TestGolden -update writes them. That is for fleets added at the end
// of goldenFleets; a change of a line that is there already is a mistake.

var update = flag.Bool("update", false, "write the golden placements instead of checking them")

const (
	goldenSeed = 20261122
	goldenDir  = "../testdata/ring"
	goldenKeys = 24 // per fleet
)

// goldenFleet is one entry of fleets.json.
type goldenFleet struct {
	Fleet       string
	Config      Config
	Fingerprint string // of the ring, hexadecimal
}

// goldenFleets generates the fleets; only -update uses it.
func goldenFleets() []goldenFleet {
	rng := rand.New(rand.NewPCG(goldenSeed, 0))
	weights := []int{1, 1, 2, 3, 5, 16}
	fleet := func(n int, format string, change func(i int, n *Node)) []Node {
		nodes := make([]Node, n)
		for i := range nodes {
			nodes[i].Addr = fmt.Sprintf(format, i+1)
			if change != nil {
				change(i, &nodes[i])
			}
		}
		rng.Shuffle(n, func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
		return nodes
	}
	weigh := func(_ int, n *Node) { n.Weight = weights[rng.IntN(len(weights))] }
	zone := func(i int, n *Node) { n.Zone = string(rune('a' + i%3)) }
	both := func(i int, n *Node) { weigh(i, n); zone(i, n); n.Drain = i == 4 }
	label := func(i int, n *Node) { n.Name = fmt.Sprint("shard-", i) }
	return []goldenFleet{
		{Fleet: "one", Config: Config{Nodes: fleet(1, "10.1.0.%d:11211", nil)}},
		{Fleet: "three-2copies", Config: Config{Nodes: fleet(3, "10.0.0.%d:11211", nil), Copies: 2}},
		{Fleet: "five-labels", Config: Config{Nodes: fleet(5, "10.2.0.%d:11300", label), Copies: 2}},
		{Fleet: "ten-3copies", Config: Config{Nodes: fleet(10, "cache%d.example.net", nil), Copies: 3}},
		{Fleet: "ten-8copies", Config: Config{Nodes: fleet(10, "cache%d.example.net", nil), Copies: 8}},
		{Fleet: "ten-weighted", Config: Config{Nodes: fleet(10, "10.3.0.%d:11211", weigh), Copies: 2}},
		{Fleet: "nine-zones", Config: Config{Nodes: fleet(9, "[fd00::%d]:11211", zone), Copies: 2}},
		{Fleet: "nine-zones-5copies", Config: Config{Nodes: fleet(9, "[fd00::%d]:11211", zone), Copies: 5}},
		{Fleet: "twelve-weighted-zones-drain", Config: Config{Nodes: fleet(12, "10.4.0.%d:11212", both), Copies: 4}},
		{Fleet: "sockets", Config: Config{Nodes: fleet(4, "/run/memcached/%d.sock", nil), Copies: 2}},
		{Fleet: "hundred", Config: Config{Nodes: fleet(100, "10.5.0.%d:11211", nil), Copies: 2}},
		{Fleet: "classic-five", Config: Config{Nodes: fleet(5, "10.6.0.%d:11211", nil), Placement: Classic, Copies: 2}},
		{Fleet: "classic-ten-weighted-40points", Config: Config{Nodes: fleet(10, "10.7.0.%d:11211", weigh), Placement: Classic, Copies: 3, VirtualNodes: 40}},
		{Fleet: "classic-twelve-weighted-zones-drain", Config: Config{Nodes: fleet(12, "10.8.0.%d:11211", both), Placement: Classic, Copies: 4}},
		{Fleet: "ketama-ten-weighted", Config: Config{Nodes: fleet(10, "10.9.0.%d:11211", weigh), Placement: Ketama, Copies: 3}},
		{Fleet: "ketama-hostport-twelve-weighted-zones-drain", Config: Config{Nodes: fleet(12, "10.10.0.%d:11211", both), Placement: KetamaHostPort, Copies: 4}},
		{Fleet: "ketama-hundred-160points-tags", Config: Config{Nodes: fleet(100, "cache%d.example.net", nil), Placement: Ketama, Copies: 2, VirtualNodes: 160, KeyTag: "{}"}},
		{Fleet: "ten-tags", Config: Config{Nodes: fleet(10, "10.11.0.%d:11211", nil), Copies: 2, KeyTag: "{}"}},
	}
}

// goldenLists writes the lists of generated keys as CSV: fleet, key, names owner first.
func goldenLists(t *testing.T, fleets []goldenFleet, rings []*Ring) []byte {
	var out bytes.Buffer
	w := csv.NewWriter(&out)
	require.NoError(t, w.Write([]string{"fleet", "key", "nodes"}))
	for f, r := range rings {
		rng := rand.New(rand.NewPCG(goldenSeed, uint64(f)))
		for range goldenKeys {
			key := fmt.Sprintf("user:%d", rng.Uint32())
			if fleets[f].Config.KeyTag != "" {
				key = fmt.Sprintf("{%s}:page:%d", key, rng.IntN(100))
			}
			var names []string
			for _, n := range r.Lookup(key) {
				names = append(names, r.Node(n).Name)
			}
			require.NoError(t, w.Write([]string{fleets[f].Fleet, key, strings.Join(names, " ")}))
		}
	}
	w.Flush()
	return out.Bytes()
}

func TestGolden(t *testing.T) {
	fleetsFile, listsFile := filepath.Join(goldenDir, "fleets.json"), filepath.Join(goldenDir, "placements.csv")
	var fleets []goldenFleet
	if *update {
		fleets = goldenFleets()
	} else {
		text, err := os.ReadFile(fleetsFile)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(text, &fleets))
		require.GreaterOrEqual(t, len(fleets), 18)
	}
	rings := make([]*Ring, len(fleets))
	for i := range fleets {
		f := &fleets[i]
		rings[i] = mustNew(t, f.Config)
		fp := fmt.Sprintf("%016x", rings[i].Fingerprint())
		if *update {
			f.Fingerprint = fp
		}
		require.Equal(t, f.Fingerprint, fp, "the placement of fleet %s has changed", f.Fleet)
	}
	lists := goldenLists(t, fleets, rings)
	if *update {
		t.Logf("writing the placements of seed %d", goldenSeed)
		text, err := json.MarshalIndent(fleets, "", "\t")
		require.NoError(t, err)
		require.NoError(t, os.MkdirAll(goldenDir, 0o755))
		require.NoError(t, os.WriteFile(fleetsFile, append(text, '\n'), 0o644))
		require.NoError(t, os.WriteFile(listsFile, lists, 0o644))
		return
	}
	want, err := os.ReadFile(listsFile)
	require.NoError(t, err)
	require.Equal(t, string(want), string(lists))
}

// TestHashes pins the functions that all placements are made of, so that a change that
// breaks the golden placements can be found.
func TestHashes(t *testing.T) {
	sa, sb := slotSeeds(12345)
	m := member{a: 0x0123456789abcdef, b: mix64(0x0123456789abcdef)}
	logs := newLogTable()
	require.Equal(t, goldenHashes, []uint64{mix64(0), mix64(1), sa, sb, score(&m, sa, sb), logs[1], logs[341], logs[1023],
		logs.cost(score(&m, sa, sb)), slotPlace(12345)})
}

var goldenHashes = []uint64{
	0xe220a8397b1dcdaf, // SplitMix64's published first output for seed 0
	0x910a2dec89025cc1, 0x22118258a9d111a0, 0x03979acbcd5e9a54, 0x14adb5c1d2100000,
	0x0000b89329ba1fa2, 0x00d4519f8bda215a, 0x01ffa3a51c9e50f5, 0x0742870eaf7518d2, 0x0303980000000000,
}
