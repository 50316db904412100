package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/nodeserver/store"
)

// beMemnode is the environment variable that makes this binary a memnode with the options it
// holds, for tests of the process.
const beMemnode = "MEMHERD_TEST_BE_MEMNODE"

func TestMain(m *testing.M) {
	if args := os.Getenv(beMemnode); args != "" {
		os.Args = append(os.Args[:1], strings.Fields(args)...)
		main()
	}
	goleak.VerifyTestMain(m)
}

func TestParseOptions(t *testing.T) {
	for _, c := range []struct {
		args string
		want options
	}{
		{"", options{mask: defaultMask, port: 11211, listen: "127.0.0.1", megabytes: 64, conns: 1024, itemBytes: 1 << 20}},
		{"-p11212 -vv -I 2m -m 128 -c10 -t 2", options{mask: defaultMask, port: 11212, listen: "127.0.0.1", megabytes: 128, conns: 10, itemBytes: 2 << 20, threads: 2, verbose: 2}},
		{"-vp 0 -l localhost:5000", options{mask: defaultMask, listen: "localhost:5000", megabytes: 64, conns: 1024, itemBytes: 1 << 20, verbose: 1}},
		{"-l 0.0.0.0 --insecure-public -I 2048", options{mask: defaultMask, port: 11211, listen: "0.0.0.0", megabytes: 64, conns: 1024, itemBytes: 2048, insecurePublic: true}},
		{"-l ::1", options{mask: defaultMask, port: 11211, listen: "::1", megabytes: 64, conns: 1024, itemBytes: 1 << 20}},
		{"--profile 1.5.22 -m 64 --profile=1.6.18", options{mask: defaultMask, port: 11211, listen: "127.0.0.1", megabytes: 64, conns: 1024, itemBytes: 1 << 20, profile: nodeserver.Profile1618}},
		{"-m 64 -c 1024 -U 0 -u nobody -B ascii -kr -L -b 1024 -R 20 -f 1.25 -n 48 -o modern,slab_automove=1,hash_algorithm=murmur3,no_lru_crawler",
			options{mask: defaultMask, port: 11211, listen: "127.0.0.1", megabytes: 64, conns: 1024, itemBytes: 1 << 20, backlog: 1024, turn: 20}},
		// What Debian's service file and its default configuration come to, and a second address.
		{"-m 64 -p 11211 -u memcache -l 127.0.0.1 -l ::1 -P /var/run/memcached/memcached.pid",
			options{mask: defaultMask, port: 11211, listen: "127.0.0.1,::1", megabytes: 64, conns: 1024, itemBytes: 1 << 20, pidFile: "/var/run/memcached/memcached.pid"}},
		{"--port=7 --memory-limit 128 --conn-limit=9 --listen=127.0.0.1,[::1]:8 --disable-evictions --enable-shutdown --udp-port=0 --extended modern,eviction=lfu --verbose",
			options{mask: defaultMask, port: 7, listen: "127.0.0.1,[::1]:8", megabytes: 128, conns: 9, itemBytes: 1 << 20, noEvict: true, shutdown: true, eviction: store.LFU, verbose: 1}},
		{"-X -W -D / -o debugtime --cluster=a|10.0.0.1|11211,b||11212",
			options{mask: defaultMask, port: 11211, listen: "127.0.0.1", megabytes: 64, conns: 1024, itemBytes: 1 << 20,
				noDump: true, noWatch: true, prefixEnd: '/', debugTime: true, cluster: []string{"a|10.0.0.1|11211", "b||11212"}}},
		{"-o slab_automove=1,hashpower=20,hash_algorithm=xxh3,lru_crawler_sleep=0,hot_lru_pct=80,hot_max_factor=0.2,ssl_kernel_tls,ext_page_size=8,ext_max_frag=0.5,slab_sizes=96-128,,",
			options{mask: defaultMask, port: 11211, listen: "127.0.0.1", megabytes: 64, conns: 1024, itemBytes: 1 << 20}},
		{"-MFA -a 0770 -P /run/x.pid -Y /etc/users -l 0.0.0.0 -o eviction=s3fifo,idle_timeout=30",
			options{mask: 0o770, port: 11211, listen: "0.0.0.0", megabytes: 64, conns: 1024, itemBytes: 1 << 20, noEvict: true, noFlush: true, shutdown: true,
				pidFile: "/run/x.pid", users: "/etc/users", eviction: store.S3FIFO, idle: 30 * time.Second}},
		{"-o track_sizes,eviction=lfu", options{mask: defaultMask, port: 11211, listen: "127.0.0.1", megabytes: 64, conns: 1024, itemBytes: 1 << 20, trackSizes: true, eviction: store.LFU}},
		{"-o loops=3", options{mask: defaultMask, port: 11211, listen: "127.0.0.1", megabytes: 64, conns: 1024, itemBytes: 1 << 20, loops: 3}},
		{"-o loops=0", options{mask: defaultMask, port: 11211, listen: "127.0.0.1", megabytes: 64, conns: 1024, itemBytes: 1 << 20, loops: -1}},
		{"-s /run/x.sock", options{mask: defaultMask, port: 11211, listen: "127.0.0.1", socket: "/run/x.sock", megabytes: 64, conns: 1024, itemBytes: 1 << 20}},
	} {
		got, err := parseOptions(strings.Fields(c.args))
		require.NoError(t, err, c.args)
		assert.Equal(t, c.want, *got, c.args)
	}
	o, err := parseOptions([]string{"-l", "::1", "-p", "7"})
	require.NoError(t, err)
	cfg, err := o.config(nil)
	require.NoError(t, err)
	assert.Equal(t, "[::1]:7", cfg.Addr)
}

