package prom

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/memherd/memherd/client/observe/metrics"
	"github.com/memherd/memherd/client/observe/timing"
)

// Collector is a prometheus.Collector of one client. Register it once; a process with several clients wraps
// the registry for each of them:
//
//	prometheus.WrapRegistererWith(prometheus.Labels{"client": "users"}, reg).MustRegister(collector)
//
// It may be used concurrently, and starts nothing.
type Collector struct {
	source metrics.Source
	rows   []metrics.Metric
	descs  []*prometheus.Desc
}

var _ prometheus.Collector = (*Collector)(nil)

// New checks s and returns a Collector.
func New(s metrics.Source) (*Collector, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	c := &Collector{source: s, rows: metrics.Table()}
	for _, m := range c.rows {
		c.descs = append(c.descs, prometheus.NewDesc(m.Prometheus(), m.Help, m.Labels, nil))
	}
	return c, nil
}

// Describe is prometheus.Collector's.
func (c *Collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		ch <- d
	}
}

// Collect is prometheus.Collector's.
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	r := c.source.Read()
	for i, m := range c.rows {
		if m.Kind == metrics.Histogram {
			for op, l := range r.Latency {
				ch <- prometheus.MustNewConstHistogram(c.descs[i], l.Count, l.Sum.Seconds(), cumulated(l), op.String())
			}
			continue
		}
		kind := prometheus.CounterValue
		if m.Kind == metrics.Level {
			kind = prometheus.GaugeValue
		}
		m.Read(r, func(v float64, labels ...string) {
			ch <- prometheus.MustNewConstMetric(c.descs[i], kind, v, labels...)
		})
	}
}

// cumulated turns l into Prometheus' buckets, each of which counts those before it, too: one to each
// doubling, which is every fourth of l's, from 4 µs on; 23 of them an operation.
func cumulated(l timing.Latency) map[float64]uint64 {
	out := map[float64]uint64{}
	var sum uint64
	for i, b := range l.Buckets {
		sum += b.Count
		if i%4 == 3 && i < len(l.Buckets)-4 {
			out[b.Upper.Seconds()] = sum
		}
	}
	return out
}
