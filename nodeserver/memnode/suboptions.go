package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/memherd/memherd/nodeserver/store"
)

// ignored are memcached's suboptions of -o that tune what a node does not have, each with
// what its value has to be; nil: it needs none. They are accepted so that the service file
// of a memcached works.
var ignored = map[string]func(value string) error{
	"modern": nil, "no_modern": nil, "maxconns_fast": nil, "no_maxconns_fast": nil, "no_hashexpand": nil,
	"slab_reassign": nil, "no_slab_reassign": nil, "slab_automove": nil, "no_slab_automove": nil, "lru_crawler": nil, "no_lru_crawler": nil,
	"lru_maintainer": nil, "no_lru_maintainer": nil, "drop_privileges": nil, "no_drop_privileges": nil,
	"relaxed_privileges": nil, "inline_ascii_response": nil, "no_inline_ascii_resp": nil, "no_chunked_items": nil,
	"expirezero_does_not_evict": nil, "sock_cookie_id": count, "ssl_session_cache": nil, "ssl_kernel_tls": nil,
	"ext_drop_unread": nil,

	"hashpower": within(12, 32), "tail_repair_time": within(10, 1<<40), "slab_automove_window": within(3, 1<<40),
	"slab_chunk_max": count, "slab_sizes": some, "lru_crawler_sleep": within(0, 1_000_000), "lru_crawler_tocrawl": count,
	"hot_lru_pct": percent, "warm_lru_pct": percent, "hot_max_factor": fraction, "warm_max_factor": fraction,
	"slab_automove_ratio": fraction, "slab_automove_freeratio": fraction, "temporary_ttl": count,
	"hash_algorithm":     oneOf("jenkins", "murmur3", "xxh3"),
	"resp_obj_mem_limit": count, "read_buf_mem_limit": count, "worker_logbuf_size": count, "watcher_logbuf_size": count,
	"ssl_ciphers": some, "ssl_wbuf_size": count,

	// Of extstore, which only ext_path turns on.
	"ext_page_size": count, "ext_wbuf_size": count, "ext_threads": count, "ext_item_size": count, "ext_item_age": count,
	"ext_low_ttl": count, "ext_recache_rate": count, "ext_compact_under": count, "ext_drop_under": count,
	"ext_max_frag": fraction, "ext_max_sleep": count, "ext_io_depth": count, "ext_page_count": count,
}

// absent are suboptions that promise what a node does not do: starting as if it did would
// mislead.
var absent = []string{"ext_path", "memory_file", "proxy_config"}

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
			return errors.New("needs a value")
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
	case "debugtime":
		o.debugTime = true
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
		check, known := ignored[name]
		switch {
		case slices.Contains(absent, name):
			return errors.New("memnode has no such thing: leave it out")
		case !known:
			return errors.New("unknown suboption: see -h")
		case check != nil:
			return check(value)
		}
	}
	return err
}

// The checks of ignored values: what memcached refuses is no working service file.

func count(value string) error {
	_, err := number(value, 0, 1<<40)
	return err
}

func fraction(value string) error {
	if f, err := strconv.ParseFloat(value, 64); err != nil || !(f > 0) {
		return fmt.Errorf("%q: need a number above 0", value)
	}
	return nil
}

func some(value string) error {
	if value == "" {
		return errors.New("needs a value")
	}
	return nil
}

func percent(value string) error { return within(1, 80)(value) }

func within(low, high int) func(string) error {
	return func(value string) error {
		_, err := number(value, low, high)
		return err
	}
}

func oneOf(words ...string) func(string) error {
	return func(value string) error {
		if !slices.Contains(words, value) {
			return fmt.Errorf("%q: need %s", value, strings.Join(words, " or "))
		}
		return nil
	}
}
