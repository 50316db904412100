// Package table keeps texts in a table of a real database, SQLite or PostgreSQL, as an origin for
// tests: they hold what package loader promises against transactions, constraints, outages
// and lagging replicas that nobody has written for the occasion.
package table
