package otel

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/client/observe/metrics"
	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/ring"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var _ loader.Cache = (*Client)(nil)

func newClient(t testing.TB) *client.Client {
	mem := nodeserver.NewMemNetwork()
	srv, err := nodeserver.Start(nodeserver.Config{Network: mem, Addr: "node:11211"})
	require.NoError(t, err)
	c, err := client.New(client.Config{Nodes: ring.Addrs("node"), DialContext: mem.DialContext, Timeout: 10 * time.Second, DialTimeout: 10 * time.Second})
	require.NoError(t, err)
	t.Cleanup(func() { c.Close(); srv.Close() })
	return c
}

func collect(t testing.TB, reader *sdkmetric.ManualReader) map[string]metricdata.Metrics {
	var rm metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(context.Background(), &rm))
	out := map[string]metricdata.Metrics{}
	for _, s := range rm.ScopeMetrics {
		require.Equal(t, Scope, s.Scope.Name)
		for _, m := range s.Metrics {
			out[m.Name] = m
		}
	}
	return out
}

// TestRegister: the whole table, with the client's figures.
func TestRegister(t *testing.T) {
	c := newClient(t)
	reader := sdkmetric.NewManualReader()
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	defer provider.Shutdown(context.Background())
	_, err := Register(provider, metrics.Source{})
	require.ErrorContains(t, err, "Source.Client")
	reg, err := Register(provider, metrics.Source{Client: c, Loaders: map[string]func() any{"users": func() any { return loader.Counters{LoadLimit: 7} }}})
	require.NoError(t, err)
	for range 5 {
		_, err = c.Get(context.Background(), "secret")
		require.Equal(t, client.ErrCacheMiss, err)
	}
	have := collect(t, reader)
	for _, m := range metrics.Table() {
		if m.Kind == metrics.Histogram {
			continue
		}
		got, ok := have[m.Name]
		require.True(t, ok, m.Name)
		require.Equal(t, m.Unit, got.Unit)
		require.NotContains(t, fmt.Sprintf("%+v", got), "secret")
		if m.Kind == metrics.Sum {
			require.True(t, got.Data.(metricdata.Sum[float64]).IsMonotonic, m.Name)
		}
	}
	total := 0.0
	for _, p := range have["memherd.client.reads"].Data.(metricdata.Sum[float64]).DataPoints {
		if v, _ := p.Attributes.Value("memherd.result"); v.AsString() == "miss" {
			total += p.Value
		}
	}
	require.EqualValues(t, 5, total)
	require.NoError(t, reg.Unregister())
	require.Empty(t, collect(t, reader))
}

// TestSpansAndDurations: one of each for each call, by the conventions, without keys or values.
func TestSpansAndDurations(t *testing.T) {
	under := newClient(t)
	spans := tracetest.NewSpanRecorder()
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	reader := sdkmetric.NewManualReader()
	meter := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	defer tracer.Shutdown(context.Background())
	defer meter.Shutdown(context.Background())
	c, err := New(Config{Client: under, Tracer: tracer, Meter: meter})
	require.NoError(t, err)

	ctx, parent := tracer.Tracer("test").Start(context.Background(), "parent")
	_, err = c.Set(ctx, client.Item{Key: "secret", Value: []byte("hidden")})
	require.NoError(t, err)
	_, err = c.Get(ctx, "secret")
	require.NoError(t, err)
	_, err = c.Get(ctx, "secret-absent")
	require.Equal(t, client.ErrCacheMiss, err)
	_, err = c.GetMulti(ctx, []string{"secret", "secret2"})
	require.NoError(t, err)
	l, err := c.Lease(ctx, "secret3", client.LeaseOptions{})
	require.NoError(t, err)
	_, err = c.Fill(ctx, l, client.Item{Value: []byte("hidden")})
	require.NoError(t, err)
	_, errs := c.LeaseMulti(ctx, []string{"secret3"}, client.LeaseOptions{})
	require.NoError(t, errors.Join(errs...))
	_, err = c.Delete(ctx, "secret")
	require.NoError(t, err)
	_, err = c.DeleteMulti(ctx, []string{"secret", "secret2", "secret3"})
	require.NoError(t, err)
	_, err = c.Get(ctx, "secret bad")
	require.ErrorIs(t, err, client.ErrMalformedKey)
	parent.End()

	var names []string
	for _, s := range spans.Ended() {
		if s.Name() == "parent" {
			continue
		}
		names = append(names, s.Name())
		require.Equal(t, trace.SpanKindClient, s.SpanKind())
		require.Equal(t, parent.SpanContext().SpanID(), s.Parent().SpanID())
		text := fmt.Sprint(s.Name(), s.Attributes(), s.Status(), s.Events())
		require.NotContains(t, text, "secret")
		require.NotContains(t, text, "hidden")
		attrs := map[string]string{}
		for _, a := range s.Attributes() {
			attrs[string(a.Key)] = a.Value.String()
		}
		require.Equal(t, "memcached", attrs["db.system.name"])
		require.Equal(t, s.Name(), attrs["db.operation.name"])
		require.Equal(t, map[string]string{"get_multi": "2", "delete_multi": "3"}[s.Name()], attrs["db.operation.batch.size"])
		require.Equal(t, s.Status().Code == codes.Error, attrs["error.type"] != "")
	}
	require.Equal(t, "set get get get_multi lease fill lease_multi delete delete_multi get", strings.Join(names, " "))
	require.Equal(t, codes.Error, spans.Ended()[9].Status().Code)
	require.Equal(t, codes.Unset, spans.Ended()[2].Status().Code, "a miss is an answer")

	count, failed := uint64(0), uint64(0)
	d := collect(t, reader)["db.client.operation.duration"]
	require.Equal(t, "s", d.Unit)
	for _, p := range d.Data.(metricdata.Histogram[float64]).DataPoints {
		count += p.Count
		if v, ok := p.Attributes.Value("error.type"); ok {
			require.Equal(t, "malformed_key", v.AsString())
			failed += p.Count
		}
	}
	require.EqualValues(t, 10, count)
	require.EqualValues(t, 1, failed)
}

// TestErrorTypes are few, and outcomes are none.
func TestErrorTypes(t *testing.T) {
	for _, o := range append(outcomes, nil) {
		require.Empty(t, errorType(o))
	}
	for _, k := range kinds {
		require.Equal(t, k.name, errorType(&item.Error{Op: "get", Node: "n", Err: k.err}))
	}
	require.Equal(t, "_OTHER", errorType(errors.New("x")))
	_, err := New(Config{})
	require.ErrorContains(t, err, "Config.Client")
	c, err := New(Config{Client: newClient(t)})
	require.NoError(t, err)
	_, err = c.Get(context.Background(), "k")
	require.Equal(t, client.ErrCacheMiss, err, "without providers it is the client")
}
