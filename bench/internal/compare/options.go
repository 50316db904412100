package compare

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/memherd/memherd/bench/internal/contest"
	"github.com/memherd/memherd/bench/internal/fleet"
	"github.com/memherd/memherd/bench/internal/report"
)

// Options are the flags of `bench compare`. As JSON they travel to the program that has the other clients.
type Options struct {
	Server     string        `help:"Compare on this server instead of the bench's own, whatever -on says." placeholder:"ADDR"`
	IOwn       bool          `name:"i-own-these-servers" aliases:"allow-remote" help:"Allow a -server that is not on this machine; needs -max-rate. The keys it is filled with stay there."`
	MaxRate    float64       `help:"At most this many operations per second by all goroutines together, evenly, a GetMulti counting as its keys (default: as fast as they go). Who comes to that has the ratio 1: compare latencies and CPU then." placeholder:"N"`
	On         []string      `default:"memcached" enum:"memcached,memnode" help:"Which servers of its own to compare on: memcached, memnode (a node in this process), or memcached,memnode for both."`
	Work       string        `default:"get" enum:"get,set,mixed,multi" help:"What everybody does: get, set, mixed (nine gets to a set) or multi (GetMulti of 50 keys)."`
	Goroutines []int         `short:"g" default:"1,8,64,256" help:"Numbers of goroutines."`
	Rounds     int           `default:"9" help:"Rounds; the median counts."`
	Slot       time.Duration `default:"500ms" help:"Length of each client's turn in a round."`
	Keys       int           `default:"1000" help:"Number of keys."`
	Size       int           `default:"100" help:"Bytes of a value."`
	Deadline   bool          `help:"Give each operation a context.WithTimeout of its own."`
	Seed       uint64        `default:"1" help:"Seed of the requests."`
	HTML       string        `name:"html" help:"Also write a page with plots to this file." placeholder:"OUT"`
	HDR        string        `name:"hdr" help:"Also write the latencies of every turn to this file, as a log of HdrHistogram; tags say whose they are." placeholder:"OUT"`
	JSON       string        `name:"json" help:"Also write the results as JSON to this file (- is stdout)." placeholder:"OUT"`
}

// work is what the flag -work can say.
var work = map[string]struct {
	work contest.Work
	many string
}{
	"get":   {contest.Gets, "gets"},
	"set":   {contest.Sets, "sets"},
	"mixed": {contest.Mixed, "gets and sets, nine to one,"},
	"multi": {contest.Multi, fmt.Sprintf("GetMulti of %d keys", contest.MultiKeys)},
}

const fewest = 10 // operations of a turn, for a median

const largest = 1<<20 - 1<<11 // a value, with what the node stores beside it

// Check says what is wrong with them. It also sees whether the server answers.
func (o *Options) Check(ctx context.Context) error {
	for _, g := range o.Goroutines {
		if g < 1 || g > 10_000 {
			return fmt.Errorf("-goroutines %d: give numbers from 1 to 10000", g)
		}
	}
	switch _, known := work[o.Work]; {
	case !known:
		return fmt.Errorf("-work %s: there are get, set, mixed and multi", o.Work)
	case len(o.Goroutines) == 0:
		return errors.New("-goroutines: give at least one number")
	case o.Rounds < 1:
		return fmt.Errorf("-rounds %d: give a number from 1", o.Rounds)
	case o.Slot < time.Millisecond:
		return fmt.Errorf("-slot %v: give 1ms or more", o.Slot)
	case o.Keys < 1:
		return fmt.Errorf("-keys %d: give a number from 1", o.Keys)
	case o.Size < 1 || o.Size > largest:
		return fmt.Errorf("-size %d: give 1 to %d bytes", o.Size, largest)
	case o.MaxRate < 0 || math.IsNaN(o.MaxRate) || math.IsInf(o.MaxRate, 0):
		return errors.New("-max-rate must be a positive number of operations per second")
	case o.IOwn && o.MaxRate == 0:
		return errors.New("-i-own-these-servers needs -max-rate: say how many operations per second that server can take")
	case o.MaxRate > 0 && o.Slot < fewest*o.table("").Gap(o.MaxRate):
		return fmt.Errorf("-max-rate %v leaves less than %d operations to a turn: give a -slot of %v or more", o.MaxRate, fewest, fewest*o.table("").Gap(o.MaxRate))
	}
	if err := report.CheckPaths(o.JSON, map[string]string{"-html": o.HTML, "-hdr": o.HDR}); err != nil {
		return err
	}
	if o.Server != "" {
		_, err := fleet.External(ctx, []string{o.Server}, o.IOwn)
		return err
	}
	return nil
}

// table is what is played on the servers that what names.
func (o *Options) table(what string) contest.Table {
	w := work[o.Work]
	t := contest.Table{Name: o.Work, Work: w.work, Nodes: 1,
		Title: fmt.Sprintf("%s of %d B on %s, %d rounds of %v each in turn, seed %d", w.many, o.Size, what, o.Rounds, o.Slot, o.Seed)}
	if o.MaxRate > 0 {
		t.Title += fmt.Sprintf(", at most %v operations a second", o.MaxRate)
	}
	if o.Deadline {
		t.Deadline = contest.Timeout
	}
	for _, g := range o.Goroutines {
		one := contest.Case{Goroutines: g, Size: o.Size}
		if w.work == contest.Gets {
			one = contest.GetCase(g, o.Size)
		}
		one.Keys = o.Keys
		t.Cases = append(t.Cases, one)
	}
	return t
}