// TestProcessors: loops have one P to spare, and what -t asks for, and stop asking for it.
func TestProcessors(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	for args, want := range map[string]struct{ loops, procs int }{
		"":                  {before, before + 1},
		"-t 3":              {3, 4},
		"-t 1 -o loops=5":   {5, 6},
		"-t 4 -o loops=2":   {2, 5},
		"-t 3 -o loops=0":   {-1, 3},
		"-o loops=0":        {-1, before},
		"-o loops=1,modern": {1, before + 1},
	} {
		o, err := parseOptions(strings.Fields(args))
		require.NoError(t, err)
		cfg, err := o.config(nil)
		require.NoError(t, err)
		assert.Equal(t, want.loops, cfg.Loops, "%q", args)
		undo := o.processors(cfg.Loops)
		assert.Equal(t, want.procs, runtime.GOMAXPROCS(0), "%q", args)
		undo()
		assert.Equal(t, before, runtime.GOMAXPROCS(0), "%q", args)
	}
}

func TestBadOptions(t *testing.T) {
	for args, want := range map[string]string{
		"-x":                       "unknown option -x",
		"--frob":                   "unknown option --frob",
		"-vx":                      "unknown option -x",
		"-p":                       "option -p needs an argument",
		"-p x":                     `option -p: "x"`,
		"-p 65536":                 "0 to 65535",
		"-m 0":                     "option -m",
		"-c -1":                    "option -c",
		"-I 1":                     "option -I",
		"-I 2000m":                 "option -I",
		"-I 99999999999999m":       "option -I",
		"-I x":                     "option -I",
		"-m 1 -I 2m":               "raise -m",
		"-l 0.0.0.0":               "--insecure-public",
		"-l ::":                    "--insecure-public",
		"-l example.com":           "--insecure-public",
		"-l 127.0.0.1:x":           "option -l",
		"--profile":                "option --profile needs an argument",
		"--profile 1.4":            "option --profile",
		"11211":                    "unexpected argument",
		"-U 11211":                 "no UDP",
		"-B binary":                "no binary protocol",
		"-a 999":                   "option -a",
		"-f 0.5":                   "option -f",
		"-d":                       "option -d: memnode stays in the foreground",
		"--daemon":                 "option --daemon: memnode stays in the foreground",
		"-S":                       "option -S: memnode has no SASL",
		"-e /tmp/x":                "option -e: memnode keeps nothing",
		"-l 127.0.0.1,0.0.0.0":     "-l 0.0.0.0: others could reach it",
		"-l 127.0.0.1 -l ::":       "-l ::: others could reach it",
		"-l ,":                     "option -l: need a host",
		"-D":                       "option -D needs an argument",
		"-b 0":                     "option -b",
		"-R x":                     "option -R",
		"-n 0":                     "option -n",
		"-t 0":                     "option -t",
		"--port":                   "option --port needs an argument",
		"--port=x":                 `option --port: "x"`,
		"--verbose=1":              "unknown option --verbose=1",
		"--insecure-public=no":     "unknown option --insecure-public=no",
		"--cluster=a|b":            "option --cluster",
		"--cluster a|b|c":          "option --cluster",
		"-o hashpower":             "option -o: hashpower",
		"-o hashpower=11":          "option -o: hashpower",
		"-o hash_algorithm=md5":    "option -o: hash_algorithm",
		"-o lru_crawler_sleep=-1":  "option -o: lru_crawler_sleep",
		"-o hot_lru_pct=81":        "option -o: hot_lru_pct",
		"-o warm_max_factor=0":     "option -o: warm_max_factor",
		"-o slab_sizes":            "option -o: slab_sizes",
		"-o worker_logbuf_size=x":  "option -o: worker_logbuf_size",
		"-o proxy_config=/x":       "option -o: proxy_config",
		"-o bogus":                 "option -o: bogus: unknown suboption",
		"-o modern,ext_path=/x:1G": "option -o: ext_path",
		"-o eviction=random":       "option -o: eviction",
		"-o idle_timeout=x":        "option -o: idle_timeout",
		"-o loops=-1":              "option -o: loops",
		"-o ssl_key=":              "option -o: ssl_key: needs a value",
		"-o ssl_key=x":             "need -Z",
		"-Z":                       "option -Z",
		"-Z -o ssl_chain_cert=a,ssl_key=b,ssl_verify_mode=2": "ssl_ca_cert",
		"-Z -o ssl_min_version=9":                            "ssl_min_version",
	} {
		var out, errs bytes.Buffer
		assert.Equal(t, exitUsage, run(t.Context(), strings.Fields(args), &out, &errs), args)
		assert.Contains(t, errs.String(), want, args)
		assert.Equal(t, 1, strings.Count(errs.String(), "\n"), "one line: %s", errs.String())
	}
}

