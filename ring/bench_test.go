package ring

import (
	"fmt"
	"testing"
)

// benchFleet returns n nodes of the names a data centre would give them.
func benchFleet(n int) []Node {
	nodes := make([]Node, n)
	for i := range nodes {
		nodes[i].Addr = fmt.Sprintf("cache-%04d.example.net:11211", i)
	}
	return nodes
}

func benchLookup(b *testing.B, cfg Config) {
	r, err := New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	keys := make([]string, 1<<12)
	for i := range keys {
		keys[i] = fmt.Sprintf("user:%011d", i*7919)
	}
	b.ReportAllocs()
	var sum, i int
	for b.Loop() {
		list := r.Lookup(keys[i&(len(keys)-1)])
		sum += int(list[len(list)-1]) // a caller reads the list
		i++
	}
	if sum < 0 {
		b.Fatal("a negative index")
	}
}

func BenchmarkLookup10(b *testing.B)   { benchLookups(b, 10) }
func BenchmarkLookup1000(b *testing.B) { benchLookups(b, 1000) }

func benchLookups(b *testing.B, n int) {
	for _, p := range []Placement{Rendezvous, Classic, Ketama} {
		b.Run(p.String(), func(b *testing.B) {
			benchLookup(b, Config{Nodes: benchFleet(n), Placement: p, Copies: 3})
		})
	}
}

func BenchmarkNew(b *testing.B) {
	weights := func(nodes []Node) {
		for i := range nodes {
			nodes[i].Weight = 1 + i%5
		}
	}
	zones := func(nodes []Node) {
		for i := range nodes {
			nodes[i].Zone = string(rune('a' + i%3))
		}
	}
	for _, bc := range []struct {
		name      string
		n, copies int
		p         Placement
		change    func([]Node)
	}{
		{"rendezvous-3", 3, 2, Rendezvous, nil},
		{"rendezvous-10", 10, 2, Rendezvous, nil},
		{"rendezvous-100", 100, 2, Rendezvous, nil},
		{"rendezvous-5-weighted", 5, 2, Rendezvous, weights},
		{"rendezvous-12-weighted", 12, 2, Rendezvous, weights},
		{"rendezvous-1000", 1000, 3, Rendezvous, nil},
		{"rendezvous-1000-weighted", 1000, 3, Rendezvous, weights},
		{"rendezvous-1000-zones", 1000, 3, Rendezvous, zones},
		{"rendezvous-1000-8copies-3zones", 1000, 8, Rendezvous, zones},
		{"classic-10", 10, 2, Classic, nil},
		{"classic-1000", 1000, 3, Classic, nil},
		{"ketama-1000", 1000, 3, Ketama, nil},
	} {
		b.Run(bc.name, func(b *testing.B) {
			cfg := Config{Nodes: benchFleet(bc.n), Placement: bc.p, Copies: bc.copies}
			if bc.change != nil {
				bc.change(cfg.Nodes)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := New(cfg); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
