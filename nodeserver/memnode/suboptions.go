package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/memherd/memherd/nodeserver/store"
)

// ignored are memcached's suboptions of -o that tune what a node does not have. They are
// accepted so that the service file of a memcached works.
var ignored = []string{
	"modern", "no_modern", "maxconns_fast", "no_maxconns_fast", "hashpower", "hash_algorithm", "tail_repair_time",
	"no_hashexpand", "slab_reassign", "no_slab_reassign", "slab_automove", "slab_automove_ratio",
	"slab_automove_window", "slab_automove_freeratio", "slab_chunk_max", "slab_sizes", "lru_crawler",
	"no_lru_crawler", "lru_crawler_sleep", "lru_crawler_tocrawl", "lru_maintainer", "no_lru_maintainer",
	"hot_lru_pct", "warm_lru_pct", "hot_max_factor", "warm_max_factor", "temporary_ttl",
	"drop_privileges", "no_drop_privileges", "resp_obj_mem_limit", "read_buf_mem_limit", "inline_ascii_response",
	"no_inline_ascii_resp", "worker_logbuf_size", "watcher_logbuf_size", "no_chunked_items", "ext_item_size",
	"ssl_session_cache", "ssl_ciphers", "ssl_wbuf_size", "relaxed_privileges", "expirezero_does_not_evict",
}

// absent are suboptions that promise what a node does not do: starting as if it did would
// mislead.
var absent = []string{"ext_path", "memory_file", "proxy_config", "ssl_kernel_tls"}

// suboptions reads the argument of -o: words and word=value, with commas between.
func (o *options) suboptions(list string) error {
	for word := range strings.SplitSeq(list, ",") {
		name, value, has := strings.Cut(word, "=")
		if name == "" {
			continue
		}
		if err := o.suboption(name, value, has); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func (o *options) suboption(name, value string, has bool) (err error) {
	needs := func(into *string) error {
		if value == "" {
			return fmt.Errorf("needs a value")
		}
		*into = value
		return nil
	}
	switch name {
	case "idle_timeout":
		var n int
		n, err = number(value, 0, 1<<30)
		o.idle = time.Duration(n) * time.Second
	case "loops":
		if o.loops, err = number(value, 0, 1<<10); o.loops == 0 && err == nil {
			o.loops = -1 // none, where Config has the default
		}
	case "track_sizes":
		o.trackSizes = true
	case "eviction":
		o.eviction, err = store.ParsePolicy(value)
	case "ssl_chain_cert":
		err = needs(&o.tls.chain)
	case "ssl_key":
		err = needs(&o.tls.key)
	case "ssl_ca_cert":
		err = needs(&o.tls.ca)
	case "ssl_verify_mode":
		o.tls.verify, err = number(value, 0, 3)
	case "ssl_min_version":
		err = o.tls.minVersion(value)
	case "ssl_keyformat":
		if value != "1" && !strings.EqualFold(value, "PEM") {
			err = fmt.Errorf("%q: only PEM is read", value)
		}
	default:
		switch {
		case slices.Contains(absent, name):
			return fmt.Errorf("memnode has no such thing: leave it out")
		case !slices.Contains(ignored, name):
			return fmt.Errorf("unknown suboption: see -h")
		}
	}
	return err
}