func TestHelpAndVersion(t *testing.T) {
	var out, errs bytes.Buffer
	assert.Equal(t, exitOK, run(t.Context(), []string{"-h"}, &out, &errs))
	assert.Contains(t, out.String(), "-p <port>")
	out.Reset()
	assert.Equal(t, exitOK, run(t.Context(), []string{"-V"}, &out, &errs))
	assert.Regexp(t, `^memcached 1\.6\.\d+`, out.String())
	out.Reset()
	assert.Equal(t, exitOK, run(t.Context(), []string{"--profile", "1.5.22", "-V"}, &out, &errs))
	assert.Equal(t, "memcached 1.5.22-memherd\n", out.String())
	assert.Empty(t, errs.String())
}

func TestRunUntilSignal(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		says string
	}{
		"verbose": {[]string{"-p0", "-v"}, `addr=(\S+)`},
		"silent":  {[]string{"-p0"}, `^memnode: listening on (\S+)\n$`}, // the port is known to nobody else
	} {
		t.Run(name, func(t *testing.T) { untilSignal(t, c.args, c.says) })
	}
}

func untilSignal(t *testing.T, args []string, says string) {
	ctx, stop := context.WithCancel(t.Context())
	got := make(chan string, 1)
	log := &waiter{want: regexp.MustCompile(says), got: got}
	code := make(chan int)
	go func() { code <- run(ctx, args, io.Discard, log) }()
	nc, err := net.Dial("tcp", <-got)
	require.NoError(t, err)
	defer nc.Close()
	_, err = io.WriteString(nc, "set a 0 0 1\r\nx\r\n")
	require.NoError(t, err)
	buf := make([]byte, 8)
	_, err = io.ReadFull(nc, buf)
	require.NoError(t, err)
	assert.Equal(t, "STORED\r\n", string(buf))
	stop()
	assert.Equal(t, exitOK, <-code)
	_, err = nc.Read(buf)
	require.Error(t, err)
}

func TestRunSaysWhyItCannotListen(t *testing.T) {
	var errs bytes.Buffer
	path := filepath.Join(t.TempDir(), "no", "such", "dir", "sock")
	assert.Equal(t, exitError, run(t.Context(), []string{"-s", path}, io.Discard, &errs))
	assert.Contains(t, errs.String(), "memnode: ")
	assert.Equal(t, 1, strings.Count(errs.String(), "\n"))
}
