// Package timing measures how long the calls of a client take, for the other packages below
// client/observe: [Client] is a *client.Client whose reads and writes are timed, a sample of them, so
// that it costs a call a few nanoseconds. It starts nothing.
package timing
