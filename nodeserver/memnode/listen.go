package main

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"

	"github.com/memherd/memherd/nodeserver"
)

// addresses are those of -l, each with its port: the one behind a host wins over -p.
func (o *options) addresses() (list []string, err error) {
	for listen := range strings.SplitSeq(o.listen, ",") {
		if listen == "" && len(list) > 0 { // a comma too many
			continue
		}
		host, port, err := o.hostPort(listen)
		if err != nil {
			return nil, err
		}
		if !o.insecurePublic && o.users == "" && !o.tls.on && !loopback(host) {
			return nil, fmt.Errorf("-l %s: others could reach it, and nothing protects a cache there: use 127.0.0.1, or -Y or -Z, or --insecure-public if a firewall does", listen)
		}
		list = append(list, net.JoinHostPort(host, port))
	}
	return list, nil
}

func (o *options) hostPort(listen string) (host, port string, err error) {
	if h, p, err := net.SplitHostPort(listen); err == nil {
		if _, err := number(p, 0, 65535); err != nil {
			return "", "", fmt.Errorf("option -l: port %w", err)
		}
		return h, p, nil
	}
	if listen == "" {
		return "", "", errors.New(`option -l: need a host, or host:port`)
	}
	return strings.Trim(listen, "[]"), strconv.Itoa(o.port), nil
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// serve starts the node and has it listen on all of -l; addrs says where. wait is for the
// goroutines of the addresses after the first, and returns once the node has stopped.
func (o *options) serve(cfg nodeserver.Config) (srv *nodeserver.Server, addrs []net.Addr, wait func(), err error) {
	srv, err = nodeserver.Start(cfg)
	if err != nil {
		return nil, nil, nil, err
	}
	addrs = []net.Addr{srv.Addr()}
	var more []net.Listener
	if o.socket == "" {
		list, _ := o.addresses() // validate has seen them
		for _, a := range list[1:] {
			ln, bad := net.Listen("tcp", a)
			if bad != nil {
				err = cmp.Or(err, bad)
				continue
			}
			more, addrs = append(more, ln), append(addrs, ln.Addr())
		}
	}
	if err != nil {
		for _, ln := range more {
			ln.Close()
		}
		srv.Close()
		return nil, nil, nil, err
	}
	var wg sync.WaitGroup
	for _, ln := range more {
		wg.Go(func() {
			if err := srv.Serve(ln); !errors.Is(err, nodeserver.ErrServerClosed) {
				cfg.Logger.Error("memnode stopped listening", "addr", ln.Addr().String(), "err", err)
			}
		})
	}
	return srv, addrs, wg.Wait, nil
}
