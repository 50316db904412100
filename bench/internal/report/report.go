// Package report turns what a run measured into a text table for people and JSON
// for programs.
package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/memherd/memherd/bench/internal/measure"
)

// HotKey is one key the detector found.
type HotKey struct {
	Key   string  `json:"key"`
	Share float64 `json:"share"` // of all requests, as the detector estimates it
}

// Result is one run, or one phase of one. The JSON names are a promise to scripts.
type Result struct {
	Name      string  `json:"name"`
	Seed      uint64  `json:"seed"`
	Ops       int64   `json:"ops"`
	Reads     int64   `json:"reads"`
	Writes    int64   `json:"writes"`
	Errors    int64   `json:"errors"` // seen by callers
	Wrong     int64   `json:"wrong"`  // values of another key, damaged, or older than promised
	Stale     int64   `json:"stale"`  // older than this process's own last write, within the promised bound
	Hits      int64   `json:"hits"`   // reads answered by near-cache or node
	Misses    int64   `json:"misses"`
	NearHits  int64   `json:"near_hits"`
	NodeHits  int64   `json:"node_hits"`
	HitRatio  float64 `json:"hit_ratio"`
	Loads     int64   `json:"origin_loads"`
	Stores    int64   `json:"origin_stores"`
	Failovers int64   `json:"failovers"` // reads that went on to the next copy
	DurationS float64 `json:"duration_s"`
	OpsPerS   float64 `json:"ops_per_s"`

	Latency      measure.Latency  `json:"latency_us"`
	ReadLatency  measure.Latency  `json:"read_latency_us"`
	WriteLatency measure.Latency  `json:"write_latency_us"`
	Lag          *measure.Latency `json:"generator_lag_us,omitempty"` // open loop only

	NodeOps         map[string]int64 `json:"node_ops"`
	NodeMaxOverMean float64          `json:"node_max_over_mean"`
	HotKeys         []HotKey         `json:"hot_keys"`

	// Slices is the throughput curve: operations that ended in each 100 ms.
	Slices []uint32 `json:"ops_per_100ms,omitempty"`

	// Over is the latency over time.
	Over []Point `json:"latency_over_time,omitempty"`
	// Staleness counts the stale reads by how long their value had been out of date.
	Staleness []StaleBucket `json:"staleness,omitempty"`
	// EventS is when, in seconds after it began, what a phase is about happened; 0 if nothing did.
	EventS float64 `json:"event_s,omitempty"`
	// Event says in a few words what that was.
	Event string `json:"event,omitempty"`

	// FirstErrors are the first few different errors callers saw.
	FirstErrors []string `json:"first_errors,omitempty"`
	// Notes are remarks of the run about itself.
	Notes []string `json:"notes,omitempty"`
	// Phases are the parts of a run that has parts.
	Phases []Result `json:"phases,omitempty"`
	// Storm is what became of the hot-key storm.
	Storm *Storm `json:"storm,omitempty"`
	// Recovery is what killing a node did to the throughput.
	Recovery *Recovery `json:"recovery,omitempty"`
}

// Point is the latency of the operations that ended in one part of a run.
type Point struct {
	FromS   float64         `json:"from_s"` // since the start
	ForS    float64         `json:"for_s"`
	Latency measure.Latency `json:"latency_us"`
}

// Storm tells how a key that was cold and is asked for in a large share of all requests from one moment on was dealt with.
type Storm struct {
	Key   string  `json:"key"`
	Share float64 `json:"share"`
	// DetectedMS is when the key was first taken for hot, PromotedMS when for one of the hottest, to be held in memory;
	// both since the storm broke, and negative if it never was.
	DetectedMS float64 `json:"detected_ms"`
	PromotedMS float64 `json:"promoted_ms"`
	// Before and After are requests a second to each node, just before the storm broke and from then on.
	Before map[string]float64 `json:"node_ops_per_s_before"`
	After  map[string]float64 `json:"node_ops_per_s_after"`
}

// Recovery tells how long the throughput was below 90 % of the steady one.
type Recovery struct {
	SteadyOpsPerS float64 `json:"steady_ops_per_s"`
	LowestShare   float64 `json:"lowest_share"`
	MS            float64 `json:"ms"`
	Recovered     bool    `json:"recovered"`
}

