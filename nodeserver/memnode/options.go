package main

import (
	"cmp"
	"errors"
	"fmt"
	"net"
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
  -l <addr>     address to listen on, host or host:port (default 127.0.0.1)
  -s <path>     listen on this Unix socket instead of TCP
  -a <mask>     permissions of the Unix socket, octal (default 700)
  -m <mb>       memory for items in megabytes (default 64)
  -M            answer that there is no memory instead of evicting
  -c <n>        most connections at once (default 1024)
  -I <size>     largest item, key and header included: bytes, or with k or m (default 1m)
  -t <n>        most processors to use at once (default: all)
  -F            refuse flush_all
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
                the start), ssl_chain_cert=<file>, ssl_key=<file>, ssl_ca_cert=<file>, ssl_verify_mode=0..3,
                ssl_min_version=tlsv1.2; memcached's others are accepted and do nothing
  -U 0          no UDP; any other port is refused
  -u <user>, -B ascii|auto, -b <n>, -R <n>, -n <n>, -f <factor>, -D <char>, -k, -r, -L, -C
                are accepted, as memcached has them, and do nothing
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
	o := &options{port: 11211, listen: "127.0.0.1", mask: defaultMask, megabytes: 64, conns: 1024, itemBytes: 1 << 20}
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
	return o, o.validate()
}

// long reads one long option, and its argument from behind = or from args.
func (o *options) long(arg string, args []string) ([]string, error) {
	name, value, has := strings.Cut(arg, "=")
	if name == "--profile" {
		if !has {
			if len(args) == 0 {
				return nil, errors.New("option --profile needs an argument: see -h")
			}
			value, args = args[0], args[1:]
		}
		var err error
		if o.profile, err = nodeserver.ParseProfile(value); err != nil {
			return nil, fmt.Errorf("option --profile: %w", err)
		}
		return args, nil
	}
	switch arg {
	case "--insecure-public":
		o.insecurePublic = true
	case "--help":
		o.help = true
	case "--version":
		o.version = true
	default:
		return nil, fmt.Errorf("unknown option %s: see -h", arg)
	}
	return args, nil
}

// short reads a cluster of letters; a letter's argument is the rest of the cluster or
// the next argument.
func (o *options) short(letters string, args []string) ([]string, error) {
	for letters != "" {
		c := letters[0]
		letters = letters[1:]
		if o.flag(c) {
			continue
		}
		if !strings.ContainsRune("plsamcItYPobRUuBDfn", rune(c)) {
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
	case 'b', 'R', 'n':
		_, err = number(value, 1, 1<<30) // backlog, requests an event, least chunk
	case 'f':
		if f, bad := strconv.ParseFloat(value, 64); bad != nil || f <= 1 {
			return fmt.Errorf("%q: need a factor above 1", value)
		}
	case 'p':
		o.port, err = number(value, 0, 65535)
	case 'l':
		o.listen = value
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
	host, _, err := o.hostPort()
	if err != nil {
		return err
	}
	if !o.insecurePublic && o.users == "" && !o.tls.on && !loopback(host) {
		return fmt.Errorf("-l %s: others could reach it, and nothing protects a cache there: use 127.0.0.1, or -Y or -Z, or --insecure-public if a firewall does", o.listen)
	}
	return nil
}

// hostPort splits -l, whose port, if it has one, wins over -p.
func (o *options) hostPort() (host, port string, err error) {
	if h, p, err := net.SplitHostPort(o.listen); err == nil {
		if _, err := number(p, 0, 65535); err != nil {
			return "", "", fmt.Errorf("option -l: port %w", err)
		}
		return h, p, nil
	}
	if o.listen == "" {
		return "", "", errors.New(`option -l: need a host, or host:port`)
	}
	return strings.Trim(o.listen, "[]"), strconv.Itoa(o.port), nil
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
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
		Admin:        nodeserver.Admin{NoFlush: o.noFlush, TrackSizes: o.trackSizes},
		Addr:         "unix:" + o.socket,
	}
	if o.shutdown {
		cfg.Admin.Shutdown = shutdown
	}
	if o.socket == "" {
		host, port, _ := o.hostPort() // validate has seen it
		cfg.Addr = net.JoinHostPort(host, port)
	}
	var err error
	if cfg.Users, err = readUsers(o.users); err != nil {
		return cfg, err
	}
	cfg.TLS, err = o.tls.load()
	return cfg, err
}
