package main

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"strconv"
	"strings"

	"github.com/memherd/memherd/nodeserver"
)

const usage = `Usage: memnode [options]
  -p <port>     TCP port (default 11211; 0: a free one)
  -l <addr>     address to listen on, host or host:port (default 127.0.0.1)
  -s <path>     listen on this Unix socket instead of TCP
  -m <mb>       memory for items in megabytes (default 64)
  -c <n>        most connections at once (default 1024)
  -I <size>     largest item, key and header included: bytes, or with k or m (default 1m)
  -t <n>        most processors to use at once (default: all)
  -v            say more; -vv also works
  -V            print the version and exit
  -h            print this help and exit
  --profile <version>
                speak the protocol of this memcached: 1.5.22, 1.6.18, 1.6.22, 1.6.27 or
                1.6.40 (default)
  --insecure-public
                allow -l an address others can reach, although nothing is protected
`

// options is the parsed command line.
type options struct {
	port           int
	listen         string
	socket         string
	megabytes      int
	conns          int
	itemBytes      int
	threads        int
	verbose        int
	version, help  bool
	insecurePublic bool
	profile        nodeserver.Profile
}

// parseOptions reads args as getopt does: -p 11211, -p11211, -vvp 11211; long options
// as --name.
func parseOptions(args []string) (*options, error) {
	o := &options{port: 11211, listen: "127.0.0.1", megabytes: 64, conns: 1024, itemBytes: 1 << 20}
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
		switch c {
		case 'v':
			o.verbose++
			continue
		case 'V':
			o.version = true
			continue
		case 'h':
			o.help = true
			continue
		}
		if !strings.ContainsRune("plsmcIt", rune(c)) {
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

func (o *options) set(c byte, value string) (err error) {
	switch c {
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
	if o.socket != "" {
		return nil
	}
	host, _, err := o.hostPort()
	if err != nil {
		return err
	}
	if !o.insecurePublic && !loopback(host) {
		return fmt.Errorf("-l %s: others could reach it, and nothing protects a cache there: use 127.0.0.1, or --insecure-public if a firewall does", o.listen)
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

// config is the node's configuration; -t takes effect at once.
func (o *options) config() nodeserver.Config {
	if o.threads > 0 {
		runtime.GOMAXPROCS(o.threads)
	}
	cfg := nodeserver.Config{
		MaxBytes:     int64(o.megabytes) << 20,
		MaxItemBytes: int64(o.itemBytes),
		MaxConns:     o.conns,
		Profile:      o.profile,
		Addr:         "unix:" + o.socket,
	}
	if o.socket == "" {
		host, port, _ := o.hostPort() // validate has seen it
		cfg.Addr = net.JoinHostPort(host, port)
	}
	return cfg
}
