package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"net"
	"time"

	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/hotkey"
	"github.com/memherd/memherd/ring"
)

// Config is the set-up of a Client. Only Nodes is required; the zero value of every
// other field is a good choice. New copies it.
type Config struct {
	// Nodes are the servers, for example ring.Addrs("10.0.0.1:11211"). Required.
	Nodes []ring.Node
	// Placement is how keys are placed on the nodes; zero is ring.Rendezvous. All
	// clients of a fleet must agree on it, on VirtualNodes, KeyTag and Nodes. A fleet shared
	// with clients in other languages wants ring.Ketama or ring.KetamaHostPort.
	Placement ring.Placement
	// VirtualNodes is the number of points a node has on a ring.Classic ring, or on a
	// ketama ring of a fixed number; 0 is that placement's default.
	VirtualNodes int
	// KeyTag, two characters such as "{}", keeps keys together that have the same text between
	// them; empty turns it off. See ring.Config.
	KeyTag string
	// ReplicationFactor is the number of copies of each key; 0 means 1. More than
	// there are nodes is an error.
	ReplicationFactor int
	// ReadZone, if set, is the zone of the nodes that reads prefer, as the nodes have it: a
	// read goes to the key's copy there, and to the owner if it is missed. ring puts
	// the copies of a key into different zones where it can. Some node must be in it.
	ReadZone string
	// FailoverRMW lets the next copy of a key take its owner's part in Add, Replace,
	// CompareAndSwap, Append, Prepend and the counters while that is down. Two clients that
	// disagree on who is down may then both be granted one lock, or count on two copies: the default
	// is ErrOwnerDown. When the owner is back, what its stand-in has is deleted.
	FailoverRMW bool
	// MinWriteAcks is how many copies must confirm a write for it to be no error; 0
	// means 1. Whatever it is, a write waits for all live copies and owes the others.
	MinWriteAcks int

	// Keys says which keys the client takes; zero is PlainKeys. AnyKeys encodes what a
	// node would not take. Placement hashes the caller's key under either.
	Keys KeyForm

	// Timeout bounds each try on a node, 0 means 250 ms; 10 µs is the least. A sooner deadline of the
	// context wins. A node whose reply is overdue by it counts as down.
	Timeout time.Duration
	// DialTimeout bounds connecting; 0 means 250 ms, 10 µs is the least.
	DialTimeout time.Duration
	// ConnsPerNode is the most connections to a node, 0 means 2. The second is
	// opened when the first is crowded.
	ConnsPerNode int
	// HedgeAfter is how long a Get, a GetMulti, or the read of a Lease, waits for its copy before the next one is
	// asked, too, and the first answer taken; at most 5 % of the reads are. 0 is never; HedgeAuto is
	// twice the 95th percentile of the last second, 1 ms at least. It is of use with two
	// copies and more, where single replies are late: packets are lost, a node stalls. A node
	// that is slow altogether is read around anyway. It costs a read some 5 small allocations.
	HedgeAfter time.Duration
	// RetryBudget is the share of reads that may be asked of another copy after one failed that may
	// have been sent; 0 means 0.1, 1 and more bounds nothing, NoRetries allows none. 1,024 are
	// saved up. Beyond it the read fails. What was surely not sent may always be.
	RetryBudget float64
	// MaxInFlight is how many requests may be under way to a node before further
	// ones fail at once with ErrBusy; 0 means 1,024. A multi-key call sends up to 128
	// requests a node at a time, which count as one.
	MaxInFlight int
	// MaxValueBytes is the largest value written or read, 0 means 1 MiB less 1 KiB
	// for the node's own bookkeeping. Set it with the nodes' -I.
	MaxValueBytes int
	// DialContext opens connections; network is "tcp" or "unix". nil uses a net.Dialer
	// as Go sets it up, but for KeepAlive: TCP_NODELAY is on.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)
	// KeepAlive is after how much silence TCP probes go out on a connection, and how long after each other, nine
	// times; the system counts seconds. 0 is 15 s, NoKeepAlive sends none. They only find what the client has not:
	// it pings every idle connection once a second. With DialContext, which sees to its connections
	// itself, it must be 0.
	KeepAlive time.Duration
	// TLS, if set, secures every connection. The node's certificate is verified
	// against the host of its Addr unless ServerName says otherwise; with Unix
	// sockets ServerName is required. A failed handshake is a failed dial: there is
	// no way back to plain text.
	TLS *tls.Config
	// Auth, if set, logs in on every connection before anything else is sent.
	Auth *Auth

	// Gutter are spare nodes, none of Nodes: while no copy of a key can be read, because its nodes
	// are down or not readable yet, it is read from one of them, and what is loaded or Set
	// meanwhile is stored there. Meant for ReplicationFactor 1. All clients of a fleet should have
	// the same. One client may read there for up to GutterTTL what another, which has not noticed the
	// outage, has deleted. Read-modify-write does not use them, but for taking back what is there.
	Gutter []ring.Node
	// GutterTTL is the longest life of a key on a gutter node; 0 means 10 s, at least 2 s.
	GutterTTL time.Duration
	// HotKeys turns the near-cache on; nil means that hot keys are detected and
	// reported but every read goes to a node. &hotkey.Config{} serves the hottest
	// keys from memory, up to 50 ms old, and reads the hot ones from all their copies in turn.
	HotKeys *hotkey.Config
	// DebtLimit is how many keys a node may be owed; 0 means 1,000,000. Beyond it
	// the node is not read until Readmit.
	DebtLimit int
	// DebtJournal keeps what nodes are owed beyond the end of the process: client/journal has
	// one. What changes is written within 10 ms, in the background, so that a crash may lose the
	// last of it. nil keeps it in memory alone.
	DebtJournal DebtJournal
	// ColdWindow is how long a node that lost its memory, or has joined the fleet, is taken to
	// lack keys that their other copies have: a miss there asks those, and hits bring
	// keys back to it. 0 means 10 min, NoColdWindow that a miss is a miss at once. It is
	// of use with two copies and more.
	ColdWindow time.Duration
	// Announce is how long SetNodes lets reads go by the list before, so that all clients
	// hear of the new one before any reads by it: at least twice as long as it takes the last
	// of them to hear of it, twice the interval at which lists are asked for. 0 means 10 s.
	// NoAnnounce lets reads switch at once: only for a client that has the nodes to itself.
	Announce time.Duration
	// MigrationWindow is how long after a switch what a key's new copies miss is looked for
	// on the old ones, and copied from there. 0 means 10 min, NoMigrationWindow that keys which
	// move are missed. As long as it is open each node
	// keeps an item beside the sentinel that tells processes which start meanwhile of the lists; one on Tier0 nodes, or
	// without a sentinel, doesn't learn of them, and what it deletes may come back from the old copies.
	MigrationWindow time.Duration
	// LeftoverWindow is how long nodes that stay in the fleet hear of changes of the keys that have moved away
	// from them: they may own them again one day, and then hold no values from before. 0 means 24 h,
	// NoLeftoverWindow not beyond the MigrationWindow. What lives longer on a node that is given a key
	// back later may be read there as it was. The lists of the latest 32 changes are remembered, which cost 2 MiB
	// of memory a copy each.
	LeftoverWindow time.Duration
	// RejoinDelay is how long a node that was down, and is the same process as before, is kept
	// out of reads after it has heard of everything this client owes it: other clients need
	// that time to do the same. 0 means 2 s, NoRejoinDelay none; a node that was
	// restarted is read at once.
	RejoinDelay time.Duration
	// LeaseTTL is how long the winner of a lease has to fill, 0 means 10 s, clamped
	// to 2 s to 60 s.
	LeaseTTL time.Duration
	// EpochKey is the item of each node by which clients tell that its memory was lost or
	// flushed, and with it the meaning of tokens; empty means DefaultEpochKey. Every
	// connection makes it if it is missing, an item of 16 bytes without an end. Beside it, under
	// this key and ":placement", clients compare where they place keys. NoEpoch
	// is for nodes on which nothing may be written: they have no near-cache, and leases
	// and CAS tokens end with any connection to the node.
	EpochKey string
	// Hooks observe the client.
	Hooks Hooks
}

