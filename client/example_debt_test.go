package client_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http/httptest"
	"sync"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/ring"
)

// table keeps what nodes are owed in a table of the program's own; package client/journal has a file.
type table struct {
	mu   sync.Mutex // guards owed
	owed map[client.DebtRecord]bool
}

// row is a record without when it was owed, and whether it is paid.
func row(r client.DebtRecord) client.DebtRecord {
	return client.DebtRecord{Node: r.Node, Key: r.Key}
}

func (t *table) Load() (all []client.DebtRecord, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for r := range t.owed {
		all = append(all, r)
	}
	return all, nil
}

func (t *table) Write(changes []client.DebtRecord) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range changes {
		if r.Paid {
			delete(t.owed, row(r))
		} else {
			t.owed[row(r)] = true
		}
	}
	return nil
}

// A delete that a node could not be told outlives the process that owes it.
func ExampleDebtJournal() {
	nodes, stop := start()
	stop() // nobody is there
	owed := &table{owed: map[client.DebtRecord]bool{}}
	c, err := client.New(client.Config{Nodes: nodes[:1], DebtJournal: owed})
	if err != nil {
		panic(err)
	}
	out, err := c.Delete(context.Background(), "user:42")
	fmt.Println(out.Owed, err != nil)
	if err := c.Close(); err != nil { // writes what is not written yet
		panic(err)
	}
	records, err := owed.Load()
	fmt.Println(len(records), records[0].Key, records[0].Node != "", err)
	// Output:
	// 1 true
	// 1 user:42 true <nil>
}

// Nodes that ask for a name and a password: memcached's -Y.
func ExampleAuth() {
	srv, err := nodeserver.Start(nodeserver.Config{Users: nodeserver.Users{"app": "correct-horse"}})
	if err != nil {
		panic(err)
	}
	defer srv.Close()
	c, err := client.New(client.Config{Nodes: ring.Addrs(srv.Addr().String()), Auth: &client.Auth{Username: "app", Password: "correct-horse"}})
	if err != nil {
		panic(err)
	}
	defer c.Close()
	fmt.Println(c.Ping(context.Background()))
	// Output: <nil>
}

// Nodes that speak TLS, memcached's -Z, with certificates of an authority of one's own.
func ExampleConfig_tls() {
	web := httptest.NewTLSServer(nil) // has a certificate for 127.0.0.1
	defer web.Close()
	srv, err := nodeserver.Start(nodeserver.Config{TLS: &tls.Config{Certificates: web.TLS.Certificates}})
	if err != nil {
		panic(err)
	}
	defer srv.Close()

	authority := x509.NewCertPool()
	authority.AddCert(web.Certificate()) // in a program: AppendCertsFromPEM of its file
	c, err := client.New(client.Config{
		Nodes: ring.Addrs(srv.Addr().String()), // the certificate is verified against the host
		TLS:   &tls.Config{RootCAs: authority},
	})
	if err != nil {
		panic(err)
	}
	defer c.Close()
	fmt.Println(c.Ping(context.Background()))
	// Output: <nil>
}

// What each node's server can do; the client asks with every connection.
func ExampleTier() {
	nodes, stop := start()
	defer stop()
	c, err := client.New(client.Config{Nodes: nodes[:1]})
	if err != nil {
		panic(err)
	}
	defer c.Close()
	if err := c.Ping(context.Background()); err != nil {
		panic(err)
	}
	fmt.Println(c.Nodes()[0].Tier >= client.Tier1)
	// Output: true
}

func ExampleClient_StatsOf() {
	nodes, stop := start()
	defer stop()
	c, err := client.New(client.Config{Nodes: nodes})
	if err != nil {
		panic(err)
	}
	defer c.Close()
	var group client.StatsGroup = client.StatsSettings
	stats, err := c.StatsOf(context.Background(), group)
	fmt.Println(len(stats), "nodes", err)
	for _, s := range stats {
		fmt.Println(s["maxbytes"] != "")
	}
	// Output:
	// 2 nodes <nil>
	// true
	// true
}
