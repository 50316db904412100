package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/memherd/memherd/nodeserver"
)

// longNames are memcached's long options, by the letter they stand for.
var longNames = map[string]byte{
	"port": 'p', "udp-port": 'U', "unix-socket": 's', "unix-mask": 'a', "enable-shutdown": 'A', "listen": 'l',
	"daemon": 'd', "enable-coredumps": 'r', "user": 'u', "memory-limit": 'm', "disable-evictions": 'M',
	"conn-limit": 'c', "lock-memory": 'k', "verbose": 'v', "help": 'h', "version": 'V', "pidfile": 'P',
	"slab-growth-factor": 'f', "slab-min-size": 'n', "enable-largepages": 'L', "threads": 't',
	"max-reqs-per-event": 'R', "disable-cas": 'C', "listen-backlog": 'b', "protocol": 'B', "max-item-size": 'I',
	"enable-sasl": 'S', "disable-flush-all": 'F', "disable-dumping": 'X', "disable-watch": 'W', "auth-file": 'Y',
	"memory-file": 'e', "enable-ssl": 'Z', "napi-ids": 'N', "napi_ids": 'N', "extended": 'o',
}

// without are letters of memcached's for what memnode has not: starting as if it had would
// mislead.
var without = map[byte]string{
	'd': "memnode stays in the foreground: have a service manager start it",
	'S': "memnode has no SASL: -Y lets in who logs in",
	'e': "memnode keeps nothing beyond its end",
}

// long reads one long option, and its argument from behind = or from args.
func (o *options) long(arg string, args []string) ([]string, error) {
	name, value, has := strings.Cut(strings.TrimPrefix(arg, "--"), "=")
	argument := func() (err error) {
		switch {
		case has:
		case len(args) == 0:
			err = fmt.Errorf("option --%s needs an argument: see -h", name)
		default:
			value, args = args[0], args[1:]
		}
		return err
	}
	var err error
	c, known := longNames[name]
	switch {
	case name == "insecure-public" && !has:
		o.insecurePublic = true
	case name == "profile":
		if err = argument(); err == nil {
			o.profile, err = nodeserver.ParseProfile(value)
		}
	case name == "cluster":
		if err = argument(); err == nil {
			err = o.setCluster(value)
		}
	case known && without[c] != "":
		err = errors.New(without[c])
	case known && !has && o.flag(c):
	case known && strings.IndexByte(withArgument, c) >= 0:
		if err = argument(); err == nil {
			err = o.set(c, value)
		}
	default:
		return nil, fmt.Errorf("unknown option %s: see -h", arg)
	}
	if err != nil && !strings.HasPrefix(err.Error(), "option ") {
		err = fmt.Errorf("option --%s: %w", name, err)
	}
	return args, err
}

// setCluster reads what config get cluster answers: host|ip|port, with commas between.
func (o *options) setCluster(list string) error {
	for node := range strings.SplitSeq(list, ",") {
		f := strings.Split(node, "|")
		if len(f) != 3 || f[0] == "" || strings.ContainsAny(node, " \r\n") {
			return fmt.Errorf("%q: need host|ip|port, with commas between; ip may be empty", node)
		}
		if _, err := number(f[2], 1, 65535); err != nil {
			return fmt.Errorf("%q: port %w", node, err)
		}
		o.cluster = append(o.cluster, node)
	}
	return nil
}
