package nodebench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/memherd/memherd/bench/internal/versus"
)

// Server is what is loaded.
type Server struct {
	Name, Addr string
	// CPU reads the CPU time the server has used; nil where nobody can tell.
	CPU func() (time.Duration, error)
}

// Fill stores all keys.
func (s Server) Fill() error {
	return s.store(keys, key, value)
}

// store stores n values and waits for the last.
func (s Server) store(n int, name func(int) string, value string) error {
	nc, err := net.Dial("tcp", s.Addr)
	if err != nil {
		return err
	}
	defer nc.Close()
	var b strings.Builder
	head := fmt.Sprintf(" 0 0 %d noreply\r\n", len(value))
	for i := range n {
		b.WriteString("set " + name(i) + head)
		b.WriteString(value)
		b.WriteString("\r\n")
		if b.Len() > 1<<16 || i == n-1 {
			if _, err := io.WriteString(nc, b.String()); err != nil {
				return err
			}
			b.Reset()
		}
	}
	if _, err := io.WriteString(nc, "mn\r\n"); err != nil {
		return err
	}
	reply := make([]byte, len("MN\r\n"))
	if _, err := io.ReadFull(nc, reply); err != nil {
		return err
	}
	if string(reply) != "MN\r\n" {
		return fmt.Errorf("%s: a set with noreply was answered %q", s.Name, reply)
	}
	return nil
}

// batches is how many different batches a connection sends in turn: made beforehand, so
// that making them is not measured.
const batches = 256

type prepared struct {
	req      []byte
	ops, len int
}

// worker is one connection.
type worker struct {
	nc    net.Conn
	todo  []prepared
	reply []byte
	took  []time.Duration
	ops   int
}

func (s Server) worker(row Row, seed uint64) (*worker, error) {
	nc, err := net.Dial("tcp", s.Addr)
	if err != nil {
		return nil, err
	}
	w := &worker{nc: nc}
	rng := rand.New(rand.NewPCG(seed, 1))
	longest := 0
	for range batches {
		var p prepared
		p.req, p.ops, p.len = row.batch(nil, rng)
		w.todo = append(w.todo, p)
		longest = max(longest, p.len)
	}
	w.reply = make([]byte, longest)
	return w, nil
}

// run sends batches one after the other until the clock says stop, one at least.
func (w *worker) run(warm, end time.Time) error {
	last := time.Now()
	for i := 0; last.Before(end) || w.ops == 0; i++ {
		p := &w.todo[i%batches]
		if _, err := w.nc.Write(p.req); err != nil {
			return err
		}
		got := w.reply[:p.len]
		if _, err := io.ReadFull(w.nc, got); err != nil {
			return err
		}
		if string(got[len(got)-2:]) != "\r\n" || got[0] != 'V' && got[0] != 'S' {
			return errors.New("a reply is not what it should be")
		}
		now := time.Now()
		if last.After(warm) {
			w.took = append(w.took, now.Sub(last))
			w.ops += p.ops
		}
		last = now
	}
	return nil
}

// Turn loads the server with row for one turn.
func (s Server) Turn(row Row) func(context.Context, versus.Slot) (versus.Turn, error) {
	return func(ctx context.Context, slot versus.Slot) (t versus.Turn, err error) {
		if err := ctx.Err(); err != nil {
			return t, err
		}
		var workers []*worker
		defer func() {
			for _, w := range workers {
				w.nc.Close()
			}
		}()
		for i := range row.Conns {
			w, err := s.worker(row, slot.Seed<<16+uint64(i))
			if err != nil {
				return t, err
			}
			workers = append(workers, w)
		}
		var before time.Duration
		if s.CPU != nil {
			if before, err = s.CPU(); err != nil {
				return t, err
			}
		}
		warm := time.Now()
		end := warm.Add(slot.Length)
		errs := make([]error, len(workers))
		var wg sync.WaitGroup
		for i, w := range workers {
			wg.Go(func() { errs[i] = w.run(warm, end) })
		}
		wg.Wait()
		took := time.Since(warm)
		if err := errors.Join(errs...); err != nil {
			return t, err
		}
		return s.turn(workers, took, before)
	}
}

// turn sums up.
func (s Server) turn(workers []*worker, took, before time.Duration) (t versus.Turn, err error) {
	var all []time.Duration
	ops := 0
	for _, w := range workers {
		all = append(all, w.took...)
		ops += w.ops
	}
	if ops == 0 {
		return t, errors.New("not one batch was answered in time")
	}
	slices.Sort(all)
	micros := func(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
	t.OpsPerS = float64(ops) / took.Seconds()
	t.P50, t.P99 = micros(all[len(all)/2]), micros(all[len(all)*99/100])
	if s.CPU != nil {
		after, err := s.CPU()
		if err != nil {
			return t, err
		}
		t.ServerCPU = micros(after-before) / float64(ops)
	}
	return t, nil
}
