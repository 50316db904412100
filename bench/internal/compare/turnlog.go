package compare

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/memherd/memherd/bench/internal/contest"
	"github.com/memherd/memherd/bench/internal/measure"
	"github.com/memherd/memherd/bench/internal/report"
	"github.com/memherd/memherd/bench/internal/versus"
)

// turnLog keeps the latencies of every turn, for -hdr.
type turnLog struct {
	start time.Time
	turns []measure.Interval
	all   bool // operations were measured, not every eighth
}

// took is told of turns on one kind of server.
func (l *turnLog) took(kind string) func(string, contest.Case, versus.Turn) {
	return func(player string, c contest.Case, t versus.Turn) {
		v := t.Latencies
		v.From = t.Began.Sub(l.start)
		v.Tag = tag(fmt.Sprintf("%s/%s/%d", player, kind, c.Goroutines))
		l.turns = append(l.turns, v)
	}
}

// tag is name without what the format has a meaning for.
func tag(name string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(", \r\n", r) {
			return '_'
		}
		return r
	}, name)
}

// write writes the log to path, whole or not at all.
func (l *turnLog) write(path string) error {
	var out bytes.Buffer
	which := "eighth "
	if l.all {
		which = ""
	}
	if err := measure.WriteLog(&out, "bench compare, a turn a line, of every "+which+"operation", l.start, l.turns); err != nil {
		return err
	}
	return report.WriteWhole(path, out.Bytes())
}
