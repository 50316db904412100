package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// livePage is the HTTP server of a run's live page. It listens from the start, so that a bad address is told
// before anything runs, and answers 503 until there is something to show.
type livePage struct {
	srv     *http.Server
	handler atomic.Pointer[http.Handler]
	served  sync.WaitGroup
}

// servePage listens on addr and says on out where to look. The server runs until close.
func servePage(addr string, out io.Writer) (*livePage, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("-http %s: %w", addr, err)
	}
	p := &livePage{}
	p.srv = &http.Server{Handler: p, ReadHeaderTimeout: 10 * time.Second}
	p.served.Go(func() { p.srv.Serve(ln) }) // ends with close
	fmt.Fprintf(out, "live page: http://%s/\n\n", ln.Addr())
	return p, nil
}

// show serves h from now on.
func (p *livePage) show(h http.Handler) { p.handler.Store(&h) }

func (p *livePage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h := p.handler.Load(); h != nil {
		(*h).ServeHTTP(w, r)
		return
	}
	http.Error(w, "the run has not begun yet", http.StatusServiceUnavailable)
}

// close ends the server and waits for it; requests under way are cut off.
func (p *livePage) close() {
	p.srv.Close()
	p.served.Wait()
}
