package prom_test

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/observe/metrics"
	"github.com/memherd/memherd/client/observe/prom"
	"github.com/memherd/memherd/ring"
)

func ExampleCollector() {
	c, err := client.New(client.Config{Nodes: ring.Addrs("10.0.0.1:11211")})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	collector, err := prom.New(metrics.Source{Client: c})
	if err != nil {
		fmt.Println(err)
		return
	}
	reg := prometheus.NewRegistry() // promhttp.HandlerFor(reg, …) serves it
	reg.MustRegister(collector)
	families, err := reg.Gather()
	fmt.Println(families[0].GetName(), err)
	// Output: memherd_client_errors_total <nil>
}
