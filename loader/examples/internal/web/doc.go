// Package web is what the example services have in common and what has nothing to do with
// memherd: flags, signals, and how answers look in HTTP. Whoever copies a service takes it along, or has
// a main and handlers of his own.
package web
