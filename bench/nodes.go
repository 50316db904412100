package main

import (
	"fmt"
	"strings"

	"github.com/memherd/memherd/bench/internal/fleet"
)

type nodesCmd struct {
	N    int `short:"n" default:"3" help:"How many nodes."`
	Port int `short:"p" default:"21211" help:"Port of the first; the others follow."`
}

func (c *nodesCmd) Run(e *env) error {
	if c.N < 1 || c.N > maxNodes {
		return usagef("-n %d: give a number of nodes from 1 to %d", c.N, maxNodes)
	}
	if c.Port < 1 || c.Port+c.N-1 > 65535 {
		return usagef("-p %d: ports %d to %d must lie between 1 and 65535", c.Port, c.Port, c.Port+c.N-1)
	}
	f, err := fleet.Start(c.N, c.Port)
	if err != nil {
		return usageError{err}
	}
	var addrs []string
	for _, n := range f.Nodes() {
		addrs = append(addrs, n.Addr)
	}
	all := strings.Join(addrs, ",")
	are := "nodes are"
	if c.N == 1 {
		are = "node is"
	}
	fmt.Fprintf(e.stdout, `%d %s up: %s

  talk to one:        telnet 127.0.0.1 %d     (try: set a 0 0 5, hello, get a, stats, quit)
  store a file:       memccp --servers=%s FILE
  and read it back:   memccat --servers=%s FILE
  put load on them:   go run ./bench run -servers %s

Ctrl-C ends them; what they hold is gone then.
`, c.N, are, all, c.Port, all, all, all)
	<-e.ctx.Done()
	fmt.Fprintln(e.stdout, "\nending the nodes")
	return f.Close()
}
