// Package metrics says what a client, and what runs on it, can be asked for in figures: one table,
// which package prom and package otel expose under their own forms of the names. It depends on no
// metrics library and starts nothing; the figures are read when somebody asks.
package metrics
