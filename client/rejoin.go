package client

import (
	"context"
	"strconv"
	"time"

	"github.com/memherd/memherd/client/internal/health"
	"github.com/memherd/memherd/client/internal/pipe"
)

// When a node that was down answers again, what it holds may be old: this client paid its
// debt, but others may owe it something too, and need their time to notice and to pay. So
// reads keep away from it for RejoinDelay more (consistency rule 15). Not if it is another
// process, which came up empty: that one is read at once. And if that was started after
// the last key was owed to its predecessor, nothing is owed to it at all (rule 14).

// process tells one run of a server from another.
type process struct {
	pid     string
	started time.Time // to about 2 s
	unknown bool      // somebody ran there, and nobody knows who
}

// Uptime counts whole seconds of a clock that ticks once a second, memcached's begins at 2,
// and the question takes a while.
const (
	// sameStart is by how much two readings of one process's start may differ.
	sameStart = 3 * time.Second
	// startSlack is by how much a process may seem to have started before the old one was
	// found gone, and yet have come after it.
	startSlack = 5 * time.Second
	// startLate is by how much a process may have started before it seems to have.
	startLate = 2 * time.Second
)

// process asks the node who it is; ok is false if it doesn't say.
func (n *node) askProcess(ctx context.Context, conn *pipe.Conn) (p process, ok bool) {
	stats, err := n.askStats(ctx, conn, string(StatsGeneral))
	if err != nil {
		return p, false
	}
	return processOf(stats)
}

// processOf finds the process in general statistics.
func processOf(stats []string) (p process, ok bool) {
	for i := 0; i+1 < len(stats); i += 2 {
		switch stats[i] {
		case "pid":
			p.pid = stats[i+1]
		case "uptime":
			s, err := strconv.ParseInt(stats[i+1], 10, 32)
			if ok = err == nil && s >= 0; ok {
				p.started = time.Now().Add(-time.Duration(s) * time.Second)
			}
		}
	}
	return p, ok && p.pid != ""
}

// another reports whether p is surely another process than old, one that was started when
// that was gone. A server of another number that has run for long is somebody else behind the
// same address, and what it holds is as old as it is. In containers all have the number 1.
func (p process) another(old process, gone time.Time) bool {
	return p.started.After(gone.Add(-startSlack)) && (p.pid != old.pid || p.started.After(old.started.Add(sameStart)))
}

// recognise learns who runs at the node now that it answers, and draws the conclusion:
// how long reads have to keep away from it once it is owed nothing.
func (n *node) recognise() (quarantine time.Duration) {
	ctx, cancel := context.WithTimeout(n.c.ctx, n.c.cfg.Timeout)
	defer cancel()
	conn, err := n.conn(ctx, 0)
	if err != nil {
		return n.c.cfg.rejoinDelay()
	}
	p, ok := n.askProcess(ctx, conn)
	if !ok {
		return n.c.cfg.rejoinDelay()
	}
	n.mu.Lock()
	old, gone := n.proc, n.downSince
	n.proc = &p
	n.mu.Unlock()
	fresh := p.started.Add(-startLate).After(gone) // if nobody knows who ran there before
	if old != nil && !old.unknown {
		fresh = p.another(*old, gone)
	}
	if !fresh {
		return n.c.cfg.rejoinDelay()
	}
	n.debt.ForgiveBefore(p.started.Add(-startLate))
	return 0
}

// quarantine notes that reads keep away from the node until then though it is owed nothing.
func (n *node) quarantine(until time.Time, d time.Duration) {
	n.mu.Lock()
	n.quarantined = until
	n.mu.Unlock()
	n.c.counters.quarantines.Add(1)
	n.c.cfg.Hooks.quarantined(n.Name, d)
}

// inQuarantine reports whether that is so now.
func (n *node) inQuarantine() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.breaker.State() == health.Mending && time.Now().Before(n.quarantined)
}

// introduce learns who runs at a node that is well, if no connection has when it was opened.
func (n *node) introduce(ctx context.Context, conn *pipe.Conn) {
	if n.introduced() {
		return
	}
	if p, ok := n.askProcess(ctx, conn); ok {
		n.know(p)
	}
}

// introduced reports whether it is known who runs at the node, or ran there last.
func (n *node) introduced() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.proc != nil
}

// know takes p for who runs at the node, if nobody is known.
func (n *node) know(p process) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.proc == nil {
		n.proc = &p
	}
}

func (cfg *Config) rejoinDelay() time.Duration { return max(cfg.RejoinDelay, 0) }
