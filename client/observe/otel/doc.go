// Package otel gives a client's figures and calls to OpenTelemetry. [Register] makes instruments of the
// table in client/observe/README.md, which are read when they are collected, so that calls cost
// nothing for them. [Client] makes a span of each call, and measures
// db.client.operation.duration, by the semantic conventions for database clients. Keys and values are in
// neither.
package otel
