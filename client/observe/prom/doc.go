// Package prom gives a client's figures to Prometheus: [Collector] is a prometheus.Collector. It
// reads them when it is scraped, so that calls cost nothing more for it. client/observe/README.md
// has the table of metrics.
package prom
