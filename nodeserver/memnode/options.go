package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/nodeserver/store"
)

const usage = `Usage: memnode [options]
  -p <port>     TCP port (default 11211; 0: a free one)
  -l <addr>     address to listen on, host or host:port (default 127.0.0.1); several with
                commas between, or -l for each
  -s <path>     listen on this Unix socket instead of TCP
  -a <mask>     permissions of the Unix socket, octal (default 700)
  -m <mb>       memory for items in megabytes (default 64)
  -M            answer that there is no memory instead of evicting
  -c <n>        most connections at once (default 1024)
  -I <size>     largest item, key and header included: bytes, or with k or m (default 1m)
  -t <n>        most processors to use at once (default: all)
  -b <n>        connections that may wait to be accepted (default: the system's most)
  -R <n>        commands of one connection in a row while others wait (default: what 8 reads
                of up to 64 KiB bring)
  -F            refuse flush_all
  -X            refuse stats cachedump and lru_crawler metadump
  -W            refuse watch
  -D <char>     stats detail counts from the start, by what stands before this character
  -A            obey the command shutdown
  -Y <file>     let in only who logs in; "user:password" a line, 8 at most
  -Z            speak TLS; needs -o ssl_chain_cert=FILE,ssl_key=FILE
  -P <file>     write the process number there
  -v            say more; -vv also works
  -V            print the version and exit
  -h            print this help and exit
  -o <list>     suboptions, with commas between:
                eviction=lru|s3fifo|lfu, loops=<n> (epoll loops that serve connections, on
                Linux; default -t; 0: a goroutine for each connection),
                idle_timeout=<seconds>, track_sizes (stats sizes counts from
                the start), debugtime (obey the command debugtime, for tests), ssl_chain_cert=<file>, ssl_key=<file>, ssl_ca_cert=<file>, ssl_verify_mode=0..3,
                ssl_min_version=tlsv1.2; memcached's others are accepted and do nothing
  -U 0          no UDP; any other port is refused
  -u <user>, -B ascii|auto, -n <n>, -f <factor>, -N <n>, -k, -r, -L, -C
                are accepted, as memcached has them, and do nothing
  Memcached's long names (--port=<port>, --memory-limit=<mb>, …) stand for its letters.
  --cluster <list>
                what config get cluster answers: host|ip|port,host|ip|port,…
  --profile <version>
                speak the protocol of this memcached: 1.5.22, 1.6.18, 1.6.22, 1.6.27 or
                1.6.40 (default)
  --insecure-public
                allow -l an address others can reach with neither -Y nor -Z
`

// options is the parsed command line.
type options struct {
	port           int
	listen         string
	socket         string
	mask           os.FileMode
	megabytes      int
	noEvict        bool
	conns          int
	itemBytes      int
	threads        int
	noFlush        bool
	shutdown       bool
	noDump         bool
	noWatch        bool
	debugTime      bool
	prefixEnd      byte
	backlog        int
	turn           int
	cluster        []string
	users          string
	tls            tlsOptions
	pidFile        string
	verbose        int
	version, help  bool
	idle           time.Duration
	loops          int
	trackSizes     bool
	eviction       store.Policy
	insecurePublic bool
	profile        nodeserver.Profile
}

// defaultMask is memcached's.
const defaultMask = 0o700

// parseOptions reads args as getopt does: -p 11211, -p11211, -vvp 11211; long options
// as --name.
func parseOptions(args []string) (*options, error) {
	o := &options{port: 11211, mask: defaultMask, megabytes: 64, conns: 1024, itemBytes: 1 << 20}
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		switch {
		case arg == "--":
			if len(args) > 0 {
				return nil, fmt.Errorf("unexpected argument %q: options only, see -h", args[0])
			}
		case strings.HasPrefix(arg, "--"):
			var err error
			if args, err = o.long(arg, args); err != nil {
				return nil, err
			}
		case strings.HasPrefix(arg, "-") && len(arg) > 1:
			var err error
			if args, err = o.short(arg[1:], args); err != nil {
				return nil, err
			}
		default:
			return nil, fmt.Errorf("unexpected argument %q: options only, see -h", arg)
		}
	}
	o.listen = cmp.Or(o.listen, "127.0.0.1")
	return o, o.validate()
}

// withArgument are the letters that have one.
const withArgument = "plsamcItYPobRUuBDfnN"

// short reads a cluster of letters; a letter's argument is the rest of the cluster or
// the next argument.
func (o *options) short(letters string, args []string) ([]string, error) {
	for letters != "" {
		c := letters[0]
		letters = letters[1:]
		if o.flag(c) {
			continue
		}
		if why := without[c]; why != "" {
			return nil, fmt.Errorf("option -%c: %s", c, why)
		}
		if strings.IndexByte(withArgument, c) < 0 {
			return nil, fmt.Errorf("unknown option -%c: see -h", c)
		}
		value := letters
		letters = ""
		if value == "" {
			if len(args) == 0 {
				return nil, fmt.Errorf("option -%c needs an argument: see -h", c)
			}
			value, args = args[0], args[1:]
		}
		if err := o.set(c, value); err != nil {
			return nil, fmt.Errorf("option -%c: %w", c, err)
		}
	}
	return args, nil
}

// flag takes the letters without an argument.
func (o *options) flag(c byte) bool {
	switch c {
	case 'v':
		o.verbose++
	case 'V':
		o.version = true
	case 'h':
		o.help = true
	case 'M':
		o.noEvict = true
	case 'F':
		o.noFlush = true
	case 'A':
		o.shutdown = true
	case 'X':
		o.noDump = true
	case 'W':
		o.noWatch = true
	case 'Z':
		o.tls.on = true
	case 'k', 'r', 'L', 'C':
		// Locked memory, core dumps, large pages, no CAS: accepted, see usage.
	default:
		return false
	}
	return true
}

