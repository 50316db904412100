package scenario

import (
	"context"
	"fmt"
	"time"

	"github.com/memherd/memherd/bench/internal/drive"
	"github.com/memherd/memherd/bench/internal/measure"
	"github.com/memherd/memherd/bench/internal/subject"
	"github.com/memherd/memherd/bench/internal/value"
	"github.com/memherd/memherd/bench/internal/workload"
)

// traffic is reads at a steady rate, whatever becomes of those before (open loop), of keys
// that are read again and again and of keys that nobody has read before.
type traffic struct {
	Keys  int     // that are read again
	Zipf  float64 // of these; 0 is all alike
	Fresh float64 // share of the reads that are of new keys
	Rate  float64 // reads a second
	// Workers is how many reads may be under way.
	Workers  int
	Deadline time.Duration // of each read; 0 is none
	Begins   time.Time
	Takes    time.Duration
	Seed     uint64
}

// second is what came of the reads that began in one second of the traffic.
type second struct {
	Reads, Failed      int64
	Fresh, FreshFailed int64 // of these, those of new keys
}

func (s *second) add(o second) {
	s.Reads += o.Reads
	s.Failed += o.Failed
	s.Fresh += o.Fresh
	s.FreshFailed += o.FreshFailed
}

// good is the share of the reads that succeeded.
func (s *second) good() float64 { return share(s.Reads, s.Failed) }

// goodFresh is that of the new keys.
func (s *second) goodFresh() float64 { return share(s.Fresh, s.FreshFailed) }

func share(all, failed int64) float64 {
	if all == 0 {
		return 1
	}
	return 1 - float64(failed)/float64(all)
}

// sightings are what one worker of the traffic has seen.
type sightings struct {
	seconds []second
	wrong   int64
}

func (r *reader) drive(t *traffic) (answer, error) {
	choose, err := t.chooser()
	if err != nil {
		return answer{}, err
	}
	var errs subject.Errors
	seen := make([]sightings, t.Workers)
	time.Sleep(time.Until(t.Begins))
	res, err := drive.Run(context.Background(), drive.Config{Workers: t.Workers, Duration: t.Takes, Rate: t.Rate, Seed: t.Seed},
		func(ctx context.Context, w *drive.Worker, n int64) measure.Kind {
			key, fresh := fmt.Sprint("key:", choose.Next(w.Rand)), w.Rand.Float64() < t.Fresh
			if fresh {
				key = fmt.Sprint("fresh:", r.who, ":", t.Seed, ":", n)
			}
			// It belongs to when it was due, not to when a worker was free for it.
			due := time.Duration(float64(n) / t.Rate * float64(time.Second))
			one := second{Reads: 1}
			if fresh {
				one.Fresh = 1
			}
			if t.Deadline > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithDeadline(ctx, t.Begins.Add(due+t.Deadline))
				defer cancel()
			}
			b, err := r.Get(ctx, key)
			if err != nil {
				one.Failed, one.FreshFailed = 1, one.Fresh
				errs.Add(err.Error())
			} else if _, err := value.Check(key, b); err != nil {
				seen[w.ID].wrong++
				errs.Add(err.Error())
			}
			seen[w.ID].note(int(due/time.Second), one)
			return measure.Read
		})
	if err != nil {
		return answer{}, err
	}
	a := answer{Notes: errs.First(), Ended: time.Now()}
	for _, s := range seen {
		a = sum([]answer{a, {Wrong: s.wrong, Seconds: s.seconds}})
	}
	a.P99 = time.Duration(res.Latency().P99 * float64(time.Microsecond))
	a.Slowest = time.Duration(res.Latency().Max * float64(time.Microsecond))
	for _, s := range a.Seconds {
		a.Failed += s.Failed
	}
	return a, nil
}

func (t *traffic) chooser() (workload.Chooser, error) {
	if t.Zipf > 0 {
		return workload.NewZipf(t.Keys, t.Zipf)
	}
	return workload.NewUniform(t.Keys)
}

func (r *sightings) note(at int, s second) {
	for at >= len(r.seconds) {
		r.seconds = append(r.seconds, second{})
	}
	r.seconds[at].add(s)
}
