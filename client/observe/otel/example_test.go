package otel_test

import (
	"context"
	"errors"
	"fmt"

	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/observe/metrics"
	"github.com/memherd/memherd/client/observe/otel"
	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/ring"
)

// observed makes a client whose figures and calls go to the program's providers. Use it as the client it wraps.
func observed(cfg client.Config, meter metric.MeterProvider, tracer trace.TracerProvider) (*otel.Client, error) {
	c, err := client.New(cfg)
	if err != nil {
		return nil, err
	}
	if _, err := otel.Register(meter, metrics.Source{Client: c}); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return otel.New(otel.Config{Client: c, Tracer: tracer, Meter: meter})
}

func ExampleClient() {
	node, err := nodeserver.Start(nodeserver.Config{})
	if err != nil {
		panic(err)
	}
	defer node.Close()
	cfg := client.Config{Nodes: ring.Addrs(node.Addr().String())}
	c, err := observed(cfg, sdkmetric.NewMeterProvider(), sdktrace.NewTracerProvider())
	if err != nil {
		panic(err)
	}
	defer c.Close()
	_, err = c.Get(context.Background(), "user:42") // a span, and its duration
	fmt.Println(err)
	// Output: memherd: cache miss
}
