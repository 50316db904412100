// Package progress shows how far a run is: a bar on a terminal, a line now and then
// anywhere else.
package progress

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
)

// Bar shows the progress of one run. It is for one goroutine at a time.
type Bar struct {
	w     io.Writer
	bar   *progressbar.ProgressBar // nil where lines are printed
	total int64
	step  string
	next  time.Time // when the next plain line is due
}

// every is the pause between two plain lines of one step.
const every = 5 * time.Second

// New starts a display of total units on w.
func New(w io.Writer, total int64) *Bar {
	b := &Bar{w: w, total: max(total, 1)}
	if terminal(w) {
		b.bar = progressbar.NewOptions64(b.total,
			progressbar.OptionSetWriter(w),
			progressbar.OptionSetWidth(30),
			progressbar.OptionThrottle(100*time.Millisecond),
			progressbar.OptionSetPredictTime(true),
			progressbar.OptionSetElapsedTime(true),
			progressbar.OptionClearOnFinish(),
			progressbar.OptionFullWidth(),
		)
	}
	return b
}

func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("TERM") == "dumb" {
		return false
	}
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0
}

// Step says what happens from now on.
func (b *Bar) Step(what string) {
	b.step = what
	if b.bar != nil {
		b.bar.Describe(what)
		return
	}
	fmt.Fprintln(b.w, what)
	b.next = time.Now().Add(every)
}

// Set says how many units are done, and a word about it.
func (b *Bar) Set(done int64, word string) {
	done = min(max(done, 0), b.total)
	if b.bar != nil {
		b.bar.Describe(b.step + " " + word)
		_ = b.bar.Set64(done) // fails only beyond the total
		return
	}
	if now := time.Now(); !now.Before(b.next) {
		fmt.Fprintf(b.w, "  %d %%, %s\n", 100*done/b.total, word)
		b.next = now.Add(every)
	}
}

// Close takes the bar away.
func (b *Bar) Close() {
	if b.bar != nil {
		_ = b.bar.Finish()
		_ = b.bar.Clear()
	}
}
