package metrics_test

import (
	"fmt"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/observe/metrics"
	"github.com/memherd/memherd/ring"
)

// One metric of the table, read: what an exporter of one's own does with all of them.
func ExampleSource() {
	c, err := client.New(client.Config{Nodes: ring.Addrs("10.0.0.1:11211")})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	src := metrics.Source{Client: c}
	if err := src.Check(); err != nil {
		fmt.Println(err)
		return
	}
	reading := src.Read()
	for _, m := range metrics.Table() {
		if m.Name == "memherd.client.errors" {
			fmt.Println(m.Prometheus(), m.Unit, m.Kind == metrics.Sum)
			m.Read(reading, func(v float64, labels ...string) { fmt.Println(v, labels) })
		}
	}
	// Output:
	// memherd_client_errors_total {call} true
	// 0 []
}

func ExampleFields() {
	for _, f := range metrics.Fields(struct{ NearHits, Loads uint64 }{3, 1}) {
		fmt.Println(f.Name, f.Value)
	}
	// Output:
	// near_hits 3
	// loads 1
}
