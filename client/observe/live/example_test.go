package live_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/observe/live"
	"github.com/memherd/memherd/client/observe/metrics"
	"github.com/memherd/memherd/ring"
)

func ExampleHandler() {
	c, err := client.New(client.Config{Nodes: ring.Addrs("10.0.0.1:11211")})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	h, err := live.New(live.Config{Source: metrics.Source{Client: c}})
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.Handle("/debug/memherd/", h) // on an address that only operators reach

	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest("GET", "/debug/memherd/", nil))
	fmt.Println(w.Code, w.Header().Get("Content-Type"))
	// Output: 200 text/html; charset=utf-8
}

// What the page shows, for programs.
func ExampleData() {
	c, err := client.New(client.Config{Nodes: ring.Addrs("10.0.0.1:11211")})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	h, err := live.New(live.Config{Source: metrics.Source{Client: c}, Keys: live.KeysHashed})
	if err != nil {
		fmt.Println(err)
		return
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/debug/memherd/data.json", nil))
	var d live.Data
	if err := json.Unmarshal(w.Body.Bytes(), &d); err != nil {
		fmt.Println(err)
		return
	}
	for _, n := range d.Nodes {
		fmt.Println(n.Name, n.Requests)
	}
	// Output: 10.0.0.1 0
}
