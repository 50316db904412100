// Package web is what the example services have in common and what has nothing to do with
// memherd: flags, signals, and how answers look in HTTP.
package web
