package main

import (
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"

	"github.com/memherd/memherd/bench/internal/cputime"
	"github.com/memherd/memherd/bench/internal/nodebench"
	"github.com/memherd/memherd/bench/internal/progress"
	"github.com/memherd/memherd/bench/internal/report"
	"github.com/memherd/memherd/bench/internal/versus"
	"github.com/memherd/memherd/nodeserver/stock"
)

type nodeCmd struct {
	Memnode string        `default:"bin/memnode" help:"The memnode to measure (default bin/memnode, which make build makes)." placeholder:"FILE"`
	Also    []string      `sep:"none" help:"Another server to measure beside them, with its options: \"bin/memnode -o loops=0\". May be given several times." placeholder:"COMMAND"`
	Row     string        `help:"Measure only the rows with this in their name." placeholder:"TEXT"`
	Rounds  int           `default:"7" help:"Rounds; the median counts."`
	Slot    time.Duration `default:"700ms" help:"Length of each server's turn in a round."`
	Items   int           `default:"2000000" help:"Items whose memory is measured; 0 leaves that out."`
	Seed    uint64        `default:"1" help:"Seed of the requests."`
	JSON    string        `name:"json" help:"Also write the results as JSON to this file (- is stdout; the tables then go to stderr)." placeholder:"OUT"`
}

// nodeRow is one line of the table, as -json writes it.
type nodeRow struct {
	Row    string         `json:"row"`
	Scores []versus.Score `json:"scores"` // memcached, memnode, memcached again, those of -also
	// CPU is memnode's CPU time an operation to memcached's.
	CPU     float64        `json:"server_cpu_ratio"`
	Verdict versus.Verdict `json:"verdict"`
}

// nodeResult is all of it, as -json writes it.
type nodeResult struct {
	Rows    []nodeRow     `json:"rows"`
	Latency []nodeLatency `json:"latency_at_half_load"` // in the servers' order
}

func (c *nodeCmd) Run(e *env) (err error) {
	if c.Rounds < 1 || c.Slot < time.Millisecond || c.Items < 0 {
		return usagef("-rounds must be positive, -slot at least 1ms, -items not negative")
	}
	if err := report.CheckJSONPath(c.JSON); err != nil {
		return usageError{err}
	}
	if _, err := stock.Find(); err != nil {
		return usageError{err}
	}
	if err := checkMemnode(c.Memnode); err != nil {
		return err
	}
	servers, stop, err := c.servers(1024)
	if err != nil {
		return err
	}
	defer closing(&err, stop)
	for _, s := range servers {
		if err := s.Fill(); err != nil {
			return err
		}
	}
	out := e.people(c.JSON)
	result := nodeResult{Rows: []nodeRow{}}
	err = c.measure(e, out, servers, &result)
	if err != nil && e.ctx.Err() != nil {
		// Ctrl-C on a terminal ends the servers, too: what their connections say of it is no news.
		fmt.Fprintln(out, "stopped before its end: these are the figures until then")
		err = errFailed
	}
	if c.JSON != "" && (err == nil || errors.Is(err, errFailed)) {
		err = errors.Join(report.WriteJSON(c.JSON, e.stdout, result), err)
	}
	return err
}

// measure measures one thing after the other, prints each, and puts it into result.
func (c *nodeCmd) measure(e *env, out io.Writer, servers []nodebench.Server, result *nodeResult) (err error) {
	rows, err := c.table(e, servers)
	if len(rows) > 0 {
		result.Rows = rows
		printNodeRows(out, rows)
	}
	if err != nil {
		return err
	}
	if result.Latency, err = c.latency(e, servers, rows); err != nil {
		return err
	}
	printNodeLatency(out, result.Latency)
	if c.Items > 0 {
		return c.memory(out)
	}
	return nil
}

// checkMemnode says how to come by the program of a flag -memnode that is not there.
func checkMemnode(path string) error {
	if _, err := exec.LookPath(path); err != nil {
		return usagef("-memnode %s: there is no such program: make build makes bin/memnode", path)
	}
	return nil
}