// Derive fills in the fields that follow from others.
func (r *Result) Derive() {
	r.Hits = r.NearHits + r.NodeHits
	if n := r.Hits + r.Misses; n > 0 {
		r.HitRatio = float64(r.Hits) / float64(n)
	}
	if r.DurationS > 0 {
		r.OpsPerS = float64(r.Ops) / r.DurationS
	}
	r.NodeMaxOverMean = MaxOverMean(r.NodeOps)
	if r.HotKeys == nil {
		r.HotKeys = []HotKey{}
	}
	if r.NodeOps == nil {
		r.NodeOps = map[string]int64{}
	}
}

// MaxOverMean is the load of the busiest node over the mean; 0 without any load.
func MaxOverMean(ops map[string]int64) float64 {
	var sum, top int64
	for _, n := range ops {
		sum += n
		top = max(top, n)
	}
	if sum == 0 {
		return 0
	}
	return float64(top) * float64(len(ops)) / float64(sum)
}

// Ok says whether the run may exit with status 0.
func (r *Result) Ok() bool { return r.Errors == 0 && r.Wrong == 0 }

// WriteJSON writes v to path, "-" being stdout, as WriteWhole does.
func WriteJSON(path string, stdout io.Writer, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	b = append(b, '\n')
	if path == "-" {
		_, err := stdout.Write(b)
		return err
	}
	return WriteWhole(path, b)
}

// place is where what is written to path is to stand, behind links, and whether it can be put there by renaming. What is
// there and no file, a pipe or /dev/null, would be lost by that.
func place(path string) (at string, file bool) {
	st, err := os.Stat(path)
	if err == nil && !st.Mode().IsRegular() {
		return path, false
	}
	if at, err := filepath.EvalSymlinks(path); err == nil {
		return at, true
	}
	return path, true // there is nothing yet
}

// WriteWhole writes b to path, whole or not at all: it is written beside its place and renamed. Into a pipe or device it is
// written as it is.
func WriteWhole(path string, b []byte) error {
	path, file := place(path)
	if !file {
		return writeInto(path, b)
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return fmt.Errorf("cannot write the results: %w", err)
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("cannot write the results: %w", errors.Join(err, os.Remove(f.Name())))
	}
	return nil
}

// writeInto writes b to what is there already.
func writeInto(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err == nil {
		_, err = f.Write(b)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		return fmt.Errorf("cannot write the results: %w", err)
	}
	return nil
}

// CheckJSONPath finds out before a run whether its results can be written after it.
func CheckJSONPath(path string) error {
	if path == "-" {
		return nil
	}
	return CheckPath("-json", path)
}

// CheckPaths is CheckJSONPath and, for the files of other flags, CheckPath, and finds out whether one would be written over
// another.
func CheckPaths(json string, others map[string]string) error {
	flags := map[string]string{} // by where what they name is
	if json != "" && json != "-" {
		at, _ := place(json)
		flags[filepath.Clean(at)] = "-json"
	}
	for _, flag := range slices.Sorted(maps.Keys(others)) {
		path := others[flag]
		if err := CheckPath(flag, path); err != nil {
			return err
		}
		if path == "" {
			continue
		}
		at, file := place(path)
		if other, twice := flags[filepath.Clean(at)]; twice && file {
			return fmt.Errorf("%s and %s both are %s: give each a file of its own", other, flag, path)
		}
		flags[filepath.Clean(at)] = flag
	}
	return CheckJSONPath(json)
}

// CheckPath is CheckJSONPath for the file of another flag, which can't be stdout.
func CheckPath(flag, path string) error {
	switch path {
	case "":
		return nil
	case "-":
		return fmt.Errorf("%s -: give the path of a file; stdout is for -json alone", flag)
	}
	if st, err := os.Stat(path); err == nil && st.IsDir() {
		return fmt.Errorf("%s %s is a folder: give the path of a file", flag, path)
	}
	at, file := place(path)
	if !file {
		return nil // a try would be something written into it, or wait for who reads it
	}
	f, err := os.CreateTemp(filepath.Dir(at), "."+filepath.Base(at)+"-*")
	if err != nil {
		// Without the path again, which is that of the trial file.
		var p *fs.PathError
		if errors.As(err, &p) {
			err = p.Err
		}
		return fmt.Errorf("%s %s cannot be written: %w", flag, path, err)
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}
