// Package item holds the types, outcomes and sentinel errors that the client and
// the loader share, so that a loader need not import the client it runs on. It
// depends on the standard library alone and starts nothing.
package item
