package observe

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.yaml.in/yaml/v3"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/observe/metrics"
	"github.com/memherd/memherd/loader"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// table is what README.md must hold.
func table() string {
	var b strings.Builder
	b.WriteString("| OpenTelemetry | Prometheus | unit | kind | labels | |\n|---|---|---|---|---|---|\n")
	for _, m := range metrics.Table() {
		name := "`" + m.Name + "`"
		if m.Kind == metrics.Histogram {
			name = "–"
		}
		fmt.Fprintf(&b, "| %s | `%s` | %s | %s | %s | %s |\n", name, m.Prometheus(), m.Unit, [...]string{"counter", "gauge", "histogram"}[m.Kind], strings.Join(m.Labels, ", "), m.Help)
	}
	return b.String()
}

// TestREADMEHasTheTable, word for word.
func TestREADMEHasTheTable(t *testing.T) {
	text, err := os.ReadFile("README.md")
	require.NoError(t, err)
	require.Contains(t, string(text), table(), "README.md should have:\n%s", table())
	for _, m := range metrics.Table() {
		require.NotEmpty(t, m.Help)
		require.True(t, strings.HasSuffix(m.Help, "."), m.Name)
		require.LessOrEqual(t, len(m.Labels), 2, m.Name)
	}
}

var inQuery = regexp.MustCompile(`\bmemherd_[a-z0-9_]+`)

// labels of an expression: what stands before an operator in braces, and after by.
var (
	matcher  = regexp.MustCompile(`([a-z_]+)\s*(?:=~|!=|!~|=)"([^"]*)"`)
	grouping = regexp.MustCompile(`by \(([^)]*)\)`)
)

// checkQuery finds every metric, label and fixed value of a query in the table.
func checkQuery(t *testing.T, expr string) int {
	labels, values := map[string]bool{"job": true, "le": true}, ""
	names := inQuery.FindAllString(expr, -1)
	require.NotEmpty(t, names, expr)
	for _, name := range names {
		found := false
		for _, m := range metrics.Table() {
			same := m.Prometheus() == name
			if m.Kind == metrics.Histogram {
				same = m.Prometheus()+"_bucket" == name
			}
			if same {
				found = true
				values += m.Help + " " + strings.Join(metrics.States, " ")
				for _, l := range m.Labels {
					labels[l] = true
				}
			}
		}
		require.True(t, found, "%s, in %s, is no metric", name, expr)
	}
	for _, f := range metrics.Fields(loader.Counters{}) {
		values += " " + f.Name
	}
	for _, m := range matcher.FindAllStringSubmatch(expr, -1) {
		require.True(t, labels[m[1]], "label %s in %s", m[1], expr)
		for v := range strings.SplitSeq(m[2], "|") {
			if !strings.ContainsAny(v, "$.*") {
				require.Contains(t, values, v, expr)
			}
		}
	}
	for _, g := range grouping.FindAllStringSubmatch(expr, -1) {
		for l := range strings.SplitSeq(g[1], ",") {
			require.True(t, labels[strings.TrimSpace(l)], "label %s in %s", l, expr)
		}
	}
	require.Equal(t, strings.Count(expr, "("), strings.Count(expr, ")"), expr)
	return len(names)
}

// TestDashboard: it parses, and every query is of metrics that exist.
func TestDashboard(t *testing.T) {
	text, err := os.ReadFile("grafana.json")
	require.NoError(t, err)
	var d struct {
		Title  string
		Panels []struct {
			Title, Type string
			ID          int
			GridPos     struct{ X, Y, W, H int }
			Targets     []struct{ Expr string }
		}
	}
	require.NoError(t, json.Unmarshal(text, &d))
	require.Equal(t, "memherd", d.Title)
	ids, queries := map[int]bool{}, 0
	type cell struct{ x, y int }
	taken := map[cell]string{}
	for _, p := range d.Panels {
		require.False(t, ids[p.ID])
		ids[p.ID] = true
		require.LessOrEqual(t, p.GridPos.X+p.GridPos.W, 24, p.Title)
		require.Equal(t, p.Type == "row", len(p.Targets) == 0, p.Title)
		for x := range p.GridPos.W {
			for y := range p.GridPos.H {
				at := cell{p.GridPos.X + x, p.GridPos.Y + y}
				require.Empty(t, taken[at], "under %s", p.Title)
				taken[at] = p.Title
			}
		}
		for _, target := range p.Targets {
			queries += checkQuery(t, target.Expr)
		}
	}
	require.Greater(t, queries, 15)
}

