package main

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/memherd/memherd/bench/internal/fleet"
	"github.com/memherd/memherd/bench/internal/origin"
	"github.com/memherd/memherd/bench/internal/report"
	"github.com/memherd/memherd/bench/internal/subject"
	"github.com/memherd/memherd/bench/internal/workload"
	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/ring"
)

// target says what to put under load; run and replay share it.
type target struct {
	Embedded    int           `help:"Start this many nodes in this process (default 3 without -servers)." placeholder:"N"`
	Servers     []string      `help:"Use these servers instead, host:port,…" placeholder:"ADDR"`
	IOwn        bool          `name:"i-own-these-servers" aliases:"allow-remote" help:"Allow servers that are not on this machine; needs -max-rate."`
	MaxRate     float64       `help:"At most this many operations per second, evenly, whatever else says how fast (default: no bound)." placeholder:"N"`
	Replicas    int           `short:"r" help:"Copies of each key (default 2, or 1 on one node)." placeholder:"R"`
	Concurrency int           `short:"c" default:"64" help:"Operations under way at a time."`
	Rate        float64       `help:"Operations per second, latency counted from when each was due (default: as fast as it goes)." placeholder:"N"`
	TTL         string        `help:"How long values stay cached: 1h, 1m-1h for any time between, 60s:0.7,1h:0.3 by weight, exp:10m around a mean (default 1h)." placeholder:"TIME"`
	Write       string        `default:"through" enum:"through,around" help:"Write policy: through or around."`
	Near        bool          `default:"true" negatable:"" help:"Serve the hottest keys from a near-cache."`
	OriginDelay time.Duration `help:"How long the synthetic origin takes for a load or a write (default: no time)." placeholder:"TIME"`
	ValueSize   string        `help:"Bytes of a value where nothing else says it: 100, 100-2000, 64:0.7,9000:0.3 by weight, exp:300 around a mean (default 100)." placeholder:"BYTES"`
	Prefix      string        `help:"Put in front of every key in the cache (default: a new one each run, so that what an earlier run left behind is no hit)." placeholder:"TEXT"`
	Seed        uint64        `default:"1" help:"Seed of everything random."`
	HTTP        string        `name:"http" help:"Serve the live page at this address meanwhile, as 127.0.0.1:8080; anybody who reaches it sees it." placeholder:"ADDR"`
	HTML        string        `name:"html" help:"Also write a page with plots to this file." placeholder:"OUT"`
	HDR         string        `name:"hdr" help:"Also write the latencies over time to this file, as HdrHistogram's tools read them." placeholder:"OUT"`
	JSON        string        `name:"json" help:"Also write the results as JSON to this file (- is stdout; the table then goes to stderr)." placeholder:"OUT"`

	sizes, ttls workload.Mix // ValueSize, and TTL in seconds
	page        *livePage    // of HTTP
}

// check finds what is wrong with the flags themselves.
func (t *target) check() error {
	switch {
	case t.Embedded < 0 || t.Embedded > maxNodes:
		return usagef("-embedded %d: give a number of nodes from 1 to %d", t.Embedded, maxNodes)
	case t.Embedded > 0 && len(t.Servers) > 0:
		return usagef("-embedded and -servers exclude each other: give one of them")
	case t.Replicas < 0:
		return usagef("-replicas %d: give a number of copies from 1", t.Replicas)
	case t.Concurrency < 1 || t.Concurrency > maxWorkers:
		return usagef("-concurrency %d: give a number from 1 to %d", t.Concurrency, maxWorkers)
	case t.Rate < 0 || math.IsNaN(t.Rate) || math.IsInf(t.Rate, 0):
		return usagef("-rate must be a positive number of operations per second")
	case t.MaxRate < 0 || math.IsNaN(t.MaxRate) || math.IsInf(t.MaxRate, 0):
		return usagef("-max-rate must be a positive number of operations per second")
	case t.MaxRate > 0 && t.Rate > t.MaxRate:
		return usagef("-rate %v is above -max-rate %v", t.Rate, t.MaxRate)
	case t.IOwn && t.MaxRate == 0 && t.Rate == 0:
		return usagef("-i-own-these-servers needs -max-rate: say how many operations per second those servers can take")
	case t.OriginDelay < 0:
		return usagef("-origin-delay must not be negative")
	}
	if err := t.distributions(); err != nil {
		return err
	}
	if err := report.CheckPaths(t.JSON, map[string]string{"-html": t.HTML, "-hdr": t.HDR}); err != nil {
		return usageError{err}
	}
	if t.Prefix == "" {
		t.Prefix = "bench:" + strconv.FormatInt(time.Now().UnixNano(), 36) + ":"
	} else if item.CheckKey(t.Prefix) != nil || len(t.Prefix) > maxPrefix {
		return usagef("-prefix: give 1 to %d bytes without spaces and control characters", maxPrefix)
	}
	return nil
}

