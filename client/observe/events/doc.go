// Package events writes what happens to a client into a log/slog.Logger: nodes that fail and come back,
// changes of the fleet, debt, hot keys. At the levels used here it can be left on: what may
// happen at every call is written at Debug, or once a second with its number. Keys are never written.
package events