// TestAlerts: they parse, by Prometheus' own fields, and every rule is of metrics that exist.
func TestAlerts(t *testing.T) {
	file, err := os.Open("alerts.yml")
	require.NoError(t, err)
	defer file.Close()
	var d struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	dec := yaml.NewDecoder(file)
	dec.KnownFields(true)
	require.NoError(t, dec.Decode(&d))
	n := 0
	for _, g := range d.Groups {
		for _, r := range g.Rules {
			n++
			require.NotEmpty(t, r.Alert)
			require.NotEmpty(t, r.Annotations["summary"], r.Alert)
			require.Contains(t, []string{"warning", "critical"}, r.Labels["severity"], r.Alert)
			checkQuery(t, r.Expr)
		}
	}
	require.Equal(t, 9, n)
}

// TestEveryCounterIsInTheTable: what a client counts shows somewhere, counters that will be added included. Each is set to
// a number of its own, which must come out.
func TestEveryCounterIsInTheTable(t *testing.T) {
	for _, f := range metrics.Fields(client.Counters{}) {
		if f.Name == "gets" {
			continue // the sum of the results
		}
		r := &metrics.Reading{}
		v := reflect.ValueOf(&r.Counters).Elem()
		for i := range v.NumField() {
			if metrics.Fields(client.Counters{})[i].Name == f.Name {
				v.Field(i).SetUint(1)
			}
		}
		r.Counters.Gets = r.Counters.NearHits + r.Counters.NodeHits + r.Counters.Misses
		sum := 0.0
		for _, m := range metrics.Table() {
			if m.Read != nil {
				m.Read(r, func(v float64, _ ...string) { sum += v })
			}
		}
		require.Equal(t, 1.0, sum, "%s should be in one row of the table", f.Name)
	}
}

var (
	inPage  = regexp.MustCompile("`(memherd_[^`]+)`")
	ofAlert = regexp.MustCompile(`\bMemherd[A-Z]\w+`)
	inRules = regexp.MustCompile(`alert: (\w+)`)
	inLog   = regexp.MustCompile("`([a-z ]+)` in the log")
)

// TestOperations: the page on operating a fleet names metrics, alerts and lines of the log that exist, and says of every alert why it fires.
func TestOperations(t *testing.T) {
	text, err := os.ReadFile("../OPERATIONS.md")
	require.NoError(t, err)
	rules, err := os.ReadFile("alerts.yml")
	require.NoError(t, err)
	metrics, alerts := inPage.FindAllSubmatch(text, -1), ofAlert.FindAll(text, -1)
	require.GreaterOrEqual(t, len(metrics), 10)
	require.Greater(t, len(alerts), 3)
	for _, m := range metrics {
		checkQuery(t, string(m[1]))
	}
	for _, a := range alerts {
		require.Contains(t, string(rules), "alert: "+string(a)+"\n")
	}
	for _, a := range inRules.FindAllSubmatch(rules, -1) {
		require.Contains(t, string(text), "| `"+string(a[1])+"` |", "why an alert fires")
	}
	written, err := os.ReadFile("events/events.go")
	require.NoError(t, err)
	lines := inLog.FindAllSubmatch(text, -1)
	require.GreaterOrEqual(t, len(lines), 2)
	for _, l := range lines {
		require.Contains(t, string(written), `"`+string(l[1])+`"`, "a line of the log")
	}
}