func (o *options) set(c byte, value string) (err error) {
	switch c {
	case 'a':
		var n uint64
		if n, err = strconv.ParseUint(value, 8, 32); err != nil || n > 0o777 {
			return fmt.Errorf("%q: need permissions in octal, like 700", value)
		}
		o.mask = os.FileMode(n)
	case 'Y':
		o.users = value
	case 'P':
		o.pidFile = value
	case 'o':
		return o.suboptions(value)
	case 'U':
		if value != "0" {
			return fmt.Errorf("%q: memnode has no UDP", value)
		}
	case 'B':
		if value != "ascii" && value != "auto" {
			return fmt.Errorf("%q: need ascii or auto, there is no binary protocol", value)
		}
	case 'n', 'N':
		_, err = number(value, 1, 1<<30) // least chunk, NAPI ids
	case 'b':
		o.backlog, err = number(value, 1, 1<<30)
	case 'R':
		o.turn, err = number(value, 1, 1<<30)
	case 'f':
		if f, bad := strconv.ParseFloat(value, 64); bad != nil || f <= 1 {
			return fmt.Errorf("%q: need a factor above 1", value)
		}
	case 'p':
		o.port, err = number(value, 0, 65535)
	case 'l':
		if strings.Trim(value, ",") == "" {
			return errors.New("need a host, or host:port, or several with commas between")
		}
		if o.listen != "" { // given twice: one more, as with memcached
			value = o.listen + "," + value
		}
		o.listen = value
	case 'D':
		if value == "" {
			return errors.New("need the character that ends the prefix of a key")
		}
		o.prefixEnd = value[0]
	case 's':
		o.socket = value
	case 'm':
		o.megabytes, err = number(value, 1, 1<<30)
	case 'c':
		o.conns, err = number(value, 1, 1<<30)
	case 'I':
		o.itemBytes, err = size(value)
	case 't':
		o.threads, err = number(value, 1, 1<<10)
	}
	return err
}

func number(s string, low, high int) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < low || n > high {
		return 0, fmt.Errorf("%q: need a number from %d to %d", s, low, high)
	}
	return n, nil
}

// Bounds of -I, memcached's.
const (
	minItem = 1 << 10
	maxItem = 1 << 30
)

// size reads bytes, or kilobytes with k, or megabytes with m.
func size(s string) (int, error) {
	digits, unit := s, 1
	if s != "" {
		switch s[len(s)-1] {
		case 'k', 'K':
			digits, unit = s[:len(s)-1], 1<<10
		case 'm', 'M':
			digits, unit = s[:len(s)-1], 1<<20
		}
	}
	n, err := strconv.Atoi(digits)
	if err != nil || n < 0 || n > maxItem/unit || n*unit < minItem {
		return 0, fmt.Errorf("%q: need a size from 1k to 1024m", s)
	}
	return n * unit, nil
}

func (o *options) validate() error {
	if o.help || o.version {
		return nil
	}
	if o.itemBytes > o.megabytes<<20 {
		return fmt.Errorf("-I %d is more than -m allows (%d MB): raise -m", o.itemBytes, o.megabytes)
	}
	if err := o.tls.validate(); err != nil {
		return err
	}
	if o.socket != "" {
		return nil
	}
	_, err := o.addresses()
	return err
}

// processors has the runtime use as many processors as -t and loops want, and returns what
// undoes that.
func (o *options) processors(loops int) (undo func()) {
	n := cmp.Or(o.threads, runtime.GOMAXPROCS(0))
	if loops > 0 {
		// As long as there is one to spare, the runtime lets a loop that waits in the kernel
		// keep its P. Else it looks every 20 µs for one to take away: a 14th of the processor
		// time, and the loop has to get another when it wakes.
		n = max(n, loops) + 1
	}
	before := runtime.GOMAXPROCS(n)
	return func() { runtime.GOMAXPROCS(before) }
}

// config is the node's configuration. shutdown is what -A lets clients call.
func (o *options) config(shutdown func()) (nodeserver.Config, error) {
	cfg := nodeserver.Config{
		MaxBytes:     int64(o.megabytes) << 20,
		MaxItemBytes: int64(o.itemBytes),
		Eviction:     o.eviction,
		Loops:        cmp.Or(o.loops, o.threads, runtime.GOMAXPROCS(0)),
		NoEvict:      o.noEvict,
		MaxConns:     o.conns,
		IdleTimeout:  o.idle,
		Profile:      o.profile,
		Backlog:      o.backlog,
		TurnCommands: o.turn,
		Admin: nodeserver.Admin{NoFlush: o.noFlush, NoDump: o.noDump, NoWatch: o.noWatch, DebugTime: o.debugTime,
			TrackSizes: o.trackSizes, PrefixEnd: o.prefixEnd, Cluster: o.cluster},
		Addr: "unix:" + o.socket,
	}
	if o.shutdown {
		cfg.Admin.Shutdown = shutdown
	}
	if o.socket == "" {
		list, err := o.addresses()
		if err != nil {
			return cfg, err
		}
		cfg.Addr = list[0]
	}
	var err error
	if cfg.Users, err = readUsers(o.users); err != nil {
		return cfg, err
	}
	cfg.TLS, err = o.tls.load()
	return cfg, err
}
