package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os/exec"
	"strconv"
	"strings"

	"github.com/memherd/memherd/bench/internal/compare"
	"github.com/memherd/memherd/bench/internal/report"
	"github.com/memherd/memherd/bench/internal/versus"
)

// part is what a part of the client costs.
type part struct {
	Name string `json:"name"`
	// Percent is how much longer a get takes than without any of them, as the median
	// over the rounds.
	Percent float64 `json:"percent"`
	// Limit is the most it may be, 0 if nothing is promised of it alone.
	Limit   float64        `json:"limit,omitempty"`
	Verdict versus.Verdict `json:"verdict,omitempty"`
}

const (
	allParts   = "all"
	bareAgain  = "bare again"
	partsLimit = 10 // percent, all together
)

// runParts runs the client's own benchmark of its parts, which can switch them off
// where nobody outside of the client can.
func runParts(ctx context.Context, rounds int) ([]part, error) {
	dir, err := compare.Root(ctx)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "^BenchmarkParts$/^goroutines=64$",
		"-benchtime", fmt.Sprintf("%dx", rounds), "./client")
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("the benchmark of the parts: %w: %s%s", err, bytes.TrimSpace(out), bytes.TrimSpace(stderr.Bytes()))
	}
	return parseParts(string(out))
}

// parseParts finds the figures "3.21 opaque_%" on the benchmark's line, in their order
// there, the noise last.
func parseParts(out string) ([]part, error) {
	var parts []part
	noise := part{}
	for line := range strings.Lines(out) {
		if !strings.HasPrefix(line, "BenchmarkParts/") {
			continue
		}
		f := strings.Fields(line)
		for i := 1; i < len(f); i++ {
			unit, ok := strings.CutSuffix(f[i], "_%")
			if !ok {
				continue
			}
			v, err := strconv.ParseFloat(f[i-1], 64)
			if err != nil {
				return nil, fmt.Errorf("the benchmark of the parts: %w", err)
			}
			p := part{Name: strings.ReplaceAll(unit, "_", " "), Percent: v}
			if p.Name == bareAgain {
				noise = p
				continue
			}
			parts = append(parts, p)
		}
	}
	for i := range parts {
		if parts[i].Name == allParts {
			parts[i].Limit, parts[i].Verdict = partsLimit, versus.Reached
			if noise.Name == "" {
				break
			}
			switch {
			case math.Abs(noise.Percent) > partsLimit/2:
				parts[i].Verdict = versus.Noisy
			case parts[i].Percent > partsLimit:
				parts[i].Verdict = versus.Below
			}
			return append(parts, noise), nil
		}
	}
	return nil, errors.New("the benchmark of the parts gave no figures")
}

func printParts(w io.Writer, parts []part) {
	rows := [][]string{{"part", "longer", "at most", ""}}
	for _, p := range parts {
		limit, verdict := "", string(p.Verdict)
		if p.Limit > 0 {
			limit = fmt.Sprintf("%.0f %%", p.Limit)
		}
		if p.Verdict == versus.Below {
			verdict = "over"
		}
		rows = append(rows, []string{p.Name, fmt.Sprintf("%+.1f %%", p.Percent), limit, verdict})
	}
	fmt.Fprint(w, "what parts of the client cost: how much longer a get of 100 B takes at 64 goroutines\nwith each of them and with all than with none\n\n")
	report.Align(w, rows)
	fmt.Fprintf(w, "\n%q is the noise\n\n", bareAgain)
}
