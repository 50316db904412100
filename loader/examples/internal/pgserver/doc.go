// Package pgserver runs PostgreSQL, as a process of its own in a temporary folder, for
// tests: an origin that is as slow, as strict and as mortal as the ones people have. A server
// is reached through a Unix socket that only its own user and root may use. It syncs what it commits.
package pgserver