// Defaults of Config.
const (
	DefaultTimeout       = 250 * time.Millisecond
	DefaultDialTimeout   = 250 * time.Millisecond
	DefaultConnsPerNode  = 2
	DefaultMaxInFlight   = 1024
	DefaultMaxValueBytes = 1<<20 - 1<<10
	DefaultDebtLimit     = 1_000_000
	DefaultLeaseTTL      = 10 * time.Second
	DefaultRejoinDelay   = 2 * time.Second
	DefaultColdWindow    = 10 * time.Minute
	DefaultRetryBudget   = 0.1
	DefaultAnnounce      = 10 * time.Second
	DefaultMigration     = 10 * time.Minute
	DefaultLeftovers     = 24 * time.Hour

	minLeaseTTL     = 2 * time.Second
	maxLeaseTTL     = 60 * time.Second
	maxConnsPerNode = 16

	// maxTimeout is as good as none, and several times as long is a duration still.
	maxTimeout = 365 * 24 * time.Hour
	// minTimeout is less than any node takes, and more than what is meant in seconds or milliseconds comes to
	// without its unit.
	minTimeout = 10 * time.Microsecond
)

// NoRejoinDelay as Config.RejoinDelay has nodes read as soon as this client owes them
// nothing.
const NoRejoinDelay time.Duration = -1

