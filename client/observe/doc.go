// Package observe is the way into what can be seen of a client; it has no code of its own. Package prom is
// for Prometheus, otel for OpenTelemetry, events for log/slog, live a page to look at; metrics has the table that the
// first two expose, timing the latencies. None of them is pulled in by package client.
//
// Beside the source are README.md with the table, grafana.json, a dashboard, and alerts.yml, rules for Prometheus.
package observe
