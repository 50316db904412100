# memherd's commands. `make` alone lists them. Every target does its own set-up;
# all that must be there before is Go (the version in go.mod) and make.

GO        ?= go
FUZZTIME  ?= 10s
BENCHTIME ?= 1s
SCALE     ?= 0.1
FIRST     ?= 0
KILLS     ?=
# Real lookups where they are, else the trace that is shipped.
TRACE     ?= $(firstword $(wildcard ../shared/data/orm-busy.keys.gz) testdata/traces/zipf.keys.gz)
# Modules of their own inside this one.
NESTED     = bench/rivals bench/e2e loader/examples
# Packages whose tests take longest come first, lest they end alone on one processor. go vet is lint's.
SLOW       = ./client ./bench/internal/scenario ./bench ./loader
ORDER      = $(addprefix -first ,$(SLOW)) $(addprefix -also ,$(NESTED))
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2

.DEFAULT_GOAL := help
.PHONY: help build demo test race fuzz bench bench-client bench-micro bench-ring bench-late bench-fault bench-loads bench-loaders lint check tools soak-demo soak-race soak-late soak-stray soak-sim soak-planted soak-kill soak-crash soak-schedules soak-strong soak-differential bench-node bench-hitratio bench-hot bench-near clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build every package and put the binaries into bin/
	$(GO) build ./...
	@set -e; for m in $(NESTED); do $(GO) -C $$m build ./...; done
	@mkdir -p bin
	$(GO) build -o bin/bench ./bench
	@if [ -d nodeserver/memnode ]; then $(GO) build -o bin/memnode ./nodeserver/memnode; fi

demo: ## five nodes, a real database, a hot-key storm, a node killed and back: about 35 s
	@$(GO) run ./bench

test: tools ## all tests; the last two lines say what was skipped and why, and how many passed
	@$(GO) run ./bench/internal/testsum $(ORDER) -vet=off -timeout 20m ./...

race: tools ## all tests under the race detector, randomised counts scaled by SCALE; the last lines as of test
	@MEMHERD_SCALE=$(SCALE) $(GO) run ./bench/internal/testsum $(ORDER) -race -vet=off -timeout 20m ./...

fuzz: ## each fuzz target for FUZZTIME (10s)
	@set -e; for pkg in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
	    echo "== $$pkg $$f"; \
	    $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) $$pkg; \
	  done; \
	done

bench: bench-client bench-micro ## the client against others, then the micro-benchmarks

bench-client: tools ## the client against gomemcache and others, 6 min; FLAGS="-quick -html out.html" for 1 min, FLAGS=-help for more
	@mkdir -p bin
	@$(GO) -C bench/rivals build -o $(CURDIR)/bin/rivals .
	@bin/rivals $(FLAGS)

bench-micro: ## ring lookup, near-cache hit (through a loader, too), sketch update
	$(GO) test -run '^$$' -bench '^Benchmark(Lookup|Clock|NearHit|NearMiss|Observe)' -benchtime $(BENCHTIME) ./ring ./hotkey ./loader

bench-ring: ## placements against others': cost, evenness, heirs, movement, 3 min; FLAGS=-quick for a look
	@mkdir -p bin
	@$(GO) -C bench/rivals build -o $(CURDIR)/bin/ring ./ring
	@bin/ring $(FLAGS)

bench-late: ## how long after its deadline a caller returns; for an idle machine, 1 min
	$(GO) test -run '^$$' -bench '^BenchmarkLateReturn$$' -benchtime 30x ./client

bench-fault: tools ## faults on real memcached behind proxies, gomemcache beside, 13 min; FLAGS="-scenario crash,hang" for some
	@$(GO) run ./bench fault $(FLAGS)

bench-loads: tools ## what reaches the origin: stampedes, dying processes, origins in trouble, 15 min; FLAGS="-scenario stampede" for some, FLAGS=-list
	@$(GO) run ./bench loads $(FLAGS)

bench-hot: tools ## hot keys: detection, staleness, load of nodes; FLAGS="-scenario recall,promote" for some, FLAGS=-list
	@$(GO) run ./bench hot $(FLAGS)

bench-near: ## near-cache hits and misses beside the clock, otter and golang-lru, 1 min; FLAGS="-rounds 3" for a look
	@mkdir -p bin
	@$(GO) -C bench/rivals build -o $(CURDIR)/bin/near ./near
	@bin/near $(FLAGS)