// distributions reads -value-size and -ttl.
func (t *target) distributions() (err error) {
	if t.ValueSize == "" {
		t.ValueSize = "100"
	}
	if t.TTL == "" {
		t.TTL = "1h"
	}
	bytes := func(s string) (float64, error) {
		n, err := strconv.ParseUint(s, 10, 32)
		if err != nil {
			return 0, fmt.Errorf("%q is no number of bytes", s)
		}
		return float64(n), nil
	}
	if t.sizes, err = workload.ParseMix(t.ValueSize, bytes, 0, maxValue); err != nil {
		return usagef("-value-size %s: %v: give 0 to %d bytes, as 100, 100-2000, 64:0.7,9000:0.3 or exp:300", t.ValueSize, err, maxValue)
	}
	if t.ttls, err = workload.ParseMix(t.TTL, workload.Seconds, .001, math.MaxInt32); err != nil {
		return usagef("-ttl %s: %v: give 1ms and more, as 1h, 1m-1h, 60s:0.7,1h:0.3 or exp:10m", t.TTL, err)
	}
	return nil
}

// size is how large the value of key i is where nothing else says it.
func (t *target) size(i int) int { return int(t.sizes.Of(t.Seed, i)) }

// ttlSteps is how many different TTLs there may be: each takes a loader.
const ttlSteps = 100

// subject is what run and replay put under load. tag is between -prefix and the keys.
func (t *target) subject(nodes []ring.Node, keys []string, sizes []int, tag string) (*subject.Subject, error) {
	cfg := subject.Config{
		Nodes: nodes, Replicas: t.Replicas, Keys: keys, Size: func(i int) int { return sizes[i] },
		Origin: origin.NewSynthetic(keys, sizes, t.OriginDelay),
		Prefix: t.Prefix + tag, Write: t.policy(), NoNear: !t.Near, Live: t.HTTP != "",
	}
	of := func(i int) time.Duration {
		// Another seed: sizes and TTLs have nothing to do with each other.
		return time.Duration(t.ttls.StepOf(t.Seed+1<<32, i, ttlSteps)*1e3) * time.Millisecond
	}
	if cfg.TTL = of(0); !t.ttls.Single() {
		cfg.TTLOf = of
	}
	s, err := subject.New(cfg)
	if err != nil {
		return nil, usageError{err}
	}
	if t.page != nil {
		t.page.show(s.Live)
	}
	return s, nil
}

// start starts the live page, if one is asked for, and the fleet. The returned function ends both.
func (t *target) start(e *env) (nodes []ring.Node, stop func() error, err error) {
	if t.HTTP == "" {
		return t.nodes(e)
	}
	if t.page, err = servePage(t.HTTP, e.people(t.JSON)); err != nil {
		return nil, nil, usageError{err}
	}
	nodes, end, err := t.nodes(e)
	if err != nil {
		t.page.close()
		return nil, nil, err
	}
	return nodes, func() error {
		t.page.close()
		return end()
	}, nil
}

const (
	maxValue   = 1<<20 - 1<<11 // bytes; with key and envelope it fits memcached's largest item
	maxPrefix  = 190           // bytes; leaves room for the keys behind it
	maxNodes   = 1000          // in this process; each takes a port and connections
	maxWorkers = 10_000        // each takes 200 KB for its latencies
)

// nodes starts or finds the fleet. The returned function ends what was started.
func (t *target) nodes(e *env) ([]ring.Node, func() error, error) {
	if t.Servers != nil {
		nodes, err := fleet.External(e.ctx, t.Servers, t.IOwn)
		if err != nil {
			return nil, nil, usageError{err}
		}
		if err := t.copies(len(nodes)); err != nil {
			return nil, nil, err
		}
		return nodes, func() error { return nil }, nil
	}
	if t.Embedded == 0 {
		t.Embedded = 3
	}
	if err := t.copies(t.Embedded); err != nil {
		return nil, nil, err
	}
	f, err := fleet.Start(t.Embedded, 0)
	if err != nil {
		return nil, nil, err
	}
	return f.Nodes(), f.Close, nil
}

func (t *target) copies(nodes int) error {
	if t.Replicas == 0 {
		t.Replicas = min(2, nodes)
	}
	if t.Replicas > nodes {
		return usagef("-replicas %d is more than the %d nodes: give at most %d, or more nodes", t.Replicas, nodes, nodes)
	}
	return nil
}

// fleet says what is under load.
func (t *target) fleet() string {
	nodes, copies := many(len(t.Servers), "server"), "1 copy"
	if t.Embedded > 0 {
		nodes = many(t.Embedded, "node") + " in this process"
	}
	if t.Replicas > 1 {
		copies = fmt.Sprintf("%d copies", t.Replicas)
	}
	return nodes + ", " + copies + " of each key"
}

func (t *target) policy() loader.WritePolicy {
	if t.Write == "around" {
		return loader.WriteAround
	}
	return loader.WriteThrough
}
