package otel_test

import (
	"context"
	"fmt"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/observe/metrics"
	"github.com/memherd/memherd/client/observe/otel"
	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/ring"
)

func ExampleClient() {
	srv, err := nodeserver.Start(nodeserver.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer srv.Close()
	c, err := client.New(client.Config{Nodes: ring.Addrs(srv.Addr().String())})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()

	meter, tracer := sdkmetric.NewMeterProvider(), sdktrace.NewTracerProvider() // the program's own
	if _, err := otel.Register(meter, metrics.Source{Client: c}); err != nil {
		fmt.Println(err)
		return
	}
	traced, err := otel.New(otel.Config{Client: c, Tracer: tracer, Meter: meter})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = traced.Get(context.Background(), "user:42") // a span, and its duration
	fmt.Println(err)
	// Output: memherd: cache miss
}
