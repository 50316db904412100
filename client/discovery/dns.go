package discovery

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/memherd/memherd/ring"
)

// Resolver is what DNS asks; a *net.Resolver is one.
type Resolver interface {
	LookupSRV(ctx context.Context, service, proto, name string) (cname string, addrs []*net.SRV, err error)
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Records says what DNS looks up, and so what a node's identity is.
type Records uint8

const (
	// Hosts: each of DNS.Names is a node, "host:port" or "host" (port 11211), as long as
	// it has an A or AAAA record. Identity is the name: a new address moves no key.
	Hosts Records = iota
	// Services: each of DNS.Names has SRV records, and each target is a node. Identity is
	// the target's "host:port", which for a Kubernetes headless service with a named port
	// is the pod's own stable name: a pod that comes back with another address moves no
	// key.
	Services
	// Addresses: each of DNS.Names ("host:port" or "host") has any number of A or AAAA
	// records, and each address is a node. Identity is the address, there being no other:
	// a node that comes back with another address is a new node, and its keys' move is
	// what that costs. With N nodes a restart of one moves 1/N of all keys away and as
	// many back, a rolling restart all of them. Use it where nodes have no names of their
	// own, such as behind the headless service of a Deployment.
	Addresses
)

// DNS finds nodes by name. The order of an answer does not matter. A name that does not
// exist has no nodes; any other failure is one of the whole answer. The answer is not the
// operator's word: a node that is missing leaves only once it is down, see Config.
//
// The client dials the names itself and so asks for the address anew at each dial,
// whatever the source's interval.
type DNS struct {
	// Names are looked up, each of them. Required; IP addresses are names, too, except
	// for Services.
	Names []string
	// Records says what for; zero is Hosts.
	Records Records
	// Weights makes the weight of an SRV record, 0 counting as 1, the node's. Without it
	// all nodes weigh the same: what Kubernetes puts there changes with the number of
	// pods. Priorities are not used.
	Weights bool
	// Resolver is asked; nil is net.DefaultResolver.
	Resolver Resolver
}

// lookups is how many questions are under way at a time.
const lookups = 16

// Nodes asks for all names. Errors are ErrConfig and those of the resolver.
func (d *DNS) Nodes(ctx context.Context) ([]ring.Node, error) {
	var ask func(context.Context, string) ([]ring.Node, error)
	switch d.Records {
	case Hosts:
		ask = d.host
	case Services:
		ask = d.service
	case Addresses:
		ask = d.addresses
	default:
		return nil, badConfig("DNS.Records is %d: use Hosts, Services or Addresses", d.Records)
	}
	if len(d.Names) == 0 {
		return nil, badConfig("DNS.Names is empty")
	}
	answers := make([][]ring.Node, len(d.Names))
	errs := make([]error, len(d.Names))
	var wg sync.WaitGroup
	slots := make(chan struct{}, lookups)
	for i, name := range d.Names {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			answers[i], errs[i] = ask(ctx, name)
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return distinct(slices.Concat(answers...))
}

// distinct drops what DNS says twice: two services may have a pod in common.
func distinct(nodes []ring.Node) ([]ring.Node, error) {
	at := map[string]int{} // by address, which is also the identity
	var out []ring.Node
	for _, n := range nodes {
		n, err := n.Canonical()
		if err != nil {
			return nil, malformed("%w", err)
		}
		if i, ok := at[n.Addr]; ok {
			out[i].Weight = max(out[i].Weight, n.Weight)
			continue
		}
		at[n.Addr] = len(out)
		out = append(out, n)
	}
	return out, nil
}

func (d *DNS) resolver() Resolver {
	if d.Resolver != nil {
		return d.Resolver
	}
	return net.DefaultResolver
}

// split checks a name of a host, and returns it without its port and with.
func split(name string) (host, addr string, port uint16, err error) {
	n, err := ring.Node{Addr: name}.Canonical()
	if err != nil {
		return "", "", 0, badConfig("DNS.Names: %w", err)
	}
	host, p, err := net.SplitHostPort(n.Addr)
	if err != nil {
		return "", "", 0, badConfig("DNS.Names: %q is no host", name)
	}
	num, err := strconv.ParseUint(p, 10, 16)
	return host, n.Addr, uint16(num), err
}

// host: the answer is only whether there is one.
func (d *DNS) host(ctx context.Context, name string) ([]ring.Node, error) {
	host, addr, _, err := split(name)
	if err != nil {
		return nil, err
	}
	ips, err := d.ips(ctx, host)
	if err != nil || len(ips) == 0 {
		return nil, err
	}
	return ring.Addrs(addr), nil
}

func (d *DNS) addresses(ctx context.Context, name string) ([]ring.Node, error) {
	host, _, port, err := split(name)
	if err != nil {
		return nil, err
	}
	ips, err := d.ips(ctx, host)
	if err != nil {
		return nil, err
	}
	nodes := make([]ring.Node, len(ips))
	for i, ip := range ips {
		nodes[i].Addr = netip.AddrPortFrom(ip.Unmap(), port).String()
	}
	return nodes, nil
}

// ips returns no addresses and no error for a name that does not exist.
func (d *DNS) ips(ctx context.Context, host string) ([]netip.Addr, error) {
	if ip, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{ip}, nil
	}
	ips, err := d.resolver().LookupNetIP(ctx, "ip", host)
	if err != nil && !notFound(err) {
		return nil, fmt.Errorf("discovery: %w", err)
	}
	return ips, nil
}

func (d *DNS) service(ctx context.Context, name string) ([]ring.Node, error) {
	if name == "" || strings.ContainsAny(name, "/: \t\r\n") {
		return nil, badConfig("DNS.Names: %q is no name of a service", name)
	}
	_, records, err := d.resolver().LookupSRV(ctx, "", "", name)
	if err != nil && !(notFound(err) && len(records) == 0) {
		// Some records may have come nevertheless, but not all.
		return nil, fmt.Errorf("discovery: %w", err)
	}
	var nodes []ring.Node
	for _, r := range records {
		host := strings.TrimSuffix(r.Target, ".")
		if host == "" {
			continue // "." says that there is no such service
		}
		if r.Port == 0 {
			return nil, malformed("SRV record of %q: target %q has no port", name, host)
		}
		n := ring.Node{Addr: net.JoinHostPort(host, strconv.Itoa(int(r.Port)))}
		if d.Weights {
			n.Weight = int(r.Weight) // 0 is 1 to a ring
		}
		nodes = append(nodes, n)
	}
	return nodes, nil
}

func notFound(err error) bool {
	var e *net.DNSError
	return errors.As(err, &e) && e.IsNotFound
}
