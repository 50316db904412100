package events

import (
	"context"
	"log/slog"
	"math/bits"
	"reflect"
	"sync"
	"time"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/hotkey"
)

// Attach has the client that cfg is for write its events to log, besides what cfg's hooks do already. It must be
// called before client.New. With cfg.HotKeys nil there are no events of hot keys.
func Attach(cfg *client.Config, log *slog.Logger) {
	cfg.Hooks = Join(cfg.Hooks, Hooks(log))
	if cfg.HotKeys == nil {
		return
	}
	hot := *cfg.HotKeys
	promoted, demoted := eachSecond(log, "keys became hot"), eachSecond(log, "keys are hot no longer")
	hot.OnPromote = both(hot.OnPromote, promoted)
	hot.OnDemote = both(hot.OnDemote, demoted)
	cfg.HotKeys = &hot
}

// Hooks are client.Hooks that write to log. Warn is for what somebody should look at: a node down, debt beyond
// the limit, clients that place keys differently, a journal that fails; Info for what passes by itself; Debug for
// single calls.
func Hooks(log *slog.Logger) client.Hooks {
	ctx := context.Background()
	owed := depths{seen: map[string]int{}}
	return client.Hooks{
		NodeDown: func(node string, cause error) { log.Warn("node is down", "node", node, "cause", cause) },
		Quarantined: func(node string, d time.Duration) {
			log.Info("node is back and kept out of reads", "node", node, "for", d)
		},
		NodeUp: func(node string, paid int) {
			owed.forget(node)
			log.Info("node is read again", "node", node, "paid", paid)
		},
		ConnLost: func(node string, cause error) { log.Info("connection lost", "node", node, "cause", cause) },
		Owed: func(node string, depth int) {
			if owed.grown(node, depth) {
				log.Info("node is owed deletes", "node", node, "keys", depth)
			}
		},
		DebtOverflow: func(node string) {
			log.Warn("node is owed more than can be remembered, and not read until Readmit", "node", node)
		},
		JournalFailed: func(err error) { log.Warn("debt journal failed", "cause", err) },
		Failover: func(op, node string, cause error) {
			if log.Enabled(ctx, slog.LevelDebug) {
				log.Debug("read goes to the next copy", "op", op, "node", node, "cause", cause)
			}
		},
		LeaseLost: func(node string) {
			if log.Enabled(ctx, slog.LevelDebug) {
				log.Debug("fill refused: the key was written or deleted meanwhile", "node", node)
			}
		},
		TierLearned: func(node string, tier client.Tier, version string) {
			log.Info("node's server", "node", node, "tier", tier, "version", version)
		},
		NodeSlow: func(node string, took, others time.Duration) {
			log.Warn("node is slow, reads go around it", "node", node, "median", took, "others", others)
		},
		EpochChanged: func(node string) { log.Info("node has lost its memory", "node", node) },
		PlacementDiffers: func(node, ours, theirs string) {
			log.Warn("another client places keys differently", "node", node, "ours", ours, "theirs", theirs)
		},
		TopologyAnnounced: func(joining, leaving []string) {
			log.Info("change of the fleet announced", "joining", joining, "leaving", leaving)
		},
		TopologyChanged: func(nodes int) { log.Info("fleet changed", "nodes", nodes) },
	}
}

// depths remembers how deep in debt each node was when that was last written.
type depths struct {
	mu   sync.Mutex     // guards seen
	seen map[string]int // by node: bits of the depth
}

// grown says whether the debt has doubled since it was last true.
func (d *depths) grown(node string, depth int) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if n := bits.Len(uint(depth)); n > d.seen[node] {
		d.seen[node] = n
		return true
	}
	return false
}

func (d *depths) forget(node string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.seen, node)
}

// eachSecond writes how often it was called, at most once a second; calls of the last second before silence
// are written with the next.
func eachSecond(log *slog.Logger, text string) func(string, hotkey.Level) {
	var mu sync.Mutex // guards n and next
	var n int
	var next time.Time
	return func(_ string, level hotkey.Level) {
		now := time.Now()
		mu.Lock()
		n++
		count := n
		if now.Before(next) {
			mu.Unlock()
			return
		}
		n, next = 0, now.Add(time.Second)
		mu.Unlock()
		log.Info(text, "keys", count, "level", level.String())
	}
}

func both(a, b func(string, hotkey.Level)) func(string, hotkey.Level) {
	if a == nil {
		return b
	}
	return func(key string, level hotkey.Level) {
		a(key, level)
		b(key, level)
	}
}

// Join returns hooks that call a's and then b's.
func Join(a, b client.Hooks) client.Hooks {
	var out client.Hooks
	va, vb, vo := reflect.ValueOf(a), reflect.ValueOf(b), reflect.ValueOf(&out).Elem()
	for i := range vo.NumField() {
		fa, fb := va.Field(i), vb.Field(i)
		switch {
		case fa.IsNil():
			vo.Field(i).Set(fb)
		case fb.IsNil():
			vo.Field(i).Set(fa)
		default:
			vo.Field(i).Set(reflect.MakeFunc(fa.Type(), func(args []reflect.Value) []reflect.Value {
				fa.Call(args)
				fb.Call(args)
				return nil
			}))
		}
	}
	return out
}
