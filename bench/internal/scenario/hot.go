package scenario

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/memherd/memherd/bench/internal/workload"
	"github.com/memherd/memherd/hotkey"
	"github.com/memherd/memherd/ring"
)

// Hot is what the scenarios of hot keys are played with, beside Setup.
type Hot struct {
	// Universe is the number of keys of the Zipf laws, Requests how many recall reads of it, Top how many of the most
	// read it looks for.
	Universe int `json:"universe"`
	Requests int `json:"requests"`
	Top      int `json:"top"`
	// Steady is how many requests steady reads, Hostile how many adversary adds to as many honest ones.
	Steady  int `json:"steady"`
	Hostile int `json:"hostile"`
	// Herds is how many detectors promote has, Trials how many keys become hot in each, Warm how long each sees other
	// traffic before.
	Herds  int           `json:"herds"`
	Trials int           `json:"trials"`
	Warm   time.Duration `json:"warm_ns"`
	// Rounds of cost have so many accesses each.
	Rounds   int `json:"rounds"`
	Accesses int `json:"accesses"`
	// Readers is how many processes hold what they read against its bound, Reads how many reads they make together
	// where nothing is struck, Keys how many keys are written, one each Every. Fault is how long a fault's scenario
	// lasts, Stopped how long readers are stopped in it.
	Readers int           `json:"readers"`
	Reads   int64         `json:"reads"`
	Keys    int           `json:"keys"`
	Every   time.Duration `json:"every_ns"`
	Fault   time.Duration `json:"fault_ns"`
	Stopped time.Duration `json:"stopped_ns"`
	// Stored is how many keys fleets hold where their load is measured, Slot how long each measurement takes.
	// Simulated is how many reads each simulated client makes at most, half of them before anything is counted, and Crowd how
	// many such clients and nodes there are.
	Stored    int           `json:"stored"`
	Slot      time.Duration `json:"slot_ns"`
	Simulated int           `json:"simulated"`
	Crowd     int           `json:"crowd"`
	// Clients is how many of the clients are simulated, 0 for all of them: each does the same without knowing of the others.
	Clients int `json:"clients,omitempty"`
	// Recorded is how many reads of each trace are played, 0 for all of them.
	Recorded int `json:"recorded"`
	// Traces is a folder with recorded key numbers, empty for none.
	Traces string `json:"traces"`
}

var (
	fullHot = Hot{Universe: 1_000_000, Requests: 1_000_000, Top: 461, Steady: 2_500_000, Hostile: 1_000_000,
		Herds: 8, Trials: 25, Warm: 2 * time.Second, Rounds: 15, Accesses: 2_000_000,
		Readers: 8, Reads: 10_000_000, Keys: 16, Every: time.Millisecond, Fault: 8 * time.Second, Stopped: 2 * time.Second,
		Stored: 200_000, Slot: 2 * time.Second, Simulated: 1_000_000, Crowd: 100}
	quickHot = Hot{Universe: 20_000, Requests: 50_000, Top: 46, Steady: 100_000, Hostile: 50_000,
		Herds: 1, Trials: 2, Warm: 300 * time.Millisecond, Rounds: 3, Accesses: 50_000,
		Readers: 2, Reads: 20_000, Keys: 4, Every: 2 * time.Millisecond, Fault: 400 * time.Millisecond, Stopped: 200 * time.Millisecond,
		Stored: 2000, Slot: 100 * time.Millisecond, Simulated: 2000, Crowd: 5, Recorded: 20_000}
)

// HotKeys are the scenarios of hot keys, in the order in which they are played.
func HotKeys() []Scenario {
	return slices.Concat(detecting(), []Scenario{inMemory()}, stalenesses(), bearing(), []Scenario{simulated(), onTraces()})
}

// stream is reads by a Zipf law whose keys have names and hashes: what a detector is shown.
type stream struct {
	names  []string
	hashes []uint64
	law    *workload.Zipf
}

func newStream(n int, s float64) (*stream, error) {
	law, err := workload.NewZipf(n, s)
	if err != nil {
		return nil, err
	}
	out := &stream{names: keys(n), law: law}
	out.hashes, err = hashesOf(out.names)
	return out, err
}

// hashesOf are the ring's hashes, which are the same in every fleet.
func hashesOf(names []string) ([]uint64, error) {
	r, err := ring.New(ring.Config{Nodes: ring.Addrs("127.0.0.1:1")})
	if err != nil {
		return nil, err
	}
	out := make([]uint64, len(names))
	for i, k := range names {
		out[i] = r.Hash(k)
	}
	return out, nil
}

// show has a detector see one read of the law and returns the key's number and level.
func (s *stream) show(d *hotkey.Detector, rng *rand.Rand) (int, hotkey.Level) {
	i := s.law.Next(rng)
	return i, d.Observe(s.hashes[i], s.names[i], valueSize)
}

// detector makes one as a client of so many nodes has it, with a seed of the run's.
func (r *run) detector(cfg hotkey.Config, nodes int, n uint64) (*hotkey.Detector, error) {
	cfg.Seed = r.seed<<20 + n + 1
	return hotkey.NewDetector(&cfg, nodes)
}
