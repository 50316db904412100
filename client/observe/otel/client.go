package otel

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/item"
)

// Config is the set-up of a Client. Client is required; a provider that is nil is not used.
type Config struct {
	Client *client.Client
	// Tracer makes a span of each call: it is named after the operation, of kind client, a child of the
	// context's. An outcome such as a miss is no error of the span.
	Tracer trace.TracerProvider
	// Meter gets db.client.operation.duration, in seconds, of each call.
	Meter metric.MeterProvider
}

// Client is a client.Client, also for a loader, whose Get, GetMulti, Set, Delete, DeleteMulti, Lease,
// LeaseMulti and Fill are traced and measured. All methods may be called concurrently.
type Client struct {
	*client.Client
	tracer   trace.Tracer
	duration metric.Float64Histogram
	ok       map[string]metric.MeasurementOption // by operation, of calls without an error
	start    map[string]trace.SpanStartEventOption
}

// operations are the traced calls by db.operation.name.
var operations = []string{"get", "get_multi", "set", "delete", "delete_multi", "lease", "lease_multi", "fill"}

// bounds of the buckets, in seconds, as the conventions advise.
var bounds = []float64{0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10}

var system = attribute.String("db.system.name", "memcached")

// New checks cfg and returns a Client, whose Close is that of Config.Client.
func New(cfg Config) (*Client, error) {
	if cfg.Client == nil {
		return nil, errors.New("otel: Config.Client is missing")
	}
	c := &Client{Client: cfg.Client, ok: map[string]metric.MeasurementOption{}, start: map[string]trace.SpanStartEventOption{}}
	for _, op := range operations {
		set := attribute.NewSet(system, attribute.String("db.operation.name", op))
		c.ok[op] = metric.WithAttributeSet(set)
		c.start[op] = trace.WithAttributes(set.ToSlice()...)
	}
	if cfg.Tracer != nil {
		c.tracer = cfg.Tracer.Tracer(Scope)
	}
	if cfg.Meter != nil {
		var err error
		c.duration, err = cfg.Meter.Meter(Scope).Float64Histogram("db.client.operation.duration", metric.WithUnit("s"),
			metric.WithDescription("Duration of database client operations."), metric.WithExplicitBucketBoundaries(bounds...))
		if err != nil {
			return nil, err
		}
	}
	return c, nil
}

// call is one under way.
type call struct {
	c     *Client
	op    string
	span  trace.Span
	began time.Time
}

func (c *Client) begin(ctx context.Context, op string, keys int) (context.Context, call) {
	k := call{c: c, op: op}
	if c.duration != nil {
		k.began = time.Now()
	}
	if c.tracer != nil {
		ctx, k.span = c.tracer.Start(ctx, op, trace.WithSpanKind(trace.SpanKindClient), c.start[op])
		if keys > 1 { // a batch of one is none, by the conventions
			k.span.SetAttributes(attribute.Int("db.operation.batch.size", keys))
		}
	}
	return ctx, k
}

func (k *call) end(ctx context.Context, err error) {
	kind := errorType(err)
	if k.c.duration != nil {
		took := time.Since(k.began).Seconds()
		if kind == "" {
			k.c.duration.Record(ctx, took, k.c.ok[k.op])
		} else {
			k.c.duration.Record(ctx, took, metric.WithAttributes(system, attribute.String("db.operation.name", k.op), attribute.String("error.type", kind)))
		}
	}
	if k.span == nil {
		return
	}
	if kind != "" {
		k.span.SetAttributes(attribute.String("error.type", kind))
		var e *item.Error
		if errors.As(err, &e) && e.Node != "" {
			k.span.SetAttributes(attribute.String("memherd.node", e.Node))
		}
		k.span.SetStatus(codes.Error, kind)
	}
	k.span.End()
}

// kinds are the values of error.type.
var kinds = []struct {
	err  error
	name string
}{
	{item.ErrTimeout, "timeout"}, {context.DeadlineExceeded, "deadline_exceeded"}, {context.Canceled, "canceled"}, {item.ErrNodeDown, "node_down"}, {item.ErrOwnerDown, "owner_down"},
	{item.ErrBusy, "busy"}, {item.ErrConnLost, "connection_lost"}, {item.ErrServer, "server_error"}, {item.ErrDesync, "desync"}, {item.ErrClosed, "closed"},
	{item.ErrTooFewAcks, "too_few_acks"}, {item.ErrTooLarge, "too_large"}, {item.ErrMalformedKey, "malformed_key"}, {item.ErrBadTTL, "bad_ttl"}, {item.ErrBadFlags, "bad_flags"}, {item.ErrNilContext, "nil_context"},
}

// outcomes are answers, not failures.
var outcomes = []error{item.ErrCacheMiss, item.ErrNotStored, item.ErrCASConflict, item.ErrLeaseLost}

// errorType is one of a few words, "" for what is no failure.
func errorType(err error) string {
	if err == nil {
		return ""
	}
	for _, k := range kinds {
		if errors.Is(err, k.err) {
			return k.name
		}
	}
	for _, o := range outcomes {
		if errors.Is(err, o) {
			return ""
		}
	}
	return "_OTHER"
}
