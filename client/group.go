package client

import "sync"

// group owns the goroutines a client starts, so that Close can join them. It is a
// WaitGroup that refuses to start anything once it is being waited for: a bare
// WaitGroup must not be added to from zero while somebody waits.
type group struct {
	mu     sync.Mutex // guards closed, and orders Add before Wait
	closed bool
	wg     sync.WaitGroup
}

// Go runs f on a goroutine; false, without running it, once close was called. It may
// be called with locks held: it starts f elsewhere or not at all.
func (g *group) Go(f func()) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.wg.Go(f)
	return true
}

// close stops further goroutines.
func (g *group) close() {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
}

func (g *group) wait() { g.wg.Wait() }
