package otel

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/memherd/memherd/client/observe/metrics"
)

// Scope is the name of the instrumentation scope of everything here.
const Scope = "github.com/memherd/memherd/client/observe/otel"

// Register makes an observable instrument of every row of the table but the latencies, which Client measures.
// Unregister the result before the client is closed, or leave it: a closed client's figures stay as they were.
// Errors are those of Source.Check and of the provider.
func Register(provider metric.MeterProvider, s metrics.Source) (metric.Registration, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	meter := provider.Meter(Scope)
	type row struct {
		m          metrics.Metric
		instrument metric.Float64Observable
	}
	var rows []row
	var instruments []metric.Observable
	for _, m := range metrics.Table() {
		var o metric.Float64Observable
		var err error
		switch m.Kind {
		case metrics.Histogram:
			continue
		case metrics.Sum:
			o, err = meter.Float64ObservableCounter(m.Name, metric.WithUnit(m.Unit), metric.WithDescription(m.Help))
		default:
			o, err = meter.Float64ObservableGauge(m.Name, metric.WithUnit(m.Unit), metric.WithDescription(m.Help))
		}
		if err != nil {
			return nil, err
		}
		rows = append(rows, row{m, o})
		instruments = append(instruments, o)
	}
	return meter.RegisterCallback(func(_ context.Context, obs metric.Observer) error {
		reading := s.Read()
		for _, r := range rows {
			r.m.Read(reading, func(v float64, labels ...string) {
				attrs := make([]attribute.KeyValue, len(labels))
				for i, l := range labels {
					attrs[i] = attribute.String("memherd."+r.m.Labels[i], l)
				}
				obs.ObserveFloat64(r.instrument, v, metric.WithAttributes(attrs...))
			})
		}
		return nil
	}, instruments...)
}