// servers starts memcached, memnode and memcached once more.
func (c *nodeCmd) servers(megabytes int) (list []nodebench.Server, stop func() error, err error) {
	var running []*stock.Server
	stop = func() (err error) {
		for _, s := range running {
			err = errors.Join(err, s.Kill()) // an orderly end takes a second each
		}
		return err
	}
	start := func(flag, name, path string, args ...string) error {
		s, err := stock.Start(stock.Config{Path: path, MemoryMB: megabytes, Args: args})
		if err != nil {
			return fmt.Errorf("%s: %w", flag, err)
		}
		running = append(running, s)
		list = append(list, nodebench.Server{Name: name, Addr: s.Addr(), CPU: cputime.Reader(s.Pid())})
		return nil
	}
	err = errors.Join(start("-memnode", "memcached", ""), start("-memnode", "memnode", c.Memnode), start("-memnode", "memcached again", ""))
	for _, command := range c.Also {
		words := strings.Fields(command)
		if len(words) == 0 {
			err = errors.Join(err, usagef("-also: an empty command"))
			break
		}
		err = errors.Join(err, start("-also", command, words[0], words[1:]...))
	}
	if err != nil {
		return nil, nil, errors.Join(err, stop())
	}
	return list, stop, nil
}

func (c *nodeCmd) table(e *env, servers []nodebench.Server) (out []nodeRow, err error) {
	var rows []nodebench.Row
	for _, row := range nodebench.Rows() {
		if strings.Contains(row.Name, c.Row) {
			rows = append(rows, row)
		}
	}
	if len(rows) == 0 {
		return nil, usagef("-row %q: no row is called so", c.Row)
	}
	bar := progress.New(e.stderr, int64(len(rows)*len(servers)*c.Rounds))
	defer bar.Close()
	done := int64(0)
	for _, row := range rows {
		bar.Step(row.Name)
		var all []versus.Contender
		for _, s := range servers {
			all = append(all, versus.Contender{Name: s.Name, Turn: s.Turn(row)})
		}
		scores, err := versus.Run(e.ctx, versus.Config{Base: all[0], Others: all[1:], Rounds: c.Rounds,
			Slot:  versus.Slot{Goroutines: row.Conns, Length: c.Slot, Picks: 1, Seed: c.Seed},
			Watch: func(name string, _ int) { bar.Set(done, name); done++ }})
		if err != nil {
			return out, err
		}
		r := nodeRow{Row: row.Name, Scores: scores,
			Verdict: versus.Bound{Floor: row.Floor, Aim: row.Aim}.Judge(scores[1].Ratio, scores[2].Ratio)}
		if scores[0].ServerCPU > 0 {
			r.CPU = scores[1].ServerCPU / scores[0].ServerCPU
		}
		out = append(out, r)
	}
	return out, nil
}

func printNodeRows(out io.Writer, rows []nodeRow) {
	fmt.Fprintf(out, "%-36s %12s %12s %22s %18s %15s %15s  %s\n", "", "memcached/s", "memnode/s", "ratio (least–most)", "A/A", "CPU µs/op", "p99 µs", "verdict")
	for _, r := range rows {
		a, aa := r.Scores[0], r.Scores[2]
		line := func(name string, b versus.Score, verdict string) {
			fmt.Fprintf(out, "%-36s %12.0f %12.0f %8.2f (%.2f–%.2f) %18s %15s %15s  %s\n", name, a.OpsPerS, b.OpsPerS, b.Ratio.Mid, b.Ratio.Min, b.Ratio.Max,
				fmt.Sprintf("%.2f–%.2f", aa.Ratio.Min, aa.Ratio.Max), fmt.Sprintf("%.2f : %.2f", a.ServerCPU, b.ServerCPU), fmt.Sprintf("%.0f : %.0f", a.P99, b.P99), verdict)
		}
		line(r.Row, r.Scores[1], fmt.Sprint(r.Verdict))
		for _, b := range r.Scores[3:] {
			line("  "+b.Name, b, "")
		}
	}
}

// memory measures what an item costs on a fresh memcached and a fresh memnode.
func (c *nodeCmd) memory(out io.Writer) (err error) {
	for _, one := range []struct{ name, path string }{{"memcached", ""}, {"memnode", c.Memnode}} {
		s, err := stock.Start(stock.Config{Path: one.path, MemoryMB: 1024})
		if err != nil {
			return err
		}
		per, err := nodebench.Server{Name: one.name, Addr: s.Addr()}.Memory(s.Pid(), c.Items)
		if err := errors.Join(err, s.Kill()); err != nil {
			return err
		}
		fmt.Fprintf(out, "%-36s %.1f resident bytes an item, %d items of 19 B + 100 B\n", one.name, per, c.Items)
	}
	return nil
}