// NoKeepAlive as Config.KeepAlive sends no probes.
const NoKeepAlive time.Duration = -1

// NoRetries as Config.RetryBudget has a read fail with its first copy that may have heard of it.
const NoRetries = -1

// NoColdWindow as Config.ColdWindow restores nothing.
const NoColdWindow time.Duration = -1

// NoAnnounce as Config.Announce has SetNodes take effect at once.
const NoAnnounce time.Duration = -1

// NoMigrationWindow as Config.MigrationWindow copies nothing from the copies a key had before.
const NoMigrationWindow time.Duration = -1

// NoLeftoverWindow as Config.LeftoverWindow leaves what has moved where it was.
const NoLeftoverWindow time.Duration = -1

// ErrConfig is what every error of New and SetNodes about bad settings is to
// errors.Is, besides the causes of package ring.
var ErrConfig = errors.New("memherd: bad client configuration")

func configError(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrConfig}, args...)...)
}

// withDefaults checks cfg and fills its zeros.
func (cfg Config) withDefaults() (Config, error) {
	for _, f := range []struct {
		name string
		v    int64
	}{
		{"VirtualNodes", int64(cfg.VirtualNodes)}, {"ReplicationFactor", int64(cfg.ReplicationFactor)},
		{"MinWriteAcks", int64(cfg.MinWriteAcks)}, {"Timeout", int64(cfg.Timeout)},
		{"DialTimeout", int64(cfg.DialTimeout)}, {"ConnsPerNode", int64(cfg.ConnsPerNode)},
		{"MaxInFlight", int64(cfg.MaxInFlight)}, {"MaxValueBytes", int64(cfg.MaxValueBytes)},
		{"DebtLimit", int64(cfg.DebtLimit)}, {"LeaseTTL", int64(cfg.LeaseTTL)},
	} {
		if f.v < 0 {
			return cfg, configError("%s is negative; 0 chooses the default", f.name)
		}
	}
	orInt(&cfg.ReplicationFactor, 1)
	orInt(&cfg.MinWriteAcks, 1)
	orInt(&cfg.ConnsPerNode, DefaultConnsPerNode)
	orInt(&cfg.MaxInFlight, DefaultMaxInFlight)
	orInt(&cfg.MaxValueBytes, DefaultMaxValueBytes)
	orInt(&cfg.DebtLimit, DefaultDebtLimit)
	orDuration(&cfg.Timeout, DefaultTimeout)
	orDuration(&cfg.DialTimeout, DefaultDialTimeout)
	for _, f := range []struct {
		name string
		d    time.Duration
	}{{"Timeout", cfg.Timeout}, {"DialTimeout", cfg.DialTimeout}} {
		if f.d < minTimeout {
			return cfg, configError("%s is %v, in which no node answers: a number alone counts nanoseconds, give it a unit, as 250*time.Millisecond", f.name, f.d)
		}
	}
	cfg.Timeout, cfg.DialTimeout = min(cfg.Timeout, maxTimeout), min(cfg.DialTimeout, maxTimeout)
	orDuration(&cfg.LeaseTTL, DefaultLeaseTTL)
	orDuration(&cfg.RejoinDelay, DefaultRejoinDelay)
	orDuration(&cfg.ColdWindow, DefaultColdWindow)
	if cfg.RetryBudget == 0 {
		cfg.RetryBudget = DefaultRetryBudget
	}
	if cfg.RetryBudget < 0 && cfg.RetryBudget != NoRetries || math.IsNaN(cfg.RetryBudget) {
		return cfg, configError("RetryBudget is %v: use a share from 0 to 1, or NoRetries", cfg.RetryBudget)
	}
	if cfg.HedgeAfter < 0 && cfg.HedgeAfter != HedgeAuto {
		return cfg, configError("HedgeAfter is negative; 0 hedges nothing, HedgeAuto by what is measured")
	}
	orDuration(&cfg.GutterTTL, DefaultGutterTTL)
	if cfg.GutterTTL < 2*time.Second {
		return cfg, configError("GutterTTL is %v; 0 chooses the default, and 2s is the least", cfg.GutterTTL)
	}
	if len(cfg.Gutter) > 0 && cfg.EpochKey == NoEpoch {
		return cfg, configError("Gutter needs nodes with a sentinel: EpochKey must not be NoEpoch")
	}
	orDuration(&cfg.Announce, DefaultAnnounce)
	orDuration(&cfg.MigrationWindow, DefaultMigration)
	orDuration(&cfg.LeftoverWindow, DefaultLeftovers)
	for _, f := range []struct {
		name string
		v    time.Duration
	}{
		{"ColdWindow", cfg.ColdWindow}, {"RejoinDelay", cfg.RejoinDelay},
		{"Announce", cfg.Announce}, {"MigrationWindow", cfg.MigrationWindow}, {"LeftoverWindow", cfg.LeftoverWindow},
	} {
		if f.v < 0 && f.v != -1 { // what No… is
			return cfg, configError("%s is negative; 0 chooses the default, No%s none", f.name, f.name)
		}
	}
	cfg.LeaseTTL = clampLease(cfg.LeaseTTL)
	if cfg.ConnsPerNode > maxConnsPerNode {
		return cfg, configError("ConnsPerNode %d is over %d; one or two carry a node's full load", cfg.ConnsPerNode, maxConnsPerNode)
	}
	if cfg.MinWriteAcks > cfg.ReplicationFactor {
		return cfg, configError("MinWriteAcks %d is more than ReplicationFactor %d: no write could succeed", cfg.MinWriteAcks, cfg.ReplicationFactor)
	}
	if cfg.Keys > AnyKeys {
		return cfg, configError("Keys is %d: use PlainKeys or AnyKeys", cfg.Keys)
	}
	switch {
	case cfg.KeepAlive < 0 && cfg.KeepAlive != NoKeepAlive || cfg.KeepAlive > 0 && cfg.KeepAlive < time.Second:
		return cfg, configError("KeepAlive is %v: use a second or more, with its unit, 0 for 15 s, or NoKeepAlive", cfg.KeepAlive)
	case cfg.DialContext == nil:
		cfg.DialContext = (&net.Dialer{KeepAlive: cfg.KeepAlive}).DialContext
	case cfg.KeepAlive != 0:
		return cfg, configError("KeepAlive is set beside DialContext: let that set it, as net.Dialer.KeepAlive, or leave one of them out")
	}
	if err := cfg.Auth.check(); err != nil {
		return cfg, err
	}
	if cfg.Auth != nil {
		auth := *cfg.Auth
		cfg.Auth = &auth
	}
	if cfg.TLS != nil {
		cfg.TLS = cfg.TLS.Clone()
	}
	if cfg.EpochKey == "" {
		cfg.EpochKey = DefaultEpochKey
	}
	if err := item.CheckKey(cfg.EpochKey + placementSuffix); err != nil {
		return cfg, configError("EpochKey: %w", err)
	}
	cfg.Nodes = append([]ring.Node(nil), cfg.Nodes...)
	cfg.Gutter = append([]ring.Node(nil), cfg.Gutter...)
	return cfg, nil
}

func orInt(v *int, def int) {
	if *v == 0 {
		*v = def
	}
}

func orDuration(v *time.Duration, def time.Duration) {
	if *v == 0 {
		*v = def
	}
}

func clampLease(ttl time.Duration) time.Duration {
	return max(minLeaseTTL, min(ttl, maxLeaseTTL))
}

func (cfg *Config) announce() time.Duration        { return max(cfg.Announce, 0) }
func (cfg *Config) migrationWindow() time.Duration { return max(cfg.MigrationWindow, 0) }
func (cfg *Config) leftoverWindow() time.Duration  { return max(cfg.LeftoverWindow, 0) }
