// Package journal keeps what a client's nodes are owed in a file, so that deletes which a node
// has not heard of outlive the process that owes them:
//
//	j, err := journal.Open("/var/lib/app/cache-debt")
//	…
//	defer j.Close() // after the client
//	c, err := client.New(client.Config{Nodes: nodes, DebtJournal: j})
//
// The file is a bbolt database. One process has it at a time.
package journal
