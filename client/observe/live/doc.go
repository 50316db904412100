// Package live is a page to look at while a client runs: the ring with every node's share and state, load per
// node, hit ratio by level, latencies, hot keys, debt, near-cache and loaders. [Handler] is an
// http.Handler to put where net/http/pprof is put:
//
//	mux.Handle("/debug/memherd/", live)
//
// The page is one document without outside resources; data.json below it has the figures. Who may see them is
// the program's to decide: the Handler knows no log-in, and should be served on an address of the
// operators, or behind what keeps others out. Keys are hidden unless Config.Keys says otherwise.
package live
