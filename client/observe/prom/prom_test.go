package prom

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/observe/metrics"
	"github.com/memherd/memherd/client/observe/timing"
	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/ring"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newSource(t testing.TB) metrics.Source {
	mem := nodeserver.NewMemNetwork()
	srv, err := nodeserver.Start(nodeserver.Config{Network: mem, Addr: "node:11211"})
	require.NoError(t, err)
	c, err := client.New(client.Config{Nodes: ring.Addrs("node"), DialContext: mem.DialContext, Timeout: 10 * time.Second, DialTimeout: 10 * time.Second})
	require.NoError(t, err)
	timed, err := timing.New(timing.Config{Client: c, Every: 1})
	require.NoError(t, err)
	users, err := loader.New(timed, loader.Config[string]{Load: func(context.Context, string) (string, error) { return "Ada", nil }, TTL: time.Hour})
	require.NoError(t, err)
	t.Cleanup(func() { users.Close(); c.Close(); srv.Close() })
	for range 3 {
		v, err := users.Get(context.Background(), "secret-key")
		require.NoError(t, err)
		require.Equal(t, "Ada", v)
	}
	return metrics.Source{Client: c, Timing: timed, Loaders: map[string]func() any{"users": func() any { return users.Counters() }}}
}

// TestCollector scrapes a client that has done known things.
func TestCollector(t *testing.T) {
	c, err := New(newSource(t))
	require.NoError(t, err)
	reg := prometheus.NewPedanticRegistry()
	require.NoError(t, reg.Register(c))
	require.NoError(t, testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP memherd_client_leases_total Rights to fill: won, lost to a write or delete, late and given back, orphan of a lost connection.
# TYPE memherd_client_leases_total counter
memherd_client_leases_total{event="late"} 0
memherd_client_leases_total{event="lost"} 0
memherd_client_leases_total{event="orphan"} 0
memherd_client_leases_total{event="won"} 1
# HELP memherd_client_reads_total Reads by how they ended: near_hit from memory, node_hit, miss, failed.
# TYPE memherd_client_reads_total counter
memherd_client_reads_total{result="failed"} 0
memherd_client_reads_total{result="miss"} 1
memherd_client_reads_total{result="near_hit"} 0
memherd_client_reads_total{result="node_hit"} 2
# HELP memherd_node_state 1 for the state the node is in, 0 for the others: up, mending (written to, not read yet), down.
# TYPE memherd_node_state gauge
memherd_node_state{node="node",state="down"} 0
memherd_node_state{node="node",state="mending"} 0
memherd_node_state{node="node",state="up"} 1
`), "memherd_client_leases_total", "memherd_client_reads_total", "memherd_node_state"))

	problems, err := testutil.GatherAndLint(reg)
	require.NoError(t, err)
	require.Empty(t, problems)

	families, err := reg.Gather()
	require.NoError(t, err)
	have := map[string]bool{}
	for _, f := range families {
		have[f.GetName()] = true
		require.LessOrEqual(t, len(f.Metric), 64, "%s: few series", f.GetName())
		for _, m := range f.Metric {
			require.NotContains(t, m.String(), "secret-key")
			if f.GetName() == metrics.Duration.Prometheus() && m.Label[0].GetValue() == "lease" {
				require.EqualValues(t, 3, m.Histogram.GetSampleCount())
				require.Positive(t, m.Histogram.GetSampleSum())
				b := m.Histogram.Bucket
				require.Len(t, b, 23)
				for i := 1; i < len(b); i++ {
					require.GreaterOrEqual(t, b[i].GetCumulativeCount(), b[i-1].GetCumulativeCount())
				}
			}
		}
	}
	for _, m := range metrics.Table() {
		require.True(t, have[m.Prometheus()], m.Prometheus())
	}
}

func TestConfig(t *testing.T) {
	_, err := New(metrics.Source{})
	require.ErrorContains(t, err, "Source.Client")
}

// TestANodeThatMoves scrapes a client while a node of one name is in its fleet at two addresses.
func TestANodeThatMoves(t *testing.T) {
	mem := nodeserver.NewMemNetwork()
	cl, err := client.New(client.Config{Nodes: []ring.Node{{Name: "cache1", Addr: "old:1"}}, DialContext: mem.DialContext})
	require.NoError(t, err)
	defer cl.Close()
	require.NoError(t, cl.SetNodes([]ring.Node{{Name: "cache1", Addr: "new:1"}}))
	require.Len(t, cl.Nodes(), 2)
	c, err := New(metrics.Source{Client: cl})
	require.NoError(t, err)
	reg := prometheus.NewPedanticRegistry()
	require.NoError(t, reg.Register(c))
	families, err := reg.Gather()
	require.NoError(t, err)
	require.NotEmpty(t, families)
}