bench-loaders: tools ## the loader against sturdyc and singleflights on TRACE, 6 min; FLAGS="-rounds 1 -requests 50000" for a look
	@mkdir -p bin
	@$(GO) -C bench/rivals build -o $(CURDIR)/bin/loaders ./loaders
	@bin/loaders -trace $(TRACE) $(FLAGS)

bench-node: tools ## memnode against memcached: throughput, CPU time, memory, 2 min; FLAGS="-rounds 3 -items 0" for a look
	@mkdir -p bin
	@$(GO) build -o bin/memnode ./nodeserver/memnode
	@$(GO) run ./bench node $(FLAGS)

bench-hitratio: tools ## hit ratios of memnode and memcached, TRACE=file of key numbers; FLAGS="-shares 3,10,30"
	@mkdir -p bin
	@$(GO) build -o bin/memnode ./nodeserver/memnode
	@$(GO) run ./bench hitratio -trace $(or $(TRACE),../shared/data/web12.keys.gz) $(FLAGS)

lint: ## gofmt, go vet, staticcheck
	@bad=$$(gofmt -l .); if [ -n "$$bad" ]; then echo "not gofmt'ed:"; echo "$$bad"; exit 1; fi
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...
	@set -e; for m in $(NESTED); do $(GO) -C $$m vet ./...; $(GO) -C $$m run $(STATICCHECK) ./...; done

check: lint test race ## what .ci/run does: lint, tests, race detector

soak-demo: ## the demo ten times as long, three seeds
	@set -e; for s in 1 2 3; do $(GO) run ./bench demo -duration 5m -seed $$s; done

soak-race: ## the race tests at full scale
	MEMHERD_SCALE=1 $(GO) test -race -timeout 60m ./...

soak-late: tools ## 10,000,000 operations, 1 % cancelled, 1 % of the replies late, on a real memcached: about 8 min
	MEMHERD_SCALE=100 $(GO) test -timeout 60m -count 1 -v -run '^TestSoakLateReplies$$' ./client

soak-stray: tools ## 1,000,000 operations on a memcached that sends a stray reply in a thousand: about 5 min
	MEMHERD_SCALE=100 $(GO) test -timeout 60m -count 1 -v -run '^TestSoakStrayReplies$$' ./client

soak-sim: ## 3,000 seeds of simulated faults and 270 of changes from FIRST (0) on, with KILLS=1 also 270 with nodes that are killed meanwhile: 30 to 40 min
	MEMHERD_KILLS=$(KILLS) MEMHERD_FIRST_SEED=$(FIRST) MEMHERD_SCALE=15 $(GO) test -timeout 300m -count 1 -v -run '^TestSimulated(Faults|Changes)$$' ./client

soak-planted: ## plants bugs in the client, one after the other, and has its tests find them: about 8 min
	MEMHERD_PLANTED=1 $(GO) test -timeout 120m -count 1 -v -run '^TestPlantedBugsAreFound$$' ./client

soak-kill: ## 1,000 processes that write back are killed, each at another moment: about 5 min
	MEMHERD_SCALE=36 $(GO) test -timeout 120m -count 1 -v -run '^TestKilledAgainAndAgain$$' ./loader/journal

soak-crash: ## 1,000,000 failures of power at writes of the journal, and in the recovery from them: about 3 min
	MEMHERD_SCALE=43 $(GO) test -timeout 60m -count 1 -run '^TestCrashAtEveryWrite$$' -v ./loader/journal

soak-schedules: ## 1,000,000 schedules of loads, writes, invalidations and restarts: about a minute
	MEMHERD_SCALE=10 $(GO) test -timeout 60m -count 1 -v -run '^TestEverySchedule$$' ./loader

soak-strong: tools ## 10,000 histories of Strong on embedded nodes and 2,000 on memcached, each held against a register: about 2 min
	MEMHERD_SCALE=10 $(GO) test -timeout 60m -count 1 -v -run '^TestStrongIsLinearizable$$' ./loader

soak-differential: tools ## 10,000,000 commands, and 100,000 hostile streams, to a node and to memcached 1.6.18, compared: about 15 min
	MEMHERD_SCALE=100 $(GO) test -timeout 60m -count 1 -v -run '^TestDifferentialAgainstMemcached$$' ./nodeserver
	MEMHERD_SCALE=25 $(GO) test -timeout 60m -count 1 -v -run '^TestHostileStreams$$' ./nodeserver

tools: ## install memcached and the like where they are missing and can be had (apt, as root)
	@.ci/tools

clean: ## remove what the other targets left behind
	rm -rf bin out
