package nodeserver

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/memherd/memherd/client/memproto"
	"github.com/memherd/memherd/nodeserver/store"
)

// Version is what the version command answers. The number is that of the memcached
// whose protocol a node speaks, so that clients that choose features by it choose
// right; the suffix says who is really speaking. With a Profile see Profile.Version.
const Version = "1.6.40" + versionSuffix

const versionSuffix = "-memherd"

// Config says how a node runs. The zero value is a node on a free port of 127.0.0.1
// with memcached's limits.
type Config struct {
	// Addr is where to listen: "host:port", "unix:/path", or any name on Network.
	// Default "127.0.0.1:0", a free port; see Server.Addr.
	Addr string
	// Network, when set, is the in-memory network to listen on instead of a real one.
	Network *MemNetwork
	// MaxBytes bounds the memory of all that is stored, with its index (-m). Default
	// 64 MiB, at least 4 KiB. Memory is taken as it is needed.
	MaxBytes int64
	// MaxItemBytes bounds one item with its key and header (-I). Default 1 MiB, at
	// most 1 GiB.
	MaxItemBytes int64
	// Eviction says which items go when room is needed. Default store.LRU.
	Eviction store.Policy
	// NoEvict answers that there is no memory instead of evicting (-M).
	NoEvict bool
	// Backlog is how many connections may wait to be accepted (-b), on TCP and Unix sockets
	// of Unix systems. Default, and the most: what the system allows.
	Backlog int
	// TurnCommands is how many commands of one connection are executed in a row while others
	// wait (-R). Default: as many as its 8 latest reads have brought.
	TurnCommands int
	// MaxConns bounds the open connections (-c); more are told so and closed. Default
	// 1,024.
	MaxConns int
	// Loops says who serves TCP and Unix connections on Linux. Default: GOMAXPROCS
	// goroutines that look after all of them together. More than 0: so many, each with a
	// thread of its own, for a process that does nothing else, like memnode, which has one a
	// processor, and GOMAXPROCS one higher, without which the runtime takes the loops' Ps away
	// all the time. Negative: every connection has a goroutine, as it has with TLS or
	// Intercept, on a Network, and on other systems.
	Loops int
	// IdleTimeout closes connections that send nothing for so long, except those that watch.
	// 0 is never.
	IdleTimeout time.Duration
	// WriteTimeout closes connections whose peer takes nothing of its replies for so
	// long. Default 30 s.
	WriteTimeout time.Duration
	// Users, when there are any, are the only ones let in: a connection has to log in as
	// with memcached's -Y before anything else is answered. See ReadUsers.
	Users Users
	// TLS, when set, is spoken on every listener (-Z). Network's connections speak none.
	TLS *tls.Config
	// Admin says which administrative commands are obeyed.
	Admin Admin
	// Profile is the memcached whose protocol the node speaks. Default: the newest.
	Profile Profile
	// Now is the clock that TTLs are counted on. Default time.Now.
	Now func() time.Time
	// Intercept, when set, sees each well-formed command before it is executed, with
	// its data block in Value, and says what happens to it. It is called from many
	// goroutines, one per connection. The request is its for the call only.
	Intercept func(peer net.Addr, r *memproto.Request) Verdict
	// Logger takes the node's few messages: refused connections, accept errors. They
	// never hold keys or values. Default none.
	Logger *slog.Logger
}

// Verdict is Intercept's decision. The zero value executes the command as usual.
type Verdict struct {
	// Delay waits before anything else; what was answered before is sent first.
	Delay time.Duration
	// Drop closes the connection instead of executing the command.
	Drop bool
	// DropAfter executes the command, then closes the connection without answering
	// it: the client cannot know what became of it.
	DropAfter bool
	// Reply, when not nil, is sent as it is instead of executing the command.
	Reply []byte
}

const (
	defaultAddr         = "127.0.0.1:0"
	defaultMaxConns     = 1024
	defaultWriteTimeout = 30 * time.Second
)

// withDefaults returns a copy of cfg with the defaults filled in, or says what is
// wrong with it.
func (cfg Config) withDefaults() (Config, error) {
	if cfg.Addr == "" {
		cfg.Addr = defaultAddr
	}
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = store.DefaultMaxBytes
	}
	if cfg.MaxItemBytes == 0 {
		cfg.MaxItemBytes = min(store.DefaultMaxItemBytes, cfg.MaxBytes)
	}
	if cfg.MaxConns == 0 {
		cfg.MaxConns = defaultMaxConns
	}
	if cfg.WriteTimeout == 0 {
		cfg.WriteTimeout = defaultWriteTimeout
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if err := cfg.Users.check(); err != nil {
		return cfg, err
	}
	switch {
	case cfg.MaxBytes < 0:
		return cfg, fmt.Errorf("nodeserver: MaxBytes %d is negative", cfg.MaxBytes)
	case cfg.Backlog < 0 || cfg.TurnCommands < 0:
		return cfg, errors.New("nodeserver: Backlog or TurnCommands is negative")
	case cfg.MaxConns < 0:
		return cfg, fmt.Errorf("nodeserver: MaxConns %d is negative", cfg.MaxConns)
	case cfg.Profile >= numProfiles:
		return cfg, fmt.Errorf("nodeserver: there is no Profile %d", cfg.Profile)
	case cfg.IdleTimeout < 0 || cfg.WriteTimeout < 0:
		return cfg, errors.New("nodeserver: a timeout is negative")
	}
	return cfg, nil
}
